"""What a causal model calls the answers of a task, and the texts that are made of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import Result, make_causal_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from ptx.lms.lm import LanguageModel, load_model
from ptx.lms.models import resolve
from ptx.transfer.kinds import ANSWERS, kinds

Run = Callable[..., Result]
CITIES = ["Paris", "London", "Berlin", "Paris", "Rome", "Vienna"]


@pytest.fixture(scope="module")
def gpt2() -> LanguageModel:
    return load_model(resolve("gpt2-micro"), "cpu")


def plainly(answers: list[str]) -> list[str]:
    """The likeliest words in small letters behind "<answer> is a", from transformers alone, one answer at a time."""
    path = resolve("gpt2-micro").path
    tokenizer, network = AutoTokenizer.from_pretrained(path), AutoModelForCausalLM.from_pretrained(path).eval()
    total = torch.zeros(len(tokenizer), dtype=torch.float64)
    for answer in answers:
        ids = tokenizer(f"{answer} is a", return_tensors="pt").input_ids
        with torch.no_grad():
            total += network(ids).logits[0, -1].double().softmax(-1)[: len(tokenizer)]
    words = [str(tokenizer.convert_ids_to_tokens(i)) for i in total.argsort(descending=True).tolist()]
    return [word[1:] for word in words if word.startswith("Ġ") and word[1:].isalpha() and word[1:].islower()]


def test_kinds_are_the_likeliest_words_behind_is_a(gpt2: LanguageModel) -> None:
    likeliest = [word for word in plainly([*dict.fromkeys(CITIES)]) if len(word) > 2]
    assert kinds(gpt2, CITIES, 3) == likeliest[:3]
    assert kinds(gpt2, CITIES, 8) == likeliest[:8]
    assert kinds(gpt2, ["Paris"], 3) == [word for word in plainly(["Paris"]) if len(word) > 2][:3]


def test_the_most_frequent_answers_are_asked(gpt2: LanguageModel) -> None:
    rare = [f"R{i}" for i in range(ANSWERS)]
    assert kinds(gpt2, ["Paris", "Paris", *rare], 5) == kinds(gpt2, ["Paris", *sorted(rare)[:-1]], 5)


def test_a_decoder_tries_texts_that_name_its_answers(
    ptx: Run, tiny: dict[str, str], suite: str, tmp_path: Path
) -> None:
    """Neither a masked model nor a task with label words does, whose keys are what they were."""
    causal = str(make_causal_model(tmp_path / "causal"))

    def tuned(model: str, *more: str) -> list[dict]:
        result = ptx("tune", "--model", model, "--suite", suite, "--epochs", "1", "--json", *more)
        assert result.code == 0, result.err
        return [json.loads((Path(line["path"]) / "meta.json").read_text()) for line in result.at("tune")]

    for meta in tuned(causal):
        assert meta["config"]["tune"]["kinds"] == 3
        assert meta["metrics"]["text"]
    assert not any("kinds" in meta["config"]["tune"] for meta in tuned(tiny["a"]))
    assert not any("kinds" in meta["config"]["tune"] for meta in tuned(causal, "--init", "text:word1 word2"))
    assert not any("kinds" in meta["config"]["tune"] for meta in tuned(causal, "--init", "random"))


def test_the_best_text_of_two_decoders_is_one_that_both_tried(ptx: Run) -> None:
    named = ["--sources", "gpt2-micro,gpt2-mini", "--target", "bert-micro", "--tasks", "P19", "--limit", "12"]
    result = ptx("search", *named, "--method", "text", "--json")
    assert result.code == 0, result.err
    one, other = (
        {line["text"]: line["accuracy"] for line in map(json.loads, (file / "texts.jsonl").read_text().splitlines())}
        for file in (Path(line["path"]) for line in result.at("texts"))
    )
    (line,) = result.at("search")
    common = {text: (one[text] + other[text]) / 2 for text in one if text in other}
    assert max(map(len, (one, other))) > 7 + 5, "no text is made of what they call the answers"
    assert set(one) != set(other)
    metrics = json.loads((Path(line["path"]) / "meta.json").read_text())["metrics"]
    assert metrics["source_accuracy"] == common[metrics["text"]] == max(common.values())
