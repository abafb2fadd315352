from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import FILLER, SUBJECTS, make_causal_model, make_causal_tokenizer
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2Model,
)

from ptx.errors import PtxError
from ptx.lms.embeddings import (
    ROWS,
    load_embeddings,
    load_tokenizer,
    moments,
    one_token_words,
    read_embeddings,
    vocabulary_words,
)
from ptx.lms.inputs import rows
from ptx.lms.lm import load_model
from ptx.lms.models import resolve
from ptx.lms.template import LAYOUTS


@pytest.mark.parametrize("name", ["bert-micro", "roberta-micro", "albert-micro"])
def test_logits_equal_those_of_the_whole_network(name: str) -> None:
    """The head at the answer only, padded inputs, and real words' embeddings as the prompt."""
    resolved = resolve(name)
    model = load_model(resolved, "cpu")
    made = model.rows(LAYOUTS["postfix"], ["Rome", "Dante Alighieri"], prompt_length=2)
    words = model.word_ids(["language", "of"])
    got = model.logits(model.collate(made), model.matrix[words].expand(2, -1, -1))
    network = AutoModelForMaskedLM.from_pretrained(resolved.path, dtype=torch.float32).eval()
    for row, logits in zip(made, got, strict=True):
        ids = list(row.ids)
        assert row.prompt_at is not None
        ids[row.prompt_at : row.prompt_at + 2] = words.tolist()
        with torch.no_grad():
            reference = network(input_ids=torch.tensor([ids])).logits[0, row.answer_at]
        torch.testing.assert_close(logits, reference, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("layout", ["postfix", "prefix"])
def test_causal_logits_do_not_depend_on_padding(tmp_path: Path, side: str, layout: str) -> None:
    """Those of the unpadded input in the whole network, whichever side the tokenizer pads on."""
    make_causal_model(tmp_path, side=side)
    _check_causal(tmp_path, layout)


def _check_causal(folder: Path, layout: str) -> None:
    model = load_model(resolve(str(folder)), "cpu")
    made = model.rows(LAYOUTS[layout], ["name1", "name2 word3 word4", "name3 word5"], prompt_length=2)
    words = model.word_ids(["word7", "word8"])
    got = model.logits(model.collate(made), model.matrix[words].expand(3, -1, -1))
    network = AutoModelForCausalLM.from_pretrained(folder).eval()
    for row, logits in zip(made, got, strict=True):
        ids = list(row.ids)
        assert row.prompt_at is not None
        ids[row.prompt_at : row.prompt_at + 2] = words.tolist()
        with torch.no_grad():
            reference = network(input_ids=torch.tensor([ids])).logits[0, -1]  # the next token's
        torch.testing.assert_close(logits, reference, rtol=1e-4, atol=1e-4)


SHAPE = {"num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 16}
DECODERS = {
    "llama": {**SHAPE, "intermediate_size": 32, "num_key_value_heads": 1},
    "mistral": {**SHAPE, "intermediate_size": 32, "num_key_value_heads": 2, "tie_word_embeddings": True},
    "opt": {**SHAPE, "ffn_dim": 32, "word_embed_proj_dim": 16},
    "gpt_neox": {**SHAPE, "intermediate_size": 32},
    "bloom": {"n_layer": 1, "n_head": 2, "hidden_size": 16},
}


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("family", DECODERS)
def test_any_decoder(tmp_path: Path, family: str, side: str) -> None:
    tokenizer = make_causal_tokenizer([*FILLER, *SUBJECTS], side)
    ids = {"vocab_size": len(tokenizer), "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **DECODERS[family], **ids, max_position_embeddings=64)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    _check_causal(tmp_path, "postfix")


def test_a_beginning_token_is_kept(tmp_path: Path) -> None:
    """Llama's tokenizers put one before every text, GPT-2's do not."""
    from tokenizers import processors

    tokenizer = make_causal_tokenizer([*FILLER, *SUBJECTS])
    end = "<|endoftext|>"
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{end} $A", special_tokens=[(end, 0)]
    )
    (row,) = rows(tokenizer, LAYOUTS["postfix"], ["name1"], prompt_length=2, max_length=32, causal=True)
    assert tokenizer.convert_ids_to_tokens(list(row.ids)) == [end, "name1", end, end]
    assert (row.prompt_at, row.answer_at) == (2, 3)


def test_words_of_a_causal_lm_carry_their_space() -> None:
    tokenizer = load_tokenizer(resolve("gpt2-micro").path)
    ids = one_token_words(tokenizer, ["language", "Rome"])
    assert tokenizer.convert_ids_to_tokens([ids["language"], ids["Rome"]]) == ["Ġlanguage", "ĠRome"]


def test_a_causal_checkpoint_without_a_head_is_refused(tmp_path: Path) -> None:
    """GPT-2 ties its head to the embeddings, so a missing one goes unnoticed; the architecture tells."""
    folder = make_causal_model(tmp_path)
    GPT2Model(GPT2Config.from_pretrained(folder)).save_pretrained(folder)
    with pytest.raises(PtxError):
        load_model(resolve(str(folder)), "cpu")


@pytest.mark.parametrize("name", ["bert-micro", "roberta-micro", "albert-micro", "gpt2-micro"])
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


@pytest.mark.parametrize("name", ["bert-micro", "roberta-mini", "albert-micro", "gpt2-micro"])
def test_embeddings_without_the_model_are_the_models(name: str) -> None:
    light, whole = load_embeddings(resolve(name), "cpu"), load_model(resolve(name), "cpu")
    assert not hasattr(light, "network")
    assert torch.equal(light.matrix, whole.matrix)
    assert light.statistics == whole.statistics
    assert torch.equal(light.word_embeddings(["language", "Rome"]), whole.word_embeddings(["language", "Rome"]))


def test_a_matrix_of_another_name_is_found_by_loading_the_model(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = make_causal_model(tmp_path)
    whole = load_model(resolve(str(folder)), "cpu")
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {"pooler.wte.weight": torch.zeros(2, 2)}, folder / "more.safetensors")
    (folder / "more.safetensors").rename(folder / "model.safetensors")
    assert read_embeddings(folder) is None  # two candidates: not for us to choose
    assert torch.equal(load_embeddings(resolve(str(folder)), "cpu").matrix, whole.matrix)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("correction", [0, 1])
def test_moments_of_a_matrix(dtype: torch.dtype, correction: int) -> None:
    """Those of all its numbers, in float64, also where they are taken piece by piece."""
    matrix = (3 + 2 * torch.randn(ROWS + 7, 5, generator=torch.Generator().manual_seed(0))).to(dtype)
    exact = matrix.double().numpy()
    expected = exact.mean(), exact.std(ddof=correction)
    close = 1e-5 if dtype == torch.float32 else 1e-12
    assert moments(matrix, correction=correction) == pytest.approx(expected, rel=close)
