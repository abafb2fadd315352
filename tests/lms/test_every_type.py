"""The same text as tokens and as word vectors in place of a prompt, in every type of language model that loads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import make_tokenizer
from every_type import LOADED, READ_WHOLE, REFUSED, UNTRIED, make
from families import WHOLE, tiktoken_style
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
)

from ptx.errors import PtxError
from ptx.lms import attention
from ptx.lms.families import ENCODER_DECODERS, Kind, kind_of
from ptx.lms.lm import LanguageModel, load_model
from ptx.lms.models import resolve
from ptx.lms.template import LAYOUTS

SUBJECTS = ["Peru", "the old king", "North sea island"]
LOADS = [(kind, model_type) for kind, types in LOADED.items() for model_type in types.split()]
# The largest difference, relative to the largest score; in float32, whose numbers are 1e-7 apart.
TOLERANCE = 1e-5
BYTES = ("qwen2", "qwen3_5_moe", "qwen3_5_moe_text")  # whatever tokenizer is saved, transformers reads it as byte-level


@pytest.fixture(scope="module")
def words() -> PreTrainedTokenizerBase:
    """A tokenizer for all, with T5's sentinel."""
    tokenizer = make_tokenizer(WHOLE)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<extra_id_0>"]})
    return tokenizer


def load(
    kind: Kind, model_type: str, words: PreTrainedTokenizerBase, folder: Path
) -> tuple[LanguageModel, PreTrainedModel]:
    """The model as ptx loads it, and the network as it was made."""
    tokenizer = tiktoken_style() if model_type in BYTES else words
    network = make(kind, model_type, tokenizer)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return load_model(resolve(str(folder)), "cpu"), network


def plain(network: PreTrainedModel, model: LanguageModel, ids: list[int], answer_at: int) -> Tensor:
    """The answer's scores in the network by itself, given tokens without padding."""
    if model.kind in ("masked", "causal"):
        return network(input_ids=torch.tensor([ids])).logits[0, answer_at]
    assert ids[answer_at] == model.blank
    fed = ids[:answer_at] if model.kind == "infill" else [model.blank]
    decoder = torch.tensor([[network.config.decoder_start_token_id, *fed]])
    return network(input_ids=torch.tensor([ids]), decoder_input_ids=decoder).logits[0, -1]


@pytest.mark.parametrize(("kind", "model_type"), LOADS)
@torch.no_grad()
def test_a_text_as_word_vectors(kind: Kind, model_type: str, words: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    model, network = load(kind, model_type, words, tmp_path)
    assert model.kind == kind
    model.tokenizer.padding_side = "left"  # what many causal LMs' tokenizers ask for
    prompt = model.word_ids(["lives", "near"])
    another = model.word_ids(["great", "war"])
    for layout in LAYOUTS.values():
        rows = model.rows(layout, SUBJECTS, prompt_length=2)
        assert len({len(row.ids) for row in rows}) > 1
        batch = model.collate(rows)
        got = model.logits(batch, model.matrix[prompt].expand(3, -1, -1))
        other = model.logits(batch, model.matrix[another].expand(3, -1, -1))
        for row, logits in zip(rows, got, strict=True):
            assert row.prompt_at is not None
            ids = list(row.ids)
            ids[row.prompt_at : row.prompt_at + 2] = prompt.tolist()
            expected = plain(network, model, ids, row.answer_at)
            largest = expected.abs().max().item()
            torch.testing.assert_close(logits, expected, rtol=0, atol=TOLERANCE * largest)
            assert logits.argmax() == expected.argmax()
        assert (got - other).abs().max() > 100 * TOLERANCE * got.abs().max()  # or nothing was tested
    attention.in_float32(model.network)  # as of one in half precision
    again = model.logits(batch, model.matrix[prompt].expand(3, -1, -1))
    torch.testing.assert_close(again, got, rtol=0, atol=TOLERANCE * got.abs().max().item())
    rows = model.rows(LAYOUTS["postfix"], SUBJECTS, prompt_length=2)
    whole = model.scores(rows, model.matrix[prompt].expand(3, -1, -1))
    model.keep(rows)
    assert (model.kept is not None) == (kind == "causal" and model_type not in READ_WHOLE.split())
    got = model.scores(rows, model.matrix[prompt].expand(3, -1, -1))
    torch.testing.assert_close(got, whole, rtol=0, atol=TOLERANCE * whole.abs().max().item())


@pytest.mark.parametrize(("kind", "model_type"), REFUSED)
def test_what_would_answer_otherwise_is_refused(
    kind: Kind, model_type: str, words: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    with pytest.raises(PtxError, match=REFUSED[kind, model_type]) as refused:
        load(kind, model_type, words, tmp_path)
    assert refused.value.hint


def test_every_type_is_in_one_list() -> None:
    known = {("masked", name) for name in MODEL_FOR_MASKED_LM_MAPPING_NAMES}
    known |= {("causal", name) for name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES}
    known |= {(kind, name) for name, kind in ENCODER_DECODERS.items()}
    listed = [*LOADS, *REFUSED, *UNTRIED]
    assert len(listed) == len(set(listed))
    assert set(listed) == known


OTHERS = (
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES.keys() - ENCODER_DECODERS - MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.keys()
)


@pytest.mark.parametrize("model_type", sorted(OTHERS))
def test_other_encoder_decoders_are_refused(model_type: str) -> None:
    config = CONFIG_MAPPING[model_type].__new__(CONFIG_MAPPING[model_type])  # what it holds beside this does not matter
    config.architectures = [MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES[model_type]]
    with pytest.raises(PtxError, match="no trained language-model head that fills a blank"):
        kind_of(model_type, config)
