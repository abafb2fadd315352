from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForMaskedLM, BertConfig, BertModel

from ptx.errors import PtxError
from ptx.inputs import LAYOUTS, collate, rows
from ptx.lm import load_model, load_tokenizer, one_token_words, vocabulary_words
from ptx.models import resolve


@pytest.mark.parametrize("name", ["bert-micro", "roberta-micro", "albert-micro"])
def test_logits_equal_those_of_the_whole_network(name: str) -> None:
    """The head at the answer only, padded inputs, and real words' embeddings as the prompt."""
    model = load_model(resolve(name), "cpu")
    made = rows(model.tokenizer, LAYOUTS["postfix"], ["Rome", "Dante Alighieri"], prompt_length=2, max_length=32)
    words = model.word_ids(["language", "of"])
    got = model.logits(collate(made, model.pad_id), model.embeddings[words].expand(2, -1, -1))
    network = AutoModelForMaskedLM.from_pretrained(model.network.name_or_path, dtype=torch.float32).eval()
    for row, logits in zip(made, got, strict=True):
        ids = list(row.ids)
        assert row.prompt_at is not None
        ids[row.prompt_at : row.prompt_at + 2] = words.tolist()
        with torch.no_grad():
            reference = network(input_ids=torch.tensor([ids])).logits[0, row.answer_at]
        torch.testing.assert_close(logits, reference, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["bert-micro", "roberta-micro", "albert-micro"])
def test_vocabulary_words_are_one_token_and_no_pieces(name: str) -> None:
    tokenizer = load_tokenizer(resolve(name).path)
    words = vocabulary_words(tokenizer)
    assert len(words) == len(set(words)) > 3000
    assert one_token_words(tokenizer, words).keys() == set(words)
    assert not [word for word in words if word.startswith(("##", "Ġ", "▁", "["))]


def test_a_checkpoint_without_a_head_is_refused(tmp_path: Path, tiny) -> None:
    tokenizer = load_tokenizer(tiny["a"])
    config = BertConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    BertModel(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(PtxError, match="no trained language-model head"):
        load_model(resolve(str(tmp_path)), "cpu")
