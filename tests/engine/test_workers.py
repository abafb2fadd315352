"""Groups side by side: each as soon as what it needs is done, and a process that is killed costs its own group only."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
from stubs import Told, stub

from ptx.cache import Store
from ptx.engine import workers
from ptx.engine.graph import Graph, divided, grouped, needs, span
from ptx.engine.message import Writer, read
from ptx.engine.meter import Report
from ptx.engine.pipeline import Pipeline
from ptx.suites import load_suite


def test_a_group_is_handed_out_when_all_that_it_needs_is_done() -> None:
    tunes = [stub("tune", n) for n in range(3)]
    searches = [stub("search", 3, tunes[0], tunes[1]), stub("search", 4, tunes[2])]
    graph = Graph(needs(grouped([*tunes, *searches, stub("eval", 5, searches[0])], {})))
    assert [graph.next() for _ in range(4)] == [0, 1, 2, None]
    graph.done(2)
    assert [graph.next(), graph.next()] == [4, None]
    graph.done(0)
    assert graph.next() is None
    graph.done(1)
    assert [graph.next(), graph.next()] == [3, None]
    graph.done(3)
    assert [graph.next(), graph.next()] == [5, None]


def test_how_long_groups_take_side_by_side() -> None:
    alone = [set[int]() for _ in range(3)]
    assert [span(alone, [5.0, 3.0, 4.0], workers) for workers in (1, 2, 3, 9)] == [12, 7, 5, 5]
    behind = [set[int](), {0}, set[int](), {1, 2}]  # one waits for the first, and the last for that one and another
    assert [span(behind, [5.0, 3.0, 4.0, 1.0], workers) for workers in (1, 2)] == [13, 9]
    assert span(behind, [0.0, 3.0, 4.0, 1.0], 2) == 5  # the first is done
    assert span([], [], 2) == 0


def test_no_stage_waits_for_the_whole_of_the_one_before(tmp_path: Path) -> None:
    """What is made of a quick step is done before a slow one of the same stage."""
    log = str(tmp_path / "log")
    slow, quick = stub("tune", 0, seconds=1.5, log=log), stub("tune", 1, log=log)
    goals = [stub("eval", 2, slow, log=log), stub("eval", 3, stub("search", 4, quick, log=log), log=log)]
    store = Store(tmp_path / "cache", print)
    outcomes = Pipeline(store, Told(), jobs=2).run(goals)
    assert [o.error for o in outcomes] == [None] * 5
    lines = [" ".join(line.split()[:3]) for line in Path(log).read_text().splitlines()]
    assert lines.index("eval 3 done") < lines.index("tune 0 done") < lines.index("eval 2 begun")
    (made,) = (o.artifact for o in outcomes if o.step.key == goals[1].key)
    assert made is not None
    assert (made.path / "said.txt").read_text() == "3(4(1()))"


def test_a_killed_process_costs_its_own_group_only(tmp_path: Path) -> None:
    tunes = [stub("tune", 0, dies=True), *(stub("tune", n, seconds=0.3) for n in (1, 2))]
    goals = [stub("eval", 10 + n, tune) for n, tune in enumerate(tunes)]
    outcomes = Pipeline(Store(tmp_path / "cache", print), Told(), jobs=2).run(goals)
    failed = {o.step.settings["n"]: o.error for o in outcomes if o.error}
    assert set(failed) == {0, 10}
    for error in failed.values():
        assert error is not None
        assert error.message == "a worker process was killed, perhaps because memory ran out"
        assert "--jobs 1" in error.hint
    assert sum(o.artifact is not None for o in outcomes) == 4
    assert not list((tmp_path / "cache" / "tasks").glob("*"))


def test_messages_name_facts_by_a_file(tmp_path: Path, suite: str) -> None:
    import dataclasses

    tasks = [
        dataclasses.replace(task, as_written=True, paraphrases=("[X] lies in [Y]",), strict=True, truncate=True)
        for task in load_suite(suite).tasks
    ]
    steps = [dataclasses.replace(stub("tune", n), task=task) for n, task in enumerate(tasks)]
    writer = Writer(tmp_path)
    message = writer.message(steps)
    assert b"name1" not in message
    assert len(list(tmp_path.iterdir())) == len(tasks)
    back = read(message)
    assert [step.task for step in back] == list(tasks)
    assert [step.key for step in back] == [step.key for step in steps]
    assert [step.task.digest("train") for step in back if step.task] == [task.digest("train") for task in tasks]


@pytest.mark.parametrize("workers", [1, 4])
def test_a_large_group_is_shared_by_several_workers(workers: int) -> None:
    import dataclasses

    from ptx.engine.work import Work

    stage = dataclasses.replace(stub("tune", 0).stage, work=lambda step: Work(1, "", seconds=20.0))
    steps = [dataclasses.replace(stub("tune", n), stage=stage, group=("g",)) for n in range(8)]
    portions = divided(steps, workers)
    groups = grouped(steps, portions)
    assert len(groups) == (1 if workers == 1 else 5)  # 160 s, each of at least 30
    assert sorted(step.key for group in groups for step in group) == sorted(step.key for step in steps)
    small = [dataclasses.replace(step, stage=stub("tune", 0).stage) for step in steps]
    assert divided(small, workers) == {}


class Timer:
    """Goes off when the test says so."""

    made: ClassVar[list[Timer]] = []

    def __init__(self, seconds: float, call: Callable[[], None]) -> None:
        self.go_off, self.running = call, False
        self.made.append(self)

    def start(self) -> None:
        self.running = True

    def cancel(self) -> None:
        self.running = False


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> list[Timer]:
    monkeypatch.setattr(threading, "Timer", Timer)
    monkeypatch.setattr(Timer, "made", [])
    return Timer.made


def test_a_worker_says_soon_that_it_has_begun_and_then_what_was_done_each_second(timers, monkeypatch) -> None:
    now = 100.0
    monkeypatch.setattr(workers, "time", SimpleNamespace(monotonic=lambda: now))
    sent: list[Report] = []
    with workers.joined(sent.append) as hear:
        (timer,) = timers
        hear(Report())
        assert sent == []
        assert timer.running
        timer.go_off()
        assert sent == [Report()]
        for _ in range(8):
            now += 0.3
            hear(Report(2.0, 0.3, "answers"))
        assert [(report.units, round(report.seconds, 3)) for report in sent[1:]] == [(8.0, 1.2), (8.0, 1.2)]
        hear(Report(1.0, 0.1, left=5.0))  # a change of plan does not wait
        assert sent[-1] == Report(1.0, 0.1, left=5.0)
    assert not timer.running


def test_a_group_that_is_done_at_once_says_nothing(timers) -> None:
    sent: list[Report] = []
    with workers.joined(sent.append) as hear:
        (timer,) = timers
        hear(Report())
        hear(Report(2.0, 0.01))
    timer.go_off()  # in just this moment
    assert sent == []
