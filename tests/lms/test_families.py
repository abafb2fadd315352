"""Each family as source and as target, and its numbers against those of the plain network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import COUNTRIES, Result, write_suite
from families import CAUSAL, ENCODER_DECODER, FACTORS, FAMILIES, WHOLE, WIDTH, make
from torch.nn.functional import normalize
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM

from ptx.formats import read_prompt
from ptx.lms.catalogue import describe, embedding_width
from ptx.lms.embeddings import load_embeddings, one_token_words, read_embeddings
from ptx.lms.families import factor_by_class
from ptx.lms.lm import LanguageModel, load_model
from ptx.lms.models import resolve
from ptx.lms.template import LAYOUTS
from ptx.stages.tune import FILE
from ptx.transfer.equations import normalize_statistics

SUBJECTS = ["Peru", "the old king", "North sea island"]
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("families")


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, root: Path) -> str:
    make(request.param, root / request.param)
    return request.param


@pytest.fixture(scope="module")
def reference(root: Path) -> str:
    return str(make("bert-cased", root / "reference"))


@pytest.fixture(scope="module")
def tasks(root: Path) -> str:
    return str(write_suite(root / "suite", tasks=["R1"]))


def plain_logits(folder: Path, model: LanguageModel, ids: list[int], answer_at: int) -> torch.Tensor:
    """The answer's scores in the network as transformers loads it, given tokens, without padding."""
    tokens = torch.tensor([ids])
    with torch.no_grad():
        if model.kind == "masked":
            return AutoModelForMaskedLM.from_pretrained(folder).eval()(tokens).logits[0, answer_at]
        if model.kind == "causal":
            return AutoModelForCausalLM.from_pretrained(folder).eval()(tokens).logits[0, -1]
        network = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
        if model.kind == "infill":  # as in the example of BART's documentation, without what stands after the mask
            assert ids[answer_at] == model.tokenizer.mask_token_id
            begun = torch.tensor([[network.config.decoder_start_token_id, *ids[:answer_at]]])
        else:
            sentinel = model.tokenizer.convert_tokens_to_ids("<extra_id_0>")
            assert ids[answer_at] == sentinel
            begun = torch.tensor([[network.config.decoder_start_token_id, sentinel]])
        return network(tokens, decoder_input_ids=begun).logits[0, -1]


@pytest.mark.parametrize("layout", ["postfix", "prefix"])
def test_logits_are_those_of_the_plain_network(family: str, root: Path, layout: str) -> None:
    """With the embeddings of real words as the prompt, padded in a batch and alone; rows of the matrix, as a search
    finds them."""
    model = load_model(resolve(str(root / family)), "cpu")
    made = model.rows(LAYOUTS[layout], SUBJECTS, prompt_length=2)
    assert len({len(row.ids) for row in made}) > 1
    words = model.word_ids(["lives", "near"])
    prompts = model.matrix[words].expand(len(made), -1, -1)
    together = model.logits(model.collate(made), prompts)
    for row, prompt, logits in zip(made, prompts, together, strict=True):
        assert row.prompt_at is not None
        ids = list(row.ids)
        ids[row.prompt_at : row.prompt_at + 2] = words.tolist()
        expected = plain_logits(root / family, model, ids, row.answer_at)
        alone = model.logits(model.collate([row]), prompt[None])[0]
        near = 1e-5 * expected.abs().max().item()
        torch.testing.assert_close(alone, expected, rtol=0, atol=near)
        torch.testing.assert_close(logits, expected, rtol=0, atol=near)
        assert logits.argmax() == alone.argmax() == expected.argmax()


def test_an_input_is_tokenized_like_a_sentence(family: str, root: Path) -> None:
    """A manual template gives the tokens of the sentence that it spells, up to the answer."""
    model = load_model(resolve(str(root / family)), "cpu")
    (row,) = model.rows("[X] lives near the [Y] .", ["the king"], prompt_length=0)
    whole = model.tokenizer("the king lives near the")["input_ids"]
    end = [i for i in whole if i in (model.tokenizer.sep_token_id, model.tokenizer.eos_token_id)]
    sentence = whole[: -len(end)] if end and whole[-1] == end[-1] else whole
    assert list(row.ids[: len(sentence)]) == sentence
    assert row.answer_at == len(sentence) - model.causal


def test_the_gradient_reaches_the_prompt_alone(family: str, root: Path) -> None:
    model = load_model(resolve(str(root / family)), "cpu")
    prompt = model.matrix[:2].clone().requires_grad_()
    made = model.rows(LAYOUTS["postfix"], SUBJECTS, prompt_length=2)
    model.logits(model.collate(made), prompt.expand(len(made), -1, -1))[:, 7].sum().backward()
    assert prompt.grad is not None
    assert (prompt.grad.norm(dim=-1) > 1e-6).all()
    assert all(parameter.grad is None for parameter in model.network.parameters())


def test_the_width_is_that_of_the_matrix(family: str, root: Path) -> None:
    model = resolve(str(root / family))
    matrix = read_embeddings(root / family)
    assert matrix is not None
    assert embedding_width(model) == matrix.shape[1] == WIDTH.get(family, 16)
    about = describe(str(root / family))
    assert (about["hidden"], about["embedding"]) == (16, WIDTH.get(family, 16))
    kind = "encoder-decoder" if family in ENCODER_DECODER else "causal LM" if family in CAUSAL else "masked LM"
    assert about["task"] == kind
    assert torch.equal(load_embeddings(model, "cpu").matrix, load_model(model, "cpu").matrix)


def test_the_factor_is_what_the_embedding_layer_multiplies_by(family: str, root: Path) -> None:
    words: Any = load_model(resolve(str(root / family)), "cpu").network.get_input_embeddings()
    factor = FACTORS.get(family, 1.0)
    torch.testing.assert_close(words(torch.arange(5, 9)), factor * words.weight[5:9], rtol=1e-6, atol=0)
    assert factor_by_class(resolve(str(root / family))) == factor


def test_every_tokenizer_knows_the_words(family: str, root: Path) -> None:
    model = load_embeddings(resolve(str(root / family)), "cpu")
    ids = one_token_words(model.tokenizer, WHOLE)
    assert ids.keys() == set(WHOLE)
    for word in ("Japan", "river"):
        assert model.tokenizer(f"the {word}", add_special_tokens=False)["input_ids"][-1] == ids[word]


def test_source_and_target(family: str, root: Path, reference: str, tasks: str, ptx: Run) -> None:
    """Tune, encode, search and eval in both directions and back onto itself, through the commands."""
    folder = str(root / family)
    common = ["--suite", tasks, "--epochs", "1", "--cache-dir", str(root / "cache"), "--top-k", "all", "--json"]
    out = ptx("eval", "--sources", folder, "--target", reference, *common)
    into = ptx("eval", "--sources", reference, "--target", folder, *common)
    assert (out.code, into.code) == (0, 0), out.err + into.err
    for result in (out, into):
        assert {line["stage"] for line in result.lines} == {"anchors", "tune", "encode", "search", "eval"}
        (scored,) = result.at("eval")
        assert scored["facts"] + scored["dropped"] == 8
        lines = (Path(scored["path"]) / "predictions.jsonl").read_text().splitlines()
        assert {json.loads(line)["object"] for line in lines} <= set(COUNTRIES)
    assert read_prompt(Path(into.at("search")[0]["path"]) / FILE).shape == (5, WIDTH.get(family, 16))
    back = ptx("search", "--sources", folder, "--target", folder, *common)
    assert back.code == 0, back.err
    (tuned,), (found,) = back.at("tune"), back.at("search")
    assert tuned["reused"]
    assert found["search_loss"] == pytest.approx(0, abs=1e-6)
    own, carried = (read_prompt(Path(line["path"]) / FILE) for line in (tuned, found))
    mean, std = load_embeddings(resolve(folder), "cpu").statistics
    torch.testing.assert_close(
        carried, normalize_statistics(normalize(own, dim=-1), mean=mean, std=std), rtol=1e-4, atol=1e-4 * std
    )
