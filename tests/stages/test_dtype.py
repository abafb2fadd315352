"""`--dtype`: what models compute in, and where it enters keys."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import Result

from ptx.config import SearchConfig
from ptx.formats import read_prompt
from ptx.lms.lm import load_model
from ptx.lms.models import resolve
from ptx.lms.template import LAYOUTS
from ptx.stages.anchors import anchors_step
from ptx.stages.encode import encode_step
from ptx.stages.eval import eval_step
from ptx.stages.search import search_step
from ptx.stages.settings import Settings
from ptx.stages.tune import FILE, tune_step
from ptx.suites import load_suite


def predictions(line: dict) -> list[str]:
    return [json.loads(x)["predicted"] for x in (Path(line["path"]) / "predictions.jsonl").read_text().splitlines()]


def test_bfloat16_answers_alike(ptx: Callable[..., Result]) -> None:
    """One prompt, tuned in float32, evaluated in both: at least 95% of the predicted words are the same."""
    args = ["--target", "bert-micro", "--tasks", "P103,P138,P27", "--epochs", "2", "--json"]
    whole = ptx("eval", *args)
    words, half_words = [], []
    for line in whole.at("tune"):
        (half,) = ptx("eval", "--target", "bert-micro", "--prompt", line["key"], "--dtype", "bfloat16", "--json").at(
            "eval"
        )
        half_words += predictions(half)
    for line in whole.at("eval"):
        words += predictions(line)
    same = sum(a == b for a, b in zip(words, half_words, strict=True)) / len(words)
    assert len(words) > 150
    assert 0.95 <= same < 1.0  # it did compute in something else


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_prompt_tuned_in_half_precision(
    tiny: dict[str, str], suite: str, ptx: Callable[..., Result], dtype: str
) -> None:
    args = ["eval", "--sources", tiny["a"], "--target", tiny["narrow"], "--suite", suite, "--epochs", "2"]
    half = ptx(*args, "--dtype", dtype, "--json")
    assert half.code == 0, half.err
    prompt = read_prompt(Path(half.at("tune")[0]["path"]) / FILE)
    assert prompt.dtype == torch.float32
    assert not torch.equal(prompt, prompt.to(getattr(torch, dtype)).float())  # updates finer than the model computes in
    assert [line["reused"] for line in half.at("anchors")] == [False]
    whole = ptx(*args, "--json")
    assert {line["key"] for line in whole.lines} & {line["key"] for line in half.lines} == {
        half.at("anchors")[0]["key"]
    }
    table = ptx("table").out
    assert table.count("test split") == 2
    assert table.count(f"dtype {dtype}") == 1


def test_what_the_network_computes_in(tiny: dict[str, str]) -> None:
    model = load_model(resolve(tiny["a"]), "cpu", "bfloat16")
    assert {parameter.dtype for parameter in model.network.parameters()} == {torch.bfloat16}
    assert model.embeddings.dtype == torch.float32
    prompt = model.embeddings[:2].clone().requires_grad_()
    logits = model.logits(model.collate(model.rows(LAYOUTS["postfix"], ["name1"], prompt_length=2)), prompt[None])
    assert logits.dtype == torch.float32
    logits.sum().backward()
    assert prompt.grad is not None
    assert prompt.grad.dtype == torch.float32


def test_only_what_runs_a_model_depends_on_it() -> None:
    model, task = resolve("bert-micro"), load_suite("facts").tasks[0]
    prompt = tune_step(model, task, Settings())

    def keys(dtype: str) -> dict[str, str]:
        settings = Settings(dtype=dtype)
        chosen = Settings(dtype=dtype, search=SearchConfig(solver="adam", select="dev"))
        words = anchors_step(["bert-micro"], settings)
        steps = {
            "anchors": words,
            "tune": tune_step(model, task, settings),
            "encode": encode_step(prompt, words, settings),
            "search": search_step("relative", [prompt], model, task, words, settings),
            "search by dev facts": search_step("relative", [prompt], model, task, words, chosen),
            "eval": eval_step("manual", None, model, task, words, settings),
        }
        return {name: step.key for name, step in steps.items()}

    whole, half = keys("float32"), keys("bfloat16")
    assert {name for name in whole if whole[name] != half[name]} == {"tune", "search by dev facts", "eval"}
