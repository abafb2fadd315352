"""How far a run is and how long it goes on: what stages report of their work, and what that took.

Nothing is drawn here; whoever shows it (cli/progress.py) asks again and again.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ptx.engine.step import Step
from ptx.engine.work import IMPORTS, loading, seconds_of, some_of, work_of
from ptx.lms.names import short

Kind = tuple[str, str, str]  # stage, method and model: what has one speed
EARLIER = 20.0  # seconds of work, at most, that what the cache says of a kind counts for
MOST = 20  # groups that are named
DOUBT = 2.0  # seconds of work for which what is more general counts


@dataclass(frozen=True)
class Report:
    """From a group that is being built: units done and seconds since the last report, what is being done (`of` which
    tasks, if not all; `kept`: from where that goes on if it is interrupted), the units left if they are others than was
    planned, and a line for who wants all."""

    units: float = 0.0
    seconds: float = 0.0
    now: str = ""
    of: str = ""
    kept: str = ""
    left: float | None = None
    line: str = ""


@dataclass
class Part:
    """A group of steps that are built together. `expected` are seconds."""

    kind: Kind
    tasks: str
    expected: float
    units: float
    loading: float
    done: float = 0.0
    since: float = field(default_factory=time.monotonic)  # when it was heard of last
    last: Report = field(default_factory=Report)
    at_work: bool = False
    over: bool = False

    @property
    def name(self) -> str:
        """Method, model and tasks."""
        _, method, model = self.kind
        named = model if "+" in model else short(model)  # of several, it may be the name of any
        return " ".join(filter(None, [method, named, self.last.of or self.tasks]))

    @property
    def share(self) -> float:
        return 1.0 if self.over else min(1.0, self.done / max(self.units, 1e-9))


def kind_of(stage: str, labels: Mapping[str, Any]) -> Kind:
    model = labels.get("model") or labels.get("target") or "+".join(labels.get("sources", ()))
    return (stage, str(labels.get("method", "")), str(model))


class Meter:
    """`steps` are what is to be built, in `portions` by key; `earlier` says of kinds what they took, and what they were
    expected to."""

    def __init__(
        self,
        steps: Iterable[Step],
        earlier: Mapping[Kind, tuple[float, float]] | None = None,
        *,
        jobs: int = 1,
        guess: float = 1.0,
        portions: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self.began = time.monotonic()
        self.jobs = jobs
        self.earlier = dict(earlier or {})
        self.guess = guess
        self.portions = portions
        self.parts: dict[tuple[str, ...], Part] = {}
        self.artifacts: Counter[str] = Counter()
        self.built: Counter[str] = Counter()
        self.lines = 0
        self.stage = ""
        self._took: dict[Kind, list[float]] = {}  # seconds, and what was expected of what is done
        self._loaded = [0.0, 0.0]
        by_group: dict[tuple[str, ...], list[Step]] = {}
        for step in steps:
            by_group.setdefault(self._placed(step), []).append(step)
            self.artifacts[step.stage.name] += 1
        for group in by_group.values():
            self.plan(group)
        self.stages = [*self.artifacts]
        first = next(iter(self.parts.values()), None)
        if first is not None:
            first.loading += IMPORTS

    def plan(self, steps: Sequence[Step]) -> Part:
        """A group, as it is known now."""
        works = [work_of(step) for step in steps]
        names = sorted({str(step.labels["task"]) for step in steps if "task" in step.labels})
        first = steps[0]
        kind = kind_of(first.stage.name, first.labels)
        if len({step.labels.get("method") for step in steps}) > 1:
            kind = (kind[0], "", kind[2])
        expected = sum(map(seconds_of, steps))
        part = Part(kind, some_of(names), expected, sum(work.units for work in works), loading(first))
        before = self.parts.get(self._placed(first))
        part.loading = before.loading if before else part.loading
        self.parts[self._placed(first)] = part
        return part

    def _placed(self, step: Step) -> tuple[str, ...]:
        """What a group, or a portion of one, is known by."""
        return (step.stage.name, str(step.depth), str(self.portions.get(step.key, 0)), *step.group)

    def begin(self, stage: str) -> None:
        self.stage = stage

    def end(self, steps: Sequence[Step]) -> None:
        """Nothing more is built of these steps."""
        for place in {self._placed(step) for step in steps} & {*self.parts}:
            self.close(self.parts[place])

    def close(self, part: Part) -> None:
        if not part.over:
            if part.done:
                self._learn(part, 0.0, (1 - part.share) * part.expected)
            part.over = True

    def report(self, part: Part, report: Report) -> None:
        part.at_work = True
        if not (part.done or report.units):
            self._loaded[0] += report.seconds
            self._loaded[1] += part.loading if report.now else 0.0
            part.loading = 0.0 if report.now else part.loading
        else:
            before = part.share
            part.done += report.units
            if report.left is not None:
                part.units = part.done + report.left
            self._learn(part, report.seconds, (part.share - before) * part.expected)
        last, part.since = part.last, time.monotonic()
        part.last = Report(now=report.now or last.now, of=report.of or last.of, kept=report.kept or last.kept)
        self.lines += bool(report.line)

    def _learn(self, part: Part, seconds: float, expected: float) -> None:
        took = self._took.setdefault(part.kind, [0.0, 0.0])
        took[0] += seconds
        took[1] += expected

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.began

    def pace(self, kind: Kind) -> float:
        """How many seconds an expected second takes: by what this run has seen of the kind, else of its stage, else of
        all, else by what the cache says."""
        rate = self.guess
        for of, most in ((kind[:0], EARLIER), (kind[:1], EARLIER), (kind, EARLIER)):
            earlier = [took for other, took in [*self.earlier.items()] if other[: len(of)] == of]
            seconds, expected = (sum(took[i] for took in earlier) for i in (0, 1))
            weight = min(1.0, most / expected) if expected else 0.0
            here = [took for other, took in [*self._took.items()] if other[: len(of)] == of]
            now, done = (sum(took[i] for took in here) for i in (0, 1))
            rate = (DOUBT * rate + weight * seconds + now) / (DOUBT + weight * expected + done)
        return rate

    @property
    def left(self) -> float:
        """Seconds, as far as is known now."""
        paces: dict[Kind, float] = {}
        by_stage: dict[tuple[str, ...], list[float]] = {}
        loads = (self._loaded[0] + DOUBT) / (self._loaded[1] + DOUBT)
        for place, part in [*self.parts.items()]:
            if not part.over:
                pace = paces.setdefault(part.kind, self.pace(part.kind))
                seconds = pace * (1 - part.share) * part.expected + loads * (0 if part.done else part.loading)
                if part.at_work:  # and has not said anything since
                    seconds -= min(time.monotonic() - part.since, 0.9 * seconds)
                by_stage.setdefault(place[:2], []).append(seconds)
        return sum(max(max(each), sum(each) / self.jobs) for each in by_stage.values())

    @property
    def share(self) -> float:
        gone = self.elapsed
        return gone / max(gone + self.left, 1e-9)

    @property
    def working(self) -> list[Part]:
        """Groups that are begun and not done."""
        return [part for part in [*self.parts.values()] if part.at_work and not part.over]

    def said(self) -> dict[str, Any]:
        """What goes on now, and the seconds that are left, for others to read."""
        working = self.working[:MOST]
        now = [f"{part.kind[0]} {part.name}: {part.last.now or 'reading the model'}" for part in working]
        return {"left": round(self.left, 1), "now": now}


def earlier(metas: Iterable[Mapping[str, Any]], host: str) -> dict[Kind, tuple[float, float]]:
    """Of kinds the seconds that artifacts took on this host, and what was expected of them; from their meta.json.

    The speed is the one that a quarter of them reached: what went slower, because other programs ran or the machine
    slept, tells nothing of the next run.
    """
    found: dict[Kind, list[tuple[float, float]]] = {}
    for meta in metas:
        if meta.get("host") == host and (expected := meta.get("expected")):
            found.setdefault(kind_of(meta["stage"], meta["labels"]), []).append((meta["seconds"], expected))
    whole = {kind: math.fsum(expected for _, expected in of) for kind, of in found.items()}
    return {kind: (whole[kind] * sorted(s / e for s, e in of)[len(of) // 4], whole[kind]) for kind, of in found.items()}
