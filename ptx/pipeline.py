"""Build what is missing, in the order of the stages, each group of steps with one model in memory."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ptx.cache import STAGES, Artifact, Store, digest
from ptx.errors import PtxError
from ptx.step import VERSIONS, Step, closure

# Each has `build(steps, store, device, tick)`, which yields (step, Payload or PtxError); imported when needed.
BUILDERS = {
    "anchors": "ptx.stages.anchors",
    "tune": "ptx.stages.tune",
    "encode": "ptx.stages.relative",
    "search": "ptx.stages.search",
    "eval": "ptx.stages.evaluate",
}


@dataclass(frozen=True)
class Payload:
    """What a stage makes for one step: files, figures for meta.json, and the step's share of the seconds."""

    files: Mapping[str, bytes]
    metrics: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """What became of a step. `artifact` is None if it failed (`error`) or, in a dry run, is missing."""

    step: Step
    artifact: Artifact | None
    reused: bool
    error: PtxError | None = None


class Reporter(Protocol):
    """Where progress goes (see output.py); `advance` takes a number of artifacts, possibly fractional."""

    def stage(self, stage: str, total: int) -> Any: ...
    def advance(self, amount: float) -> None: ...
    def message(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...


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
        present = self._present(steps)
        needed = _needed(goals, present, force)
        if dry_run:
            return [Outcome(s, present[s.key], s.key not in needed) for s in steps if s.key in needed or present[s.key]]
        if not needed:
            return [Outcome(step, artifact, True) for step in steps if (artifact := present[step.key])]
        outcomes: dict[str, Outcome] = {}
        built: set[str] = set()
        for stage in STAGES:
            for generation in _generations([step for step in steps if step.stage == stage]):
                todo = []
                wanted = _wanted(goals, outcomes) if generation else set()
                for step in generation:
                    if step.key not in needed and built & {parent.key for parent in step.parents}:
                        present[step.key] = self.fresh(step)  # a rebuilt parent may have changed
                        if present[step.key] is None:
                            needed.add(step.key)
                    failed = next((o for p in step.parents if (o := outcomes.get(p.key)) and o.error), None)
                    if step.key in needed and failed is not None:
                        outcomes[step.key] = Outcome(step, None, False, failed.error)
                    elif step.key in needed:
                        todo += [step] if step.key in wanted else []
                    elif artifact := present[step.key]:
                        outcomes[step.key] = Outcome(step, artifact, True)
                for outcome in self._build(stage, todo, rebuild=force == stage):
                    outcomes[outcome.step.key] = outcome
                    if outcome.artifact and not outcome.reused:
                        built.add(outcome.step.key)
        return [outcomes[step.key] for step in steps if step.key in outcomes]

    def _present(self, steps: Sequence[Step]) -> dict[str, Artifact | None]:
        """Usable artifacts of steps given in the order of the stages: fresh, and not made from stale ones."""
        present: dict[str, Artifact | None] = {}
        stale: set[str] = set()
        for step in steps:
            present[step.key] = None if stale & {parent.key for parent in step.parents} else self.fresh(step, present)
            if present[step.key] is None and self.store.folder(step.stage, step.key).exists():
                stale.add(step.key)
        return present

    def fresh(self, step: Step, known: Mapping[str, Artifact | None] | None = None) -> Artifact | None:
        """The step's artifact, unless it is missing, damaged or made from parents that have changed since.

        `known` are artifacts that have been read already, by key.
        """
        if step.stored is not None:
            return step.stored
        artifact = self.store.read(step.stage, step.key)
        if artifact is None:
            return None
        for parent, recorded in zip(step.parents, artifact.meta["parents"], strict=True):
            now = known[parent.key] if known and parent.key in known else artifact_of(parent, self.store)
            if now is not None and now.payload != recorded["payload"]:
                return None
        return artifact

    def _build(self, stage: str, todo: Sequence[Step], *, rebuild: bool) -> Iterator[Outcome]:
        if not todo:
            return
        groups: dict[tuple[str, ...], list[Step]] = {}
        for step in todo:
            groups.setdefault(step.group, []).append(step)
        with self.reporter.stage(stage, len(todo)):
            if self.jobs == 1 or len(groups) == 1:
                for group in groups.values():
                    yield from build_group(stage, group, self.store, self.device, rebuild, self.reporter)
                return
            from joblib import Parallel, delayed

            calls = (
                delayed(_build_elsewhere)(stage, group, self.store.root, self.device, rebuild)
                for group in groups.values()
            )
            for outcomes, warnings in Parallel(n_jobs=self.jobs, return_as="generator_unordered")(calls):
                for warning in warnings:
                    self.reporter.warn(warning)
                self.reporter.advance(len(outcomes))
                yield from outcomes


def build_group(
    stage: str, steps: Sequence[Step], store: Store, device: str, rebuild: bool, reporter: Reporter
) -> list[Outcome]:
    """Build and publish one group under its lock; what another process finished meanwhile is taken over."""
    outcomes: dict[str, Outcome] = {}
    name = f"{stage}-{digest(list(steps[0].group))[:16]}"
    with store.lock(name, lambda: reporter.message(f"waiting for another ptx that builds the same {stage} artifacts")):
        if not rebuild:
            pipeline = Pipeline(store, reporter)
            for step in steps:
                if artifact := pipeline.fresh(step):
                    outcomes[step.key] = Outcome(step, artifact, True)
                    reporter.advance(1)
        todo = [step for step in steps if step.key not in outcomes]
        try:
            for step, payload in importlib.import_module(BUILDERS[stage]).build(todo, store, device, reporter.advance):
                if isinstance(payload, PtxError):
                    outcomes[step.key] = Outcome(step, None, False, payload)
                else:
                    outcomes[step.key] = Outcome(step, publish(step, payload, store, device), False)
        except PtxError as error:  # of the whole group: its model cannot be loaded, say
            for step in todo:
                outcomes.setdefault(step.key, Outcome(step, None, False, error))
    return list(outcomes.values())


class _Quiet:
    """A worker process has no terminal: its warnings travel back with the results."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def stage(self, stage: str, total: int) -> Any: ...
    def advance(self, amount: float) -> None: ...
    def message(self, text: str) -> None: ...
    def warn(self, text: str) -> None:
        self.warnings.append(text)


def _build_elsewhere(
    stage: str, steps: Sequence[Step], root: Path, device: str, rebuild: bool
) -> tuple[list[Outcome], list[str]]:
    reporter = _Quiet()
    return build_group(stage, steps, Store(root, reporter.warn), device, rebuild, reporter), reporter.warnings


def publish(step: Step, payload: Payload, store: Store, device: str) -> Artifact:
    parents = []
    for parent in step.parents:
        artifact = artifact_of(parent, store)
        if artifact is None:
            raise PtxError(f"{parent.stage} {parent.key[:12]} vanished while it was used", "run the command again")
        parents.append({"stage": parent.stage, "key": parent.key, "payload": artifact.payload})
    meta = {
        "version": VERSIONS[step.stage],
        "config": step.config,
        "inputs": step.inputs,
        "parents": parents,
        "labels": step.labels,
        "metrics": payload.metrics,
        "seconds": round(payload.seconds, 4),
        "device": device,
    }

    def write(folder: Path) -> None:
        for name, content in payload.files.items():
            (folder / name).write_bytes(content)

    return store.publish(step.stage, step.key, meta, write, replace=True)


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
        if step.key not in needed and (present[step.key] is None or step.stage == force):
            needed.add(step.key)
            waiting.extend(step.parents)
    return needed


def _generations(steps: Sequence[Step]) -> list[list[Step]]:
    """Steps without a parent in their own stage, then those with one."""
    later = [bool(step.parents_at(step.stage)) for step in steps]
    return [[step for step, after in zip(steps, later, strict=True) if after == which] for which in (False, True)]


def artifact_of(step: Step, store: Store) -> Artifact | None:
    """The artifact that the user named for this step, else the one in the store."""
    return step.stored or store.read(step.stage, step.key)


def payload_of(step: Step, store: Store, file: str) -> Path:
    """A file of a finished parent."""
    artifact = artifact_of(step, store)
    if artifact is None:
        raise PtxError(f"{step.stage} {step.key[:12]} is missing", "run the command again")
    return artifact.path / file


class Stopwatch:
    """Seconds since the last look."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def lap(self) -> float:
        now = time.monotonic()
        lap, self.last = now - self.last, now
        return lap


Tick = Callable[[float], None]
