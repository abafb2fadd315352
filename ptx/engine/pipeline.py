"""Build what is missing: each group of steps with one model in memory, as soon as all that it needs is there."""

from __future__ import annotations

import contextlib
import itertools
import socket
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ptx.cache import MODELS, Artifact, Store, leases
from ptx.cache.housekeeping import meta_of, size_of
from ptx.engine import status
from ptx.engine.ahead import Ahead, ahead, slow_types, slowness
from ptx.engine.build import Outcome, Reporter, fresh
from ptx.engine.graph import Graph, below, divided, grouped, needs
from ptx.engine.meter import Meter, Part, Report
from ptx.engine.pace import earlier
from ptx.engine.step import Step, closure
from ptx.engine.workers import Hear, Here, Workers

if TYPE_CHECKING:
    from ptx.engine.cluster import Cluster

MOST = 100  # failures that a status names
SEEN = 100  # artifacts of a stage, at most, whose seconds tell how fast this machine is


class Pipeline:
    """A store, where to compute, and whom to tell. Groups of steps are built in so many processes (`jobs`), or by the
    workers of a Dask `scheduler`, by its address. What it is at is told to others under a `name`, if it has one."""

    def __init__(
        self, store: Store, reporter: Reporter, *, device: str = "auto", jobs: int = 1, scheduler: str = "",
        name: str = "",
    ) -> None:  # fmt: skip
        self.store = store
        self.reporter = reporter
        self.device = device
        self.jobs = jobs
        self.scheduler = scheduler
        self.name = name

    def run(self, goals: Sequence[Step], *, force: str | None = None, dry_run: bool = False) -> list[Outcome]:
        """Make sure the goals exist; `force` names a stage whose goals are rebuilt even so.

        What the goals do not need any more is not rebuilt. Steps that fail do not stop the others.
        """
        steps = closure(goals)
        if not dry_run:
            models = {(MODELS, model.digest) for step in steps for model in step.models}
            with leases.held(self.store, [*((step.stage.name, step.key) for step in steps), *sorted(models)]):
                outcomes = [*as_asked(self._run(goals, steps, force), goals)]
            for outcome in outcomes:
                if outcome.reused:
                    self.reporter.detail("found", outcome)
            return outcomes
        present = self._present(steps)
        needed = _needed(goals, present, force)
        known = [s for s in steps if s.key in needed or present[s.key]]
        return [*as_asked((Outcome(s, present[s.key], s.key not in needed) for s in known), goals)]

    def _run(self, goals: Sequence[Step], steps: Sequence[Step], force: str | None) -> list[Outcome]:
        present = self._present(steps)
        needed = _needed(goals, present, force)
        if not needed:
            status.forget(self.store, self.name)  # what failed before is there by now
            return [Outcome(step, artifact, True) for step in steps if (artifact := present[step.key])]
        with self._cluster() as cluster:
            todo = [step for step in steps if step.key in needed]
            for text in () if cluster else slow_types(todo, self.device):
                self.reporter.warn(text)
            meter, before = self.meter(todo)
            with self.reporter.watch(meter, before):
                return self._build_all(_Run(self.store, goals, steps, force, present, needed), meter, cluster)

    @contextlib.contextmanager
    def _cluster(self) -> Iterator[Cluster | None]:
        """The workers of the scheduler, if there is one."""
        if not self.scheduler:
            yield None
            return
        from ptx.engine.cluster import connected

        with connected(self.store, self.device, self.scheduler, self.reporter.warn) as found:
            self.jobs = found.jobs
            yield found

    def meter(self, needed: Sequence[Step]) -> tuple[Meter, Ahead]:
        """What lies ahead, by what the cache says of earlier work on this machine, else by a guess."""
        folders = [
            folder
            for stage in dict.fromkeys(step.stage.name for step in needed)
            for folder in itertools.islice(self.store.folders(stage), SEEN)
        ]
        known = earlier(map(meta_of, folders), socket.gethostname())
        sizes: dict[str, list[int]] = {}
        for folder in folders:
            sizes.setdefault(folder.parent.name, []).append(size_of(folder))
        guess = 1.0 if known or not needed else slowness()
        meter = Meter(needed, known, jobs=self.jobs, guess=guess, portions=divided(needed, self.jobs))
        return meter, ahead(meter, needed, {stage: sum(of) / len(of) for stage, of in sizes.items()}, self.device)

    def _build_all(self, run: _Run, meter: Meter, cluster: Cluster | None) -> list[Outcome]:
        groups = grouped([step for step in run.steps if step.key in run.open], meter.portions)
        graph = Graph(needs(groups))
        parts: dict[int, Part] = {}

        def hear(number: int, report: Report) -> None:
            meter.report(parts[number], report)
            if report.line:
                self.reporter.detail(report.line)

        def look() -> Mapping[str, Any]:
            return run.said() | meter.said() | {"jobs": self.jobs, "scheduler": self.scheduler}

        with self._status(look), self._workers(cluster, len(groups), hear) as workers:
            while True:
                while workers.room and (number := graph.next()) is not None:
                    if todo := run.todo(groups[number]):
                        meter.begin(todo[0].stage.name)
                        parts[number] = meter.plan(todo)
                        workers.begin(number, todo, rebuild=run.force == todo[0].stage.name)
                    else:
                        meter.end(groups[number])
                        graph.done(number)
                if not workers.busy:
                    break
                for number, outcomes, warnings in workers.finished():
                    self._say(outcomes, warnings)
                    run.take(outcomes)
                    meter.end(groups[number])
                    graph.done(number)
        return [run.outcomes[step.key] for step in run.steps if step.key in run.outcomes]

    def _status(self, look: status.Look) -> contextlib.AbstractContextManager[None]:
        return status.kept(self.store, self.name, look) if self.name else contextlib.nullcontext()

    def _workers(self, cluster: Cluster | None, groups: int, hear: Hear) -> contextlib.AbstractContextManager[Workers]:
        if cluster is not None:
            cluster.listen(hear)
            return contextlib.nullcontext(cluster)
        if self.jobs == 1 or groups == 1:
            return contextlib.nullcontext(Here(self.store, self.device, self.reporter, hear))
        from ptx.engine.processes import processes

        return processes(self.store, self.device, self.jobs, hear)

    def _say(self, outcomes: Sequence[Outcome], warnings: Sequence[str]) -> None:
        for warning in warnings:
            self.reporter.warn(warning)
        for outcome in outcomes:
            if outcome.artifact and not outcome.reused:
                meta = outcome.artifact.meta
                where = f" on {meta['device']}" if meta["device"] else ""
                self.reporter.detail("built", outcome, f"in {meta['seconds']:.2f} s{where}")

    def _present(self, steps: Sequence[Step]) -> dict[str, Artifact | None]:
        """Usable artifacts of steps given in the order of the stages: fresh, and not made from stale ones."""
        self.store.bring((step.stage.name, step.key) for step in steps if step.stored is None)
        present: dict[str, Artifact | None] = {}
        stale: set[str] = set()
        for step in steps:
            present[step.key] = (
                None if stale & {parent.key for parent in step.parents} else fresh(step, self.store, present)
            )
            if present[step.key] is None and self.store.folder(step.stage.name, step.key).exists():
                stale.add(step.key)
        return present


class _Run:
    """What is known of the steps of a run while it goes on. Those that are `open` may have to be built: they, or what
    they are made of, are missing."""

    def __init__(
        self, store: Store, goals: Sequence[Step], steps: Sequence[Step], force: str | None,
        present: dict[str, Artifact | None], needed: set[str],
    ) -> None:  # fmt: skip
        self.store, self.goals, self.steps, self.force = store, goals, steps, force
        self.present, self.needed = present, needed
        self.open = below(steps, needed)
        self.outcomes = {s.key: Outcome(s, a, True) for s in steps if s.key not in self.open and (a := present[s.key])}
        self.built: set[str] = set()
        self.failed: set[str] = set()
        self.wanted = {step.key for step in steps}

    def said(self) -> dict[str, Any]:
        """By stage how many steps are there, were built, failed, and are left; and what failed, and why."""
        stages: dict[str, Counter[str]] = {}
        outcomes = dict(self.outcomes)
        for step in self.steps:
            outcome = outcomes.get(step.key)
            if outcome is not None:
                what = "failed" if outcome.error else "there" if outcome.reused else "built"
            elif step.key in self.needed and step.key in self.wanted:
                what = "left"
            else:
                continue
            stages.setdefault(step.stage.name, Counter(there=0, built=0, failed=0, left=0))[what] += 1
        failed = [o for o in outcomes.values() if o.error is not None]
        named = [{"what": o.step.name, "stage": o.step.stage.name, "key": o.step.key} | _why(o) for o in failed]
        return {"stages": {name: dict(of) for name, of in stages.items()}, "failed": named[:MOST]}

    def todo(self, group: Sequence[Step]) -> list[Step]:
        """What of a group is to be built, now that all that it needs is done; what became of the rest is kept."""
        found = []
        for step in group:
            parents = {parent.key for parent in step.parents}
            if step.key not in self.needed and self.built & parents:
                self.present[step.key] = fresh(step, self.store)  # a rebuilt parent may have changed
                if self.present[step.key] is None:
                    self.needed.add(step.key)
            if step.key not in self.needed:
                if artifact := self.present[step.key]:
                    self.outcomes[step.key] = Outcome(step, artifact, True)
            elif self.failed & parents:
                error = next(o.error for p in step.parents if (o := self.outcomes.get(p.key)) and o.error)
                self.take([Outcome(step, None, False, error)])
            elif step.key in self.wanted:
                found.append(step)
        return found

    def take(self, outcomes: Iterable[Outcome]) -> None:
        """What was built, or failed: nothing more is built for a goal that cannot be reached any more."""
        before = len(self.failed)
        for outcome in outcomes:
            self.outcomes[outcome.step.key] = outcome
            if outcome.error is not None:
                self.failed.add(outcome.step.key)
            elif not outcome.reused:
                self.built.add(outcome.step.key)
        if len(self.failed) > before:
            lost = below(self.steps, self.failed)
            self.wanted = {step.key for step in closure([goal for goal in self.goals if goal.key not in lost])}


def _why(outcome: Outcome) -> dict[str, str]:
    return {} if outcome.error is None else {"error": outcome.error.message, "hint": outcome.error.hint}


def as_asked(outcomes: Iterable[Outcome], goals: Sequence[Step]) -> Iterator[Outcome]:
    """Outcomes under the names of this command. What is one artifact by its content (two tasks with the same facts, a
    model and its copy) is so many goals as were asked for; all but the first of them have found it."""
    asked: dict[tuple[str, str], list[Step]] = {}
    for goal in goals:
        alike = asked.setdefault((goal.stage.name, goal.key), [])
        if all(goal.labels != other.labels for other in alike):
            alike.append(goal)
    for outcome in outcomes:
        for number, step in enumerate(asked.get((outcome.step.stage.name, outcome.step.key), [outcome.step])):
            artifact = outcome.artifact
            if artifact is not None and step.stored is None:
                artifact = artifact.named(step.labels)
            reused = outcome.reused or (number > 0 and artifact is not None)
            yield Outcome(step, artifact, reused, outcome.error)


def there(goals: Sequence[Step], store: Store) -> dict[str, dict[str, int]]:
    """By stage how many artifacts that goals need are in a store, unverified, and how many are left to build."""
    steps = closure(goals)
    folders = {
        step.key: step.stored or (store.folder(step.stage.name, step.key) / "meta.json").exists() or None
        for step in steps
    }
    needed = _needed(goals, folders, None)
    found: dict[str, Counter[str]] = {}
    for step in steps:
        if step.key in needed or folders[step.key]:
            what = "left" if step.key in needed else "there"
            found.setdefault(step.stage.name, Counter(there=0, left=0))[what] += 1
    return {name: dict(of) for name, of in found.items()}


def _needed(goals: Iterable[Step], present: Mapping[str, object | None], force: str | None) -> set[str]:
    """Keys to build: goals that are missing or forced, and what is missing upstream of those."""
    needed: set[str] = set()
    waiting = list(goals)
    for step in waiting:  # grows while it is read
        if step.key not in needed and (present[step.key] is None or step.stage.name == force):
            needed.add(step.key)
            waiting.extend(step.parents)
    return needed
