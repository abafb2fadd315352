"""`--dtype`: what models compute in, and where it enters keys."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import PAPER_TUNING, Result
from safetensors.torch import load_file, save_file

from ptx.config.search import SearchConfig
from ptx.formats import read_prompt
from ptx.lms import weights
from ptx.lms.lm import load_model
from ptx.lms.models import resolve
from ptx.lms.template import LAYOUTS
from ptx.stages.anchors import anchors_step
from ptx.stages.encode import encode_step
from ptx.stages.eval import eval_step
from ptx.stages.methods import method_named
from ptx.stages.search import search_step
from ptx.stages.settings import Settings
from ptx.stages.tune import FILE, tune_step
from ptx.suites import load_suite


def predictions(line: dict, what: str = "predicted") -> list[Any]:
    return [json.loads(x)[what] for x in (Path(line["path"]) / "predictions.jsonl").read_text().splitlines()]


def test_bfloat16_answers_alike(ptx: Callable[..., Result]) -> None:
    """One prompt, tuned in float32, evaluated in both: at least 95% of the predicted words are the same."""
    args = ["--target", "bert-micro", "--tasks", "P103,P138,P27", "--epochs", "2", "--json"]
    whole = ptx("eval", *args)
    words, half_words, sure, half_sure = [], [], [], []
    for line in whole.at("tune"):
        (half,) = ptx("eval", "--target", "bert-micro", "--prompt", line["key"], "--dtype", "bfloat16", "--json").at(
            "eval"
        )
        half_words += predictions(half)
        half_sure += predictions(half, "probability")
    for line in whole.at("eval"):
        words += predictions(line)
        sure += predictions(line, "probability")
    same = sum(a == b for a, b in zip(words, half_words, strict=True)) / len(words)
    assert len(words) > 150
    assert same >= 0.95
    assert sure != half_sure  # it did compute in something else


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_prompt_tuned_in_half_precision(
    tiny: dict[str, str], suite: str, ptx: Callable[..., Result], dtype: str
) -> None:
    pair = ["--sources", tiny["a"], "--target", tiny["narrow"]]
    args = ["eval", *pair, "--suite", suite, *PAPER_TUNING, "--epochs", "2"]
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
    assert model.matrix.dtype == torch.bfloat16  # the network's own; what is taken from it is in float32
    assert model.word_embeddings(["name1"]).dtype == torch.float32
    prompt = model.matrix[:2].float().requires_grad_()
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


def half_of(folder: str, to: Path) -> str:
    """A copy of a model whose weights are in bfloat16."""
    shutil.copytree(folder, to)
    weights = {name: tensor.bfloat16() for name, tensor in load_file(to / "model.safetensors").items()}
    save_file(weights, to / "model.safetensors", metadata={"format": "pt"})
    return str(to)


def test_auto_is_the_type_of_the_files(tiny: dict[str, str], tmp_path: Path) -> None:
    """And nothing else in the key: as if it had been named."""
    task, half = load_suite("facts").tasks[0], resolve(half_of(tiny["a"], tmp_path / "half"))
    for model, own in ((resolve(tiny["a"]), "float32"), (half, "bfloat16"), (resolve("bert-micro"), "float16")):
        auto, named = (tune_step(model, task, Settings(dtype=dtype)) for dtype in ("auto", own))
        assert auto.key == named.key
        assert auto.settings.get("dtype", "float32") == own
    (tmp_path / "half" / "model.safetensors").rename(tmp_path / "half" / "pytorch_model.bin")
    config = json.loads((tmp_path / "half" / "config.json").read_text())
    for said in ("bfloat16", "float32"):  # no header: what its configuration says
        (tmp_path / "half" / "config.json").write_text(json.dumps({**config, "dtype": said}))
        assert weights.own_type(tmp_path / "half") == said


def test_a_source_is_not_tuned_again_for_a_target_in_another_type(
    tiny: dict[str, str], suite: str, ptx: Callable[..., Result]
) -> None:
    args = ["eval", "--sources", tiny["a"], "--target", tiny["narrow"], "--suite", suite, "--epochs", "1", "--json"]
    whole = ptx(*args)
    for dtype in (
        "target=bfloat16",
        f"{tiny['narrow']}=bfloat16",
        f"bfloat16,{tiny['a']}=float32",
        "bfloat16,source=float32",
    ):
        half = ptx(*args, "--dtype", dtype)
        assert half.code == 0, half.err
        for stage in ("anchors", "tune", "encode", "search"):
            assert {line["key"] for line in half.at(stage)} == {line["key"] for line in whole.at(stage)}
        assert not {line["key"] for line in half.at("eval")} & {line["key"] for line in whole.at("eval")}
    assert all(line["reused"] for line in half.lines)  # the four are ways to say one thing


def test_the_target_in_its_roles(tiny: dict[str, str]) -> None:
    model, task = resolve(tiny["a"]), load_suite("facts").tasks[0]
    settings = Settings(dtype="target=float16,source=bfloat16")
    assert tune_step(model, task, settings).settings["dtype"] == "bfloat16"
    tuned = method_named("tuned").own
    assert tuned is not None
    step = tuned(model, task, settings)
    assert step is not None
    assert step.settings["dtype"] == "float16"
    settings = Settings(dtype=f"source=bfloat16,{model.name}=float16")
    assert tune_step(model, task, settings).settings["dtype"] == "float16"


@pytest.mark.parametrize(
    ("dtype", "says", "hint"),
    [
        (
            "float64",
            "--dtype 'float64' is no type",
            "did you mean float16? choose among float32, bfloat16, float16, auto",
        ),
        ("target=half", "--dtype 'target=half' is no type", "write it like target=bfloat16"),
        ("=bfloat16", "--dtype '=bfloat16' is no type", "write it like target=bfloat16"),
        ("target=auto,target=float16", "says twice what target compute in", "leave one out"),
        ("auto,float16", "says twice what models compute in", "leave one out"),
        ("", "--dtype names no type", "choose among"),
        ("gpt=float16", "no model of this command is called 'gpt'", "name bert-micro, or write source= or target="),
    ],
)
def test_what_is_no_dtype(dtype: str, says: str, hint: str, ptx: Callable[..., Result]) -> None:
    told = ptx("tune", "--model", "bert-micro", "--tasks", "P103", "--dtype", dtype)
    assert told.code == 2
    assert says in told.err
    assert hint in told.err.replace("\n", " ")
