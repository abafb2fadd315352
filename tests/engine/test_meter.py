"""What a meter says of the time that is left, against runs whose speeds are known; its clock is set by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ptx.engine import ahead, meter, pace
from ptx.engine.meter import Meter, Report
from ptx.engine.step import Stage, Step
from ptx.engine.work import Work, some_of


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(meter, "time", clock)
    monkeypatch.setattr(meter, "IMPORTS", 0.0)
    monkeypatch.setattr(meter, "loading", lambda step: 0.0)
    return clock


def steps(stage: str, model: str, units: float, seconds: float, count: int = 4) -> list[Step]:
    of = Stage(stage, 1, work=lambda step: Work(3, "things", units, seconds=seconds))
    labels = {"model": model, "suite": "s"}
    return [Step(of, {"n": n}, labels={**labels, "task": f"R{n}"}, group=(model,)) for n in range(count)]


def run(clock: Clock, of: Meter, groups: list[list[Step]], pace: dict[str, float]) -> Iterator[tuple[float, float]]:
    """Build the groups, each step in ten reports, at so many real seconds for an expected one; gives elapsed and left
    after each report."""
    for group in groups:
        of.begin(group[0].stage.name)
        part = of.plan(group)
        of.report(part, Report())
        work = group[0].stage.work
        assert work is not None
        for _ in range(10 * len(group)):
            took = work(group[0]).seconds / 10 * pace[group[0].labels["model"]]
            clock.now += took
            of.report(part, Report(work(group[0]).units / 10, took))
            yield clock.now, of.left
        part.over = True


@pytest.mark.parametrize("pace", [0.2, 1.0, 7.0])
def test_the_time_left_is_that_of_the_runs_own_speed(clock, pace: float) -> None:
    groups = [steps("tune", "a", 100, 30), steps("tune", "b", 50, 60), steps("eval", "a", 10, 5)]
    of = Meter([step for group in groups for step in group])
    said = [*run(clock, of, groups, {"a": pace, "b": pace})]
    for share in (0.1, 0.5, 0.9):
        elapsed, left = min(said, key=lambda pair: abs(pair[0] - share * clock.now))
        assert left == pytest.approx(clock.now - elapsed, rel=0.15)
    assert of.left == 0


def test_each_kind_has_a_pace_of_its_own(clock) -> None:
    """A model that turns out to be slow says little of another, of which something was seen."""
    groups = [steps("tune", "a", 100, 30), steps("tune", "b", 100, 30)]
    of = Meter([step for group in groups for step in group])
    running = run(clock, of, groups, {"a": 1.0, "b": 3.0})
    for _ in range(50):
        next(running)
    assert of.left == pytest.approx(30 * 3 * 3.0, rel=0.2)


def test_earlier_runs_count_until_this_one_knows_better(clock) -> None:
    group = steps("tune", "a", 100, 30)
    labels = {"model": "a", "task": "R9"}
    metas: list[dict[str, Any]] = [
        {"stage": "tune", "labels": labels, "host": "here", "seconds": 50.0, "expected": 10.0},
        {"stage": "tune", "labels": labels, "host": "elsewhere", "seconds": 1.0, "expected": 10.0},
        {"stage": "tune", "labels": labels, "host": "here", "seconds": 9.0},  # by a version that expected nothing
    ]
    known = pace.earlier(metas, "here")
    assert known == {("tune", "", "a"): (50.0, 10.0)}
    of = Meter(group, known)
    assert of.left == pytest.approx(120 * 5, rel=0.3)
    assert [left for _, left in run(clock, of, [group], {"a": 1.0})][20] == pytest.approx(60, rel=0.5)


def test_side_by_side_it_takes_the_longest(clock) -> None:
    groups = [steps("tune", model, 100, 30) for model in ("a", "b", "c")]
    every = [step for group in groups for step in group]
    assert Meter(every, jobs=1).left == pytest.approx(360)
    assert Meter(every, jobs=2).left == pytest.approx(240)  # the third is alone
    assert Meter(every, jobs=9).left == pytest.approx(120)


def test_what_a_stage_plans_anew_counts(clock) -> None:
    group = steps("tune", "a", 100, 30)
    of = Meter(group)
    part = of.plan(group)
    of.report(part, Report(100, 30.0))
    assert part.rest == pytest.approx(90)
    of.report(part, Report(0, 0.0, left=100))
    assert part.rest == pytest.approx(30)
    assert of.left == pytest.approx(30)  # that there is less to do makes nothing faster
    again = Meter(group)
    again.report(again.plan(group), Report(left=100))  # it goes on where it was interrupted
    assert again.left == pytest.approx(30)


def test_a_part_of_a_stage_that_is_slower_counts_when_it_is_what_goes_on(clock) -> None:
    """A third of the work is twice as fast as the rest: soon after it, it is not what is expected to come."""
    (group,) = [steps("tune", "a", 100, 30, count=3)]
    of = Meter(group)
    part = of.plan(group)
    for units, took in [(10, 1.5)] * 10 + [(10, 3.0)] * 15:
        clock.now += took
        of.report(part, Report(units, took))
    assert of.left == pytest.approx(15, rel=0.1)


def test_reading_a_model_is_no_work(clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes, what comes after it is as fast as was expected."""
    monkeypatch.setattr(meter, "loading", lambda step: 2.0)
    group = steps("tune", "a", 100, 30)
    of = Meter(group)
    part = of.plan(group)
    assert of.left == pytest.approx(122)
    of.report(part, Report())
    clock.now += 40
    of.report(part, Report(seconds=40.0, now="step 1"))
    assert of.left == pytest.approx(120)


def test_every_process_has_its_imports(clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "IMPORTS", 5.0)
    groups = [steps("tune", model, 100, 30) for model in ("a", "b", "c")]
    every = [step for group in groups for step in group]
    assert Meter(every, jobs=1).left == pytest.approx(365)
    assert sum(part.loading for part in Meter(every, jobs=2).parts.values()) == pytest.approx(10)


def test_what_is_silent_comes_nearer(clock) -> None:
    group = steps("tune", "a", 100, 30)
    of = Meter(group)
    of.report(of.plan(group), Report(100, 30.0, now="step 1", of="R1", kept="after epoch 1"))
    before = of.left
    clock.now += 5
    assert of.left == pytest.approx(before - 5)
    (part,) = of.working
    assert (part.name, part.last.now, part.last.kept) == ("a R1", "step 1", "after epoch 1")


def test_what_is_not_built_after_all_is_done_with(clock) -> None:
    groups = [steps("tune", "a", 100, 30), steps("eval", "a", 100, 30)]
    of = Meter([step for group in groups for step in group])
    of.end(groups[0])
    assert of.left == pytest.approx(120)


def test_what_lies_ahead(clock, monkeypatch: pytest.MonkeyPatch) -> None:
    group = [*steps("tune", "a", 100, 30), *steps("encode", "a", 1, 0.1)]
    found = ahead.ahead(Meter(group), group, {"tune": 1000.0}, "cpu")
    assert (found.artifacts, found.amounts["tune"]) == ({"tune": 4, "encode": 4}, {"things": 12})
    assert found.seconds == pytest.approx(120.4)
    assert found.disk == 4 * 1000 + 4 * 250_000
    assert found.basis == "a guess by the models' size"
    known = ahead.ahead(Meter(group, {("tune", "", "a"): (5.0, 5.0)}), group, {}, "cuda")
    assert known.basis == "by earlier runs"
    assert ahead.ahead(Meter(group), group, {}, "cuda").seconds is None


def test_a_few_names() -> None:
    assert some_of(["P1", "P2", "P3", "P4"]) == "P1, P2 +2"
    assert some_of(["P1"]) == "P1"
