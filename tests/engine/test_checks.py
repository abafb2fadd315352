"""NaN and infinite values stop the step that made them, by name, and nothing of it is kept."""

from __future__ import annotations

import math

import pytest
import torch
from conftest import PAPER_TUNING
from safetensors.torch import save

from ptx.engine.checks import bad_value
from ptx.engine.step import Payload, Step
from ptx.stages import stage_named
from ptx.transfer import equations, scoring, solvers, tuning

BAD = (math.nan, math.inf, -math.inf)


def step(stage: str) -> Step:
    return Step(stage_named(stage), {"lr": 0.01}, labels={"model": "bert", "task": "P17"})


@pytest.mark.parametrize("bad", BAD)
def test_where_a_bad_value_is(bad: float) -> None:
    good = torch.ones(2, 3)
    found = bad_value(step("tune"), Payload({"prompt.safetensors": save({"prompt": good * bad})}))
    assert (
        str(found) == "tune P17 on bert: NaN or infinite values in prompt.safetensors (prompt); nothing of it is kept"
    )
    assert found is not None
    assert "--lr 0.001" in found.hint
    lines = f'{{"p": 0.5}}\n{{"p": {str(bad).replace("inf", "Infinity").replace("nan", "NaN")}}}\n'.encode()
    assert "predictions.jsonl, line 2" in str(bad_value(step("eval"), Payload({"predictions.jsonl": lines})))
    metrics = {"accuracy": 1.0, "history": [{"loss": 1.0}, {"loss": bad}]}
    assert "the figure history" in str(bad_value(step("tune"), Payload({}, metrics)))
    assert bad_value(step("tune"), Payload({"prompt.safetensors": save({"prompt": good})}, {"n": 1})) is None


@pytest.fixture
def run(ptx, tiny, suite):
    args = ["--sources", tiny["a"], "--target", tiny["b"], "--suite", suite, *PAPER_TUNING, "--epochs", "1"]
    return lambda: ptx("eval", *args)


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("stage", ["tune", "encode", "search", "eval"])
def test_a_bad_value_stops_its_stage_by_name(run, tmp_path, monkeypatch, stage: str, bad: float) -> None:
    with monkeypatch.context() as patch:
        if stage == "tune":
            patch.setattr(tuning, "initial_prompt", lambda embeddings, *rest: torch.full((5, embeddings.shape[1]), bad))
        elif stage == "encode":
            represent = equations.relative_representation
            broken = lambda vectors, *, anchors: represent(vectors, anchors=anchors) * bad  # noqa: E731
            patch.setattr(equations, "relative_representation", broken)
        elif stage == "search":
            exact = solvers.exact
            patch.setattr(solvers, "exact", lambda *args, **more: exact(*args, **more) * bad)
        else:
            answer = scoring.answer

            def break_evaluation(model, asked, **more):
                found = answer(model, asked, **more)
                for (questions, _), answers in zip(asked, found, strict=True):
                    if questions.words is not None:  # tuning's dev answers are any token
                        answers.probabilities[0][0] = bad
                return found

            patch.setattr(scoring, "answer", break_evaluation)
        ended = run()
    assert ended.code == 1
    assert "Traceback" not in ended.err
    assert "hint: " in ended.err
    told = [line for line in ended.err.splitlines() if "R1" in line and "has not learned" not in line]
    assert {line.startswith("error: ") for line in told} == {True}
    assert any(word in ended.err for word in ("diverged", "not finite", "NaN or infinite values in"))
    assert not list((tmp_path / "cache" / "v1").glob(f"{stage}/*"))
    assert run().code == 0
