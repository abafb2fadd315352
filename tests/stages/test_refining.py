"""`auto` with its steps by forward passes, from the command line, against one forward pass for each input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from asking import both, history_of, product, prompt_of, said, words_of
from conftest import write_suite

from ptx.config.search import REFINE
from ptx.stages.tune import FILE

SUBJECTS = [f"name{i}" for i in range(24)]
HELD = SUBJECTS[3::4]
FEW = ["--candidates", "text,residual:length=1"]


def steps_of(result: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The choice, and what came of it."""
    choice, refined = (line for line in result.at("search") if line["method"] == "auto")
    return choice, refined


@pytest.mark.parametrize(("source", "target"), [("a", "narrow"), ("next", "b"), ("a,next", "b")])
def test_auto_goes_from_its_choice_towards_the_aim(run, tiny, source, target) -> None:
    """The loss at every look that is known by hand, on inputs not learned from; and the agreement of what it is."""
    result = run("search", source, target, "--method", "auto", *FEW, "--refine", "6")
    choice, line = steps_of(result)
    assert line["chosen"] == choice["chosen"]
    sources, own = both(result, tiny, target, SUBJECTS)
    mean, words = torch.stack(sources).mean(0), words_of(result)
    aim = product(sources, own, 1.0)[3::4]

    def loss(prompt: torch.Tensor) -> float:
        return -(aim * said(tiny[target], prompt, HELD, words).log()).sum(-1).mean().item()

    history = history_of(line)
    assert [look["steps"] for look in history] == [0, 6]
    assert history[0]["loss"] == pytest.approx(loss(prompt_of(choice)), rel=2e-3)  # of answers kept in float16
    assert min(look["loss"] for look in history) == pytest.approx(loss(prompt_of(line)), rel=2e-3)
    assert line["selected_step"] == min(history, key=lambda look: look["loss"])["steps"]
    assert torch.equal(prompt_of(line), prompt_of(choice)) == (line["selected_step"] == 0)
    answered = said(tiny[target], prompt_of(line), SUBJECTS, words)
    assert line["agreement"] == pytest.approx((answered.argmax(-1) == mean.argmax(-1)).double().mean().item())
    assert line["confidence"] == pytest.approx(answered.amax(-1).mean().item(), rel=1e-4)
    assert line["text_agreement"] == pytest.approx((own.argmax(-1) == mean.argmax(-1)).double().mean().item())
    assert (line["inputs"], line["held_back"]) == (24, len(HELD))


def test_it_does_so_unless_candidates_are_named(run) -> None:
    result = run("search", "a", "narrow", "--method", "auto")
    assert history_of(steps_of(result)[1])[-1]["steps"] == REFINE
    named = run("search", "a", "narrow", "--method", "auto", *FEW)
    (line,) = (line for line in named.at("search") if line["method"] == "auto")
    plain = run("search", "a", "narrow", "--method", "auto", *FEW, "--refine", "0")
    assert plain.at("search")[-1]["key"] == line["key"]
    assert "selected_step" not in line


def test_a_distilled_prompt_starts_from_the_choice_itself(run) -> None:
    """Steps by forward passes before those with gradients would be wasted."""
    refined = run("search", "a", "narrow", "--method", "auto")
    distilled = run("search", "a", "narrow", "--method", "distil", "--distil-steps", "6")
    (choice,) = (line for line in distilled.at("search") if line["method"] == "auto")
    assert choice["key"] == steps_of(refined)[0]["key"]
    assert choice["reused"]


def test_where_there_is_nothing_to_learn_the_choice_stays(run, tiny, tmp_path) -> None:
    """Three inputs are too few; and the source's own prompt says all that it says."""
    few = tmp_path / "few.txt"
    few.write_text("name1\nname2\nname3\n")
    for target, more in (("narrow", ["--inputs", str(few)]), ("a", [])):
        result = run("search", "a", target, "--method", "auto", *more)
        choice, line = steps_of(result)
        assert line["selected_step"] == 0
        assert torch.equal(prompt_of(line), prompt_of(choice))
        assert {name: line[name] for name in ("agreement", "kappa", "inputs")} == {
            name: choice[name] for name in ("agreement", "kappa", "inputs")
        }
        if target == "a":
            assert (line["chosen"], line["agreement"]) == ("direct", 1.0)


def test_without_a_text_the_sources_alone_are_followed(ptx, tiny, tmp_path) -> None:
    folder = write_suite(tmp_path / "bare", ("R1",))
    (folder / "relations.jsonl").unlink()
    common = ["--sources", tiny["a"], "--target", tiny["narrow"], "--suite", str(folder), "--epochs", "1", "--json"]
    result = ptx("search", *common, "--method", "auto")
    assert result.code == 0, result.err
    _, line = steps_of(result)
    assert line["trust"] == 0
    assert "text" not in line


def test_evaluations_say_what_was_to_be_expected_of_it(run) -> None:
    result = run("eval", "a", "narrow", "--method", "auto")
    (line,) = result.at("eval")
    _, refined = steps_of(result)
    meta = json.loads((Path(refined["path"]) / "meta.json").read_text())
    assert (Path(refined["path"]) / FILE).exists()
    assert line["forecast"] == refined["forecast"] == meta["metrics"]["forecast"]
    assert line["agreement"] == refined["agreement"]
    said = " ".join(result.err.split())  # of what it began with nothing is said
    assert said.count("accuracy to expect of") == 1
    assert f"R1 {100 * line['forecast']:.1f} %" in said
    assert "mean" not in said.split("accuracy to expect of")[1].split("target")[0]


@pytest.mark.parametrize("kappa", [-1.0, 1.5])
def test_enough_agreement_with_the_sources_alone_is_left_as_it_is(run, monkeypatch, kappa: float) -> None:
    """Where the target's own text is asked, too, it has no say."""

    def enough(result: Any) -> float | None:
        meta = json.loads((Path(steps_of(result)[1]["path"]) / "meta.json").read_text())
        return meta["config"]["search"].get("enough")

    result = run("search", "a", "narrow", "--method", "auto", *FEW, "--refine", "6", "--trust", "0")
    assert enough(result) == 0.8
    monkeypatch.setattr("ptx.stages.aims.ENOUGH", {"enough": kappa})
    alone = run("search", "a", "narrow", "--method", "auto", *FEW, "--refine", "6", "--trust", "0")
    choice, line = steps_of(alone)
    assert torch.equal(prompt_of(line), prompt_of(choice)) == (kappa < choice["kappa"])
    assert line["key"] != steps_of(result)[1]["key"]
    both_asked = run("search", "a", "narrow", "--method", "auto", *FEW, "--refine", "6")
    assert enough(both_asked) is None
    assert not torch.equal(prompt_of(steps_of(both_asked)[1]), prompt_of(choice))
