"""Scores of some words alone are those of all words, and leave the network as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import make_tokenizer
from every_type import make
from families import WHOLE
from transformers import PreTrainedTokenizerBase

from ptx.lms import heads
from ptx.lms.lm import LanguageModel, load_model
from ptx.lms.models import resolve

# Whether the head is cut: BART adds a bias of the whole vocabulary behind it.
TYPES = {
    ("masked", "bert"): True, ("masked", "roberta"): True, ("masked", "albert"): True, ("masked", "electra"): True,
    ("masked", "modernbert"): True, ("causal", "gpt2"): True, ("causal", "gemma2"): True,
    ("causal", "gemma3_text"): True,
    ("causal", "cohere"): True, ("causal", "llama"): True, ("causal", "opt"): True, ("span", "t5"): True,
    ("infill", "bart"): False,
}  # fmt: skip


@pytest.fixture(scope="module")
def words() -> PreTrainedTokenizerBase:
    tokenizer = make_tokenizer(WHOLE)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<extra_id_0>"]})
    return tokenizer


def load(kind: str, model_type: str, words: PreTrainedTokenizerBase, folder: Path) -> LanguageModel:
    make(kind, model_type, words).save_pretrained(folder)  # type: ignore[arg-type]
    words.save_pretrained(folder)
    return load_model(resolve(str(folder)), "cpu")


@pytest.mark.parametrize(("kind", "model_type"), TYPES)
@torch.no_grad()
def test_some_words(kind: str, model_type: str, words: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    model = load(kind, model_type, words, tmp_path)
    rows = model.rows("[X] [V] [Y] .", ["Peru", "the old king"], prompt_length=2)
    prompts = model.matrix[torch.tensor([[3, 4], [5, 6]])]
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    whole = model.scores(rows, prompts)
    tokens = torch.tensor([7, 3, len(model.matrix) - 1, 7])
    assert heads.WORTH * len(tokens) <= len(model.matrix)
    found = model.scores(rows, prompts, tokens)
    torch.testing.assert_close(found, whole[:, tokens], rtol=0, atol=1e-5 * whole.abs().max().item())
    assert heads._CUTS[model.network] == TYPES[kind, model_type]
    assert torch.equal(model.scores(rows, prompts), whole)
    after = model.network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    many = torch.arange(len(model.matrix))
    assert torch.equal(model.scores(rows, prompts, many), whole)  # not worth it


def test_the_head_is_whole_again_after_an_error(words: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    model = load("causal", "llama", words, tmp_path)
    last = model.network.get_output_embeddings()
    weight = last.weight
    with pytest.raises(KeyboardInterrupt), heads._cut(last, torch.tensor([1])):  # noqa: PT012
        assert last(torch.zeros(1, weight.shape[1])).shape == (1, 1)
        raise KeyboardInterrupt
    assert last.weight is weight
    assert last.out_features == len(weight)
