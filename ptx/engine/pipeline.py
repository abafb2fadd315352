"""Build what is missing, in the order of the stages, each group of steps with one model in memory."""

import functools
import itertools
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ptx.cache import MODELS, STAGES, Artifact, Store, leases
from ptx.cache.housekeeping import meta_of, size_of
from ptx.engine.ahead import Ahead, ahead, slowness
from ptx.engine.build import Outcome, Reporter, build_group, fresh
from ptx.engine.meter import Meter, Report, earlier
from ptx.engine.step import Step, closure

SEEN = 100  # artifacts of a stage, at most, whose seconds tell how fast this machine is


class Pipeline:
    """A store, where to compute, and whom to tell."""

    def __init__(self, store: Store, reporter: Reporter, *, device: str = "auto", jobs: int = 1) -> None:
        self.store = store
        self.reporter = reporter
        self.device = device
        self.jobs = jobs

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
                    self.reporter.detail(f"found {outcome}")
            return outcomes
        present = self._present(steps)
        needed = _needed(goals, present, force)
        known = [s for s in steps if s.key in needed or present[s.key]]
        return [*as_asked((Outcome(s, present[s.key], s.key not in needed) for s in known), goals)]

    def _run(self, goals: Sequence[Step], steps: Sequence[Step], force: str | None) -> list[Outcome]:
        present = self._present(steps)
        needed = _needed(goals, present, force)
        if not needed:
            return [Outcome(step, artifact, True) for step in steps if (artifact := present[step.key])]
        meter, before = self.meter([step for step in steps if step.key in needed])
        with self.reporter.watch(meter, before):
            return self._build_all(goals, steps, force, present, needed, meter)

    def meter(self, needed: Sequence[Step]) -> tuple[Meter, Ahead]:
        """What lies ahead, by what the cache says of earlier work on this machine, else by a guess."""
        folders = [
            folder
            for stage in dict.fromkeys(step.stage.name for step in needed)
            for folder in itertools.islice(self.store.entries(stage), SEEN)
        ]
        known = earlier(map(meta_of, folders), socket.gethostname())
        sizes: dict[str, list[int]] = {}
        for folder in folders:
            sizes.setdefault(folder.parent.name, []).append(size_of(folder))
        guess = 1.0 if known or not needed else slowness()
        meter = Meter(needed, known, jobs=self.jobs, guess=guess)
        return meter, ahead(meter, needed, {stage: sum(of) / len(of) for stage, of in sizes.items()}, self.device)

    def _build_all(
        self, goals: Sequence[Step], steps: Sequence[Step], force: str | None, present: dict[str, Artifact | None],
        needed: set[str], meter: Meter,
    ) -> list[Outcome]:  # fmt: skip
        outcomes: dict[str, Outcome] = {}
        built: set[str] = set()
        for stage in STAGES:
            for generation in _generations([step for step in steps if step.stage.name == stage]):
                todo = []
                wanted = _wanted(goals, outcomes) if generation else set()
                for step in generation:
                    if step.key not in needed and built & {parent.key for parent in step.parents}:
                        present[step.key] = fresh(step, self.store)  # a rebuilt parent may have changed
                        if present[step.key] is None:
                            needed.add(step.key)
                    failed = next((o for p in step.parents if (o := outcomes.get(p.key)) and o.error), None)
                    if step.key in needed and failed is not None:
                        outcomes[step.key] = Outcome(step, None, False, failed.error)
                    elif step.key in needed:
                        todo += [step] if step.key in wanted else []
                    elif artifact := present[step.key]:
                        outcomes[step.key] = Outcome(step, artifact, True)
                for outcome in self._build(todo, meter, rebuild=force == stage):
                    outcomes[outcome.step.key] = outcome
                    if outcome.artifact and not outcome.reused:
                        built.add(outcome.step.key)
                        meta = outcome.artifact.meta
                        where = f" on {meta['device']}" if meta["device"] else ""
                        self.reporter.detail(f"built {outcome} in {meta['seconds']:.2f} s{where}")
                meter.end(stage, generation)
        return [outcomes[step.key] for step in steps if step.key in outcomes]

    def _present(self, steps: Sequence[Step]) -> dict[str, Artifact | None]:
        """Usable artifacts of steps given in the order of the stages: fresh, and not made from stale ones."""
        present: dict[str, Artifact | None] = {}
        stale: set[str] = set()
        for step in steps:
            present[step.key] = (
                None if stale & {parent.key for parent in step.parents} else fresh(step, self.store, present)
            )
            if present[step.key] is None and self.store.folder(step.stage.name, step.key).exists():
                stale.add(step.key)
        return present

    def _build(self, todo: Sequence[Step], meter: Meter, *, rebuild: bool) -> Iterator[Outcome]:
        if not todo:
            return
        stage = todo[0].stage.name
        groups: dict[tuple[str, ...], list[Step]] = {}
        for step in todo:
            groups.setdefault(step.group, []).append(step)
        meter.begin(stage)
        parts = [meter.plan(group) for group in groups.values()]

        def hear(number: int, report: Report) -> None:
            meter.report(parts[number], report)
            if report.line:
                self.reporter.detail(report.line)

        if self.jobs == 1 or len(groups) == 1:
            for i, group in enumerate(groups.values()):
                yield from build_group(
                    group, self.store, self.device, rebuild, self.reporter, functools.partial(hear, i)
                )
                meter.close(parts[i])
            return
        from ptx.engine.workers import build_apart

        calls = [(group, self.store.root, self.store.made_by, self.device, rebuild) for group in groups.values()]
        for i, outcomes, warnings in build_apart(calls, self.jobs, hear):
            for warning in warnings:
                self.reporter.warn(warning)
            meter.close(parts[i])
            yield from outcomes


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


def _wanted(goals: Sequence[Step], outcomes: Mapping[str, Outcome]) -> set[str]:
    """Keys that lead to a goal which can still be reached: nothing is built for a goal that has failed already."""
    failed = {key for key, outcome in outcomes.items() if outcome.error is not None}
    alive = goals if not failed else [g for g in goals if not failed & {step.key for step in closure([g])}]
    return {step.key for step in closure(alive)}


def _needed(goals: Iterable[Step], present: Mapping[str, Artifact | None], force: str | None) -> set[str]:
    """Keys to build: goals that are missing or forced, and what is missing upstream of those."""
    needed: set[str] = set()
    waiting = list(goals)
    for step in waiting:  # grows while it is read
        if step.key not in needed and (present[step.key] is None or step.stage.name == force):
            needed.add(step.key)
            waiting.extend(step.parents)
    return needed


def _generations(steps: Sequence[Step]) -> list[list[Step]]:
    """Steps without a parent in their own stage, then those made from these, and so on."""
    depths = sorted({step.depth for step in steps})
    return [[step for step in steps if step.depth == depth] for depth in depths]
