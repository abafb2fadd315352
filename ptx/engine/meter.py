"""How far a run is and how long it goes on: what stages report of their work, and what that took.

Nothing is drawn here; whoever shows it (cli/progress.py) asks again and again.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ptx.engine.graph import grouped, needs, place, span
from ptx.engine.pace import Kind, Paces, Seen, kind_of
from ptx.engine.step import Step
from ptx.engine.work import IMPORTS, loading, seconds_of, some_of, work_of
from ptx.lms.names import short

MOST = 20  # groups that are named


@dataclass(frozen=True)
class Report:
    """From a group that is being built: units done and the seconds they took, what is being done (`of` which tasks, if
    not all; `kept`: from where that goes on if it is interrupted), the units left if they are others than was planned,
    and a line for who wants all."""

    units: float = 0.0
    seconds: float = 0.0
    now: str = ""
    of: str = ""
    kept: str = ""
    left: float | None = None
    line: str = ""


@dataclass
class Part:
    """A group of steps that are built together. `each` and `loading` are the seconds expected of a unit, and before the
    first of them."""

    kind: Kind
    tasks: str
    units: float
    each: float
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
    def expected(self) -> float:
        return self.units * self.each

    @property
    def rest(self) -> float:
        """What is expected of the units that are left."""
        return 0.0 if self.over else max(0.0, self.units - self.done) * self.each


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
        self.portions = portions
        self.parts: dict[tuple[object, ...], Part] = {}  # numbered by their order, too
        self._needs: list[set[int]] = []
        self.artifacts: Counter[str] = Counter()
        self.lines = 0
        self.stage = ""
        self._paces = Paces(self.earlier, guess)
        self._loads = Seen()
        groups = grouped(steps, portions)
        for group in groups:
            self.plan(group)
            self.artifacts[group[0].stage.name] += len(group)
        self._needs = needs(groups)
        self.stages = [*self.artifacts]
        for first in itertools.islice(self.parts.values(), jobs):  # each in a process of its own
            first.loading += IMPORTS

    def plan(self, steps: Sequence[Step]) -> Part:
        """A group, as it is known now."""
        works = [work_of(step) for step in steps]
        names = sorted({str(step.labels["task"]) for step in steps if "task" in step.labels})
        first = steps[0]
        kind = kind_of(first.stage.name, first.labels)
        if len({step.labels.get("method") for step in steps}) > 1:
            kind = (kind[0], "", kind[2])
        units = sum(work.units for work in works)
        part = Part(kind, some_of(names), units, sum(map(seconds_of, steps)) / max(units, 1e-9), loading(first))
        where = place(first, self.portions)
        if before := self.parts.get(where):
            part.loading = before.loading
        else:
            self._needs.append(set())
        self.parts[where] = part
        return part

    def begin(self, stage: str) -> None:
        self.stage = stage

    def end(self, steps: Sequence[Step]) -> None:
        """Nothing more is built of these steps."""
        for where in {place(step, self.portions) for step in steps} & {*self.parts}:
            self.parts[where].over = True

    def report(self, part: Part, report: Report) -> None:
        part.at_work = True
        if part.done or report.units:
            part.done += report.units
            self._paces.learn(part.kind, report.seconds, report.units * part.each)
        else:
            self._loads.add(report.seconds, part.loading if report.now else 0.0)
            part.loading = 0.0 if report.now else part.loading
        if report.left is not None:
            part.units = part.done + report.left
        last, part.since = part.last, time.monotonic()
        part.last = Report(now=report.now or last.now, of=report.of or last.of, kept=report.kept or last.kept)
        self.lines += bool(report.line)

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.began

    @property
    def left(self) -> float:
        """Seconds, as far as is known now."""
        seconds = [*map(self._left_of, [*self.parts.values()])]
        return span(self._needs[: len(seconds)], seconds, self.jobs)

    def _left_of(self, part: Part) -> float:
        seconds = self._paces.of(part.kind) * part.rest
        if not (part.done or part.over):
            seconds += self._loads.rate(1.0) * part.loading
        if part.at_work:  # and has not said anything since
            seconds -= min(time.monotonic() - part.since, 0.9 * seconds)
        return seconds

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
