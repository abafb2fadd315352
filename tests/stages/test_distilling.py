"""`distil` and `ensemble` from the command line, against one forward pass for each input in float64."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from asking import both, history_of, product, prompt_of, said, words_of
from conftest import write_suite, write_topics

from ptx.cache import Store
from ptx.cli.output import Output
from ptx.config.search import SearchConfig
from ptx.config.tune import TuneConfig
from ptx.engine.pipeline import Pipeline
from ptx.errors import PtxError
from ptx.formats import read_prompt
from ptx.lms.models import resolve
from ptx.prompts.given import prompt_of as prompt_of_key
from ptx.stages.anchors import anchors_step
from ptx.stages.choice import prompt_step
from ptx.stages.settings import Settings
from ptx.stages.tune import FILE, tune_step
from ptx.suites import Fact
from ptx.transfer.distil import EVERY
from ptx.transfer.forecast import Seen, forecast

FEW = ["--distil-steps", str(EVERY), "--candidates", "text,residual:length=1"]


@pytest.mark.parametrize(("source", "target"), [("a", "narrow"), ("next", "b"), ("a,next", "b"), ("a", "next")])
def test_distil_goes_from_what_auto_finds_towards_the_aim(run, tiny, source, target) -> None:
    """The loss at every look that is known by hand: at the start, and of the prompt that was kept."""
    result = run("search", source, target, "--method", "distil", *FEW)
    by_method = {line["method"]: line for line in result.at("search") if not line.get("candidates")}
    line, start = by_method["distil"], next(of for of in result.at("search") if of["method"] == "auto")
    subjects = [f"name{i}" for i in range(24)]
    sources, own = both(result, tiny, target, subjects)
    mean = torch.stack(sources).mean(0)
    agreed = (mean.argmax(-1) == own.argmax(-1)).double().mean().item()
    assert line["text_agreement"] == pytest.approx(agreed)
    assert line["trust"] == 1.0
    assert line["source_confidence"] == pytest.approx(mean.amax(-1).mean().item(), abs=1e-3)
    assert line["target_confidence"] == pytest.approx(own.amax(-1).mean().item(), abs=1e-5)
    aim, held = product(sources, own, line["trust"])[3::4], subjects[3::4]

    def loss(prompt: torch.Tensor) -> float:
        return -(aim * said(tiny[target], prompt, held, words_of(result)).log()).sum(-1).mean().item()

    history = history_of(line)
    assert [look["steps"] for look in history] == [0, EVERY]
    assert history[0]["loss"] == pytest.approx(loss(prompt_of(start)), rel=2e-3)  # of answers kept in float16
    assert min(look["loss"] for look in history) == pytest.approx(loss(prompt_of(line)), rel=2e-3)
    best = min(history, key=lambda look: look["loss"])
    assert line["selected_step"] == best["steps"]
    assert torch.equal(prompt_of(line), prompt_of(start)) == (best["steps"] == 0)
    says = said(tiny[target], prompt_of(line), subjects, words_of(result))
    agreement = (says.argmax(-1) == mean.argmax(-1)).double().mean().item()
    assert line["agreement"] == pytest.approx(agreement)
    assert line["confidence"] == pytest.approx(says.amax(-1).mean().item(), rel=1e-4)
    assert (line["inputs"], line["held_back"]) == (24, 6)


def test_trust_as_it_is_given(run, tiny) -> None:
    """Without any, no text is asked, and the sources alone are the aim."""
    subjects = [f"name{i}" for i in range(24)]
    found = {}
    for trust in ("0", "0.5", "1"):
        result = run("search", "a", "narrow", "--method", "distil", *FEW, "--trust", trust)
        line = next(of for of in result.at("search") if of["method"] == "distil")
        start = next(of for of in result.at("search") if of["method"] == "auto")
        sources, own = both(result, tiny, "narrow", subjects)
        aim = product(sources, own, float(trust))[3::4]
        says = said(tiny["narrow"], prompt_of(start), subjects[3::4], words_of(result))
        assert line["trust"] == float(trust)
        assert history_of(line)[0]["loss"] == pytest.approx(-(aim * says.log()).sum(-1).mean().item(), rel=2e-3)
        assert ("text_agreement" in line) == (trust != "0")
        found[trust] = line["key"]
    assert len({*found.values()}) == 3


def test_steps_pay(run) -> None:
    """A tiny random model comes closer to what its source answers."""
    result = run("search", "a", "b", "--method", "distil", "--trust", "0", "--candidates", "text")
    line = next(of for of in result.at("search") if of["method"] == "distil")
    history = history_of(line)
    assert [look["steps"] for look in history] == [*range(0, 37, EVERY)]
    assert history[-1]["loss"] < history[0]["loss"]


def distilled(tiny: dict[str, str], suite: str, objects: list[str]) -> tuple[str, torch.Tensor]:
    """The key and the prompt, the target's task having these objects in turn."""
    search = SearchConfig(candidates="residual:length=0.0", distil_steps=EVERY, trust=0.0)
    settings = Settings(suite, tune=TuneConfig(epochs=1), search=search)
    task = settings.chosen_tasks()[0]
    tuned, words = tune_step(resolve(tiny["a"]), task, settings), anchors_step([tiny["a"], tiny["b"]], settings)
    facts = [Fact(fact.subject, objects[i % len(objects)]) for i, fact in enumerate(task.splits["train"])]
    other = dataclasses.replace(task, splits={**task.splits, "train": tuple(facts)})
    step = prompt_step("distil", [tuned], resolve(tiny["b"]), other, words, settings)
    out = Output(quiet=True)
    outcomes = Pipeline(Store(Path("cache"), out.warn), out).run([step], force="search")
    outcome = next(outcome for outcome in outcomes if outcome.step.key == step.key)
    assert outcome.artifact is not None, outcome.error
    return step.key, read_prompt(outcome.artifact.path / FILE)


def test_what_is_to_be_expected_is_said(run) -> None:
    result = run("search", "a", "b", "--method", "distil", *FEW)
    line = next(of for of in result.at("search") if of["method"] == "distil")
    (tuned,) = result.at("tune")
    seen = Seen(line["agreement"], line["kappa"], line["confidence"], line["inputs"])
    expected = forecast(seen, tuned["dev_accuracy"], tuned["majority"], 8)
    assert [line[name] for name in ("forecast", "forecast_low", "forecast_high")] == pytest.approx(
        [expected.accuracy, expected.low, expected.high]
    )
    assert "accuracy to expect of distil from" in result.err
    asked = run("search", "a", "b", "--method", "distil", *FEW, "--forecast")  # says what is said anyway
    assert asked.at("search")[-1]["key"] == line["key"]


def test_objects_of_the_target_are_never_read(ptx, tiny, suite) -> None:
    """Nor does anything else differ from run to run."""
    asked = (["Peru"], ["Peru"], ["Kenya", "France"])
    (key, one), (same, again), (third, other) = (distilled(tiny, suite, objects) for objects in asked)
    assert key == same == third
    assert torch.equal(one, again)
    assert torch.equal(one, other)


def test_what_distil_starts_from_is_kept_beside_it(run) -> None:
    anchors = run("search", "a", "b", "--method", "distil", *FEW).at("anchors")[0]["key"]
    again = run("search", "a", "b", "--method", "auto", *FEW[2:], "--anchors", anchors)
    assert all(line["reused"] for line in again.lines)
    other = run("search", "a", "b", "--method", "distil", *FEW, "--trust", "0.5", "--anchors", anchors)
    assert [line["method"] for line in other.at("search") if not line["reused"]] == ["distil"]


def test_ensemble_is_the_product_of_what_both_models_say(run, tiny, suite) -> None:
    """On the facts that are scored, with ranks; its row says what it needs, and stands with the others."""
    result = run("eval", "a,next", "narrow", "--method", "ensemble", "--weights", "1,1")
    (line,) = result.at("eval")
    facts = [json.loads(text) for text in (Path(suite) / "R1" / "test.jsonl").read_text().splitlines()]
    subjects, words = [fact["sub_label"] for fact in facts], words_of(result)
    wanted = product(*both(result, tiny, "narrow", subjects), 1.0)
    stored = [json.loads(text) for text in (Path(line["path"]) / "predictions.jsonl").read_text().splitlines()]
    for fact, of, p in zip(facts, stored, wanted, strict=True):
        assert of["subject"] == fact["sub_label"]
        assert of["predicted"] == words[int(p.argmax())]
        assert of["probability"] == pytest.approx(p.max().item(), rel=3e-3)
        assert of["rank"] == 1 + (p > p[words.index(fact["obj_label"])]).sum().item()
    right = [words[int(p.argmax())] == fact["obj_label"] for fact, p in zip(facts, wanted, strict=True)]
    assert line["accuracy"] == pytest.approx(sum(right) / len(right))
    assert not [of for of in result.lines if of["stage"] == "search" and of["method"] != "text"]


def test_rows_say_what_they_need(run, ptx) -> None:
    key = run("eval", "a", "b", "--method", "ensemble").at("eval")[0]["key"]
    run("eval", "a", "b", "--method", "distil", *FEW)
    run("eval", "a", "b", "--method", "auto", *FEW[2:])
    shown = " ".join(ptx("table").out.split())
    assert "distil (gradients on the target, unlabelled inputs)" in shown
    assert "ensemble (the sources' models for every answer)" in shown
    assert shown.count("split: 1 task,") == 1  # one table
    store = Store(Path("cache"), print)
    with pytest.raises(PtxError, match=f"{key[:12]} is of several models asked at once, not of a soft prompt"):
        prompt_of_key(store.find(key, ("eval",)), store)


def test_labels_are_answered_among_themselves(ptx, tiny, tmp_path) -> None:
    folder = write_topics(tmp_path / "moods")
    common = ["--sources", tiny["a"], "--target", tiny["narrow"], "--suite", str(folder), "--epochs", "1", "--json"]
    for method, more in (("distil", FEW), ("ensemble", [])):
        result = ptx("eval", *common, "--method", method, *more)
        assert result.code == 0, result.err
        assert len(result.at("eval")) == 1


def test_a_task_without_a_text_is_distilled_without_trust(ptx, tiny, tmp_path) -> None:
    folder = write_suite(tmp_path / "bare", ("R1",))
    (folder / "relations.jsonl").unlink()
    common = ["--sources", tiny["a"], "--target", tiny["b"], "--suite", str(folder), "--epochs", "1"]
    distil = ["--method", "distil", "--candidates", "relative:top_k=20", "--distil-steps", "1", "--json"]
    result = ptx("search", *common, *distil)
    assert result.code == 1
    assert "the task has none" in " ".join(result.err.split())
    assert "or add --trust 0" in " ".join(result.err.split())
    result = ptx("search", *common, *distil, "--trust", "0")
    assert result.code == 0, result.err


def test_too_few_inputs_are_refused(ptx, tiny, suite, tmp_path) -> None:
    (tmp_path / "few.txt").write_text("name1\nname2\nname3\n")
    models = ["--sources", tiny["a"], "--target", tiny["b"], "--suite", suite, "--tasks", "R1", "--epochs", "1"]
    result = ptx("search", *models, "--method", "distil", *FEW, "--inputs", "few.txt")
    assert result.code == 1
    assert "task R1: 3 inputs are too few to learn from, as a quarter is held back" in " ".join(result.err.split())


@pytest.mark.parametrize(
    ("command", "args", "message"),
    [
        ("search", ["--method", "distil", "--trust", "nan"], "--trust nan is less than 0"),
        ("search", ["--method", "distil", "--trust", "inf"], "--trust inf is no number"),
        ("search", ["--method", "distil", "--trust", "-1"], "--trust -1.0 is less than 0"),
        ("search", ["--method", "distil", "--distil-steps", "0"], "--distil-steps 0 is less than 1"),
        ("search", ["--method", "distil", "--select", "dev"], "--method distil does not use --select"),
        ("search", ["--method", "ensemble"], "ensemble"),
    ],
)
def test_what_cannot_be_asked(ptx, tiny, suite, command, args, message) -> None:
    result = ptx(command, "--sources", tiny["a"], "--target", tiny["b"], "--suite", suite, *args)
    assert result.code == 2
    assert message in " ".join(result.err.split())
