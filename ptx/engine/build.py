"""Build and keep one group of steps: what a stage makes of a step, checked before anyone can read it."""

import contextlib
import functools
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from ptx.cache import Artifact, Store, digest
from ptx.cache.verify import Damaged, verified
from ptx.engine.ahead import Ahead
from ptx.engine.checks import bad_value
from ptx.engine.graph import alone
from ptx.engine.meter import Meter, Report
from ptx.engine.step import Payload, Step
from ptx.engine.torch_state import own_settings
from ptx.engine.work import seconds_of, work_of
from ptx.errors import PtxError
from ptx.lms.models import check

MOST_LOCKS = 128  # of a group: each is an open file


@dataclass(frozen=True)
class Outcome:
    """What became of a step. `artifact` is None if it failed (`error`) or, in a dry run, is missing."""

    step: Step
    artifact: Artifact | None
    reused: bool
    error: PtxError | None = None

    def __str__(self) -> str:
        return f"{self.step.stage.name} {self.step.key[:12]} {self.step.name}"


@dataclass(frozen=True)
class Built:
    """What became of some goals and all that they need."""

    goals: Sequence[Step]
    outcomes: Sequence[Outcome]
    seconds: float
    ahead: Ahead | None = None  # of a dry run

    @property
    def done(self) -> list[Artifact]:
        """The goals' artifacts, where there are any."""
        wanted = {goal.key for goal in self.goals}
        return [o.artifact for o in self.outcomes if o.step.key in wanted and o.artifact is not None]

    @property
    def summary(self) -> str:
        """What was built and what reused, by stage."""
        built = Counter(o.step.stage.name for o in self.outcomes if o.artifact is not None and not o.reused)
        reused = Counter(o.step.stage.name for o in self.outcomes if o.reused)
        failed = sum(o.error is not None for o in self.outcomes)
        counts = [", ".join(f"{n} {stage}" for stage, n in of.items()) or "nothing" for of in (built, reused)]
        return f"built {counts[0]}; reused {counts[1]}{f'; {failed} failed' if failed else ''} in {self.seconds:.1f} s"

    @property
    def errors(self) -> list[PtxError]:
        """Each reason for a failure once."""
        return list({str(o.error): o.error for o in self.outcomes if o.error is not None}.values())


def row_of(outcome: Outcome, store: Store, *, dry_run: bool = False) -> dict[str, Any]:
    """One outcome for programs: what `--json` prints, and a row of the functions' frames."""
    step, artifact = outcome.step, outcome.artifact
    line: dict[str, Any] = {
        "stage": step.stage.name,
        "key": step.key,
        "path": str(artifact.path if artifact else store.folder(step.stage.name, step.key)),
        "reused": outcome.reused,
        "seconds": artifact.meta["seconds"] if artifact else 0.0,
    }
    if dry_run:
        line["cache"] = "hit" if outcome.reused else "miss"
        if not step.is_known:
            line |= {"key": None, "path": None, "cache": "unknown"}
    if artifact is not None:
        figures = {k: v for k, v in figures_of(artifact).items() if k not in ("history", "origin")}
        return figures | line
    if outcome.error is not None:
        line |= {"error": outcome.error.message, "hint": outcome.error.hint}
    return dict(step.labels) | line


def figures_of(artifact: Artifact) -> dict[str, Any]:
    return {**artifact.meta["labels"], **artifact.meta["metrics"]}


@runtime_checkable
class Reporter(Protocol):
    """Who is told, and shows how far a run is while it `watch`es it."""

    def watch(self, meter: Meter, before: Ahead) -> contextlib.AbstractContextManager[None]: ...
    def message(self, text: str) -> None: ...
    def detail(self, *parts: object) -> None: ...
    def warn(self, text: str) -> None: ...


def fresh(step: Step, store: Store, known: Mapping[str, Artifact | None] | None = None) -> Artifact | None:
    """The step's artifact, unless it is missing, damaged or made from parents that have changed since.

    `known` are artifacts that have been read already, by key.
    """
    if step.stored is not None:
        return step.stored
    artifact = store.read(step.stage.name, step.key)
    return None if artifact is None or _outdated(step, artifact, store, known or {}) else artifact


def _outdated(
    step: Step, artifact: Artifact, store: Store, known: Mapping[str, Artifact | None] = MappingProxyType({})
) -> bool:
    for parent, recorded in zip(step.parents, artifact.meta["parents"], strict=True):
        now = known[parent.key] if parent.key in known else artifact_of(parent, store)
        if now is not None and now.payload != recorded["payload"]:
            return True
    return False


def build_group(
    steps: Sequence[Step], store: Store, device: str, rebuild: bool, reporter: Reporter, hear: Callable[[Report], None]
) -> list[Outcome]:
    """Build and publish one group under its lock; what another process finished meanwhile is taken over."""
    stage = steps[0].stage
    outcomes: dict[str, Outcome] = {}
    watch = Stopwatch()

    def tick(units: float, now: str = "", *, seconds: float | None = None, **more: Any) -> None:
        lap = watch.lap()
        hear(Report(units, lap if seconds is None else seconds, now, **more))

    waiting = f"waiting for another ptx that builds the same {stage.name} artifacts"
    tick(0)
    with contextlib.ExitStack() as held:
        said = functools.cache(lambda: reporter.message(waiting))
        for name in _locks(steps):
            held.enter_context(store.lock(name, said))
        if not rebuild:
            for step in steps:
                if artifact := fresh(step, store):
                    outcomes[step.key] = Outcome(step, artifact, True)
                    tick(work_of(step).units)
        todo = [step for step in steps if step.key not in outcomes]
        if not todo:
            return list(outcomes.values())
        used = {step.key: _parents(step, store) for step in todo}
        try:
            assert stage.build is not None
            where = _place(device) if stage.on_device else "cpu"
            with own_settings() if stage.on_device else contextlib.nullcontext():
                for step, payload in stage.build(todo, store, device, tick):
                    problem = payload if isinstance(payload, PtxError) else bad_value(step, payload)
                    if isinstance(payload, PtxError) or problem:
                        outcomes[step.key] = Outcome(step, None, False, problem)
                        continue
                    there = store.read(step.stage.name, step.key)
                    if there and not rebuild and not _outdated(step, there, store):  # without locks: another was first
                        outcomes[step.key] = Outcome(step, there, True)
                    else:
                        for model in step.models:
                            check(model)
                        made = publish(step, payload, store, where, used=used[step.key], replacing=there)
                        outcomes[step.key] = Outcome(step, made, False)
        except (PtxError, FileNotFoundError) as error:  # of the whole group: its model cannot be loaded, say
            if isinstance(error, FileNotFoundError):  # verified a moment ago
                error = PtxError(f"{error.filename} vanished while it was used", "run the command again")
            for step in todo:
                outcomes.setdefault(step.key, Outcome(step, None, False, error))
    return list(outcomes.values())


def _place(device: str) -> str:
    """What "auto" means, for meta.json."""
    from ptx.lms.embeddings import place  # torch, which what computes nowhere does without

    return place(device)


def _locks(steps: Sequence[Step]) -> list[str]:
    """Names of locks, one for each task and seed of a group, always in the same order: who builds others of the group
    at the same time (another shard, say) need not wait."""
    of = {digest([*step.group, *alone(step)])[:16] for step in steps}
    return [f"{steps[0].stage.name}-{name}" for name in sorted(of)[:MOST_LOCKS]]


def _parents(step: Step, store: Store) -> list[dict[str, str]]:
    """The parents as meta.json records them, with the digests of what is there now; missing ones have none."""
    found = [(parent, _as_it_is(parent, store)) for parent in step.parents]
    return [
        {"stage": parent.stage.name, "key": parent.key, "payload": artifact.payload if artifact else ""}
        for parent, artifact in found
    ]


def _as_it_is(step: Step, store: Store) -> Artifact | None:
    """The artifact of a parent; one that the user named by its path is looked at again."""
    if step.stored is None:
        return store.read(step.stage.name, step.key)
    with contextlib.suppress(Damaged, OSError):
        return Artifact(step.stored.path, verified(step.stored.path))
    return None


def publish(
    step: Step, payload: Payload, store: Store, device: str, *, used: list[dict[str, str]] | None = None,
    replacing: Artifact | None = None,
) -> Artifact:  # fmt: skip
    """Keep what a step has made, in the place of an older entry. `used` are the parents as they were before.

    Raises PtxError if another process has changed them since: which of both was read cannot be told.
    """
    parents = _parents(step, store)
    for parent, before in zip(parents, used or parents, strict=True):
        if not parent["payload"] or parent != before:
            what = f"{parent['stage']} {parent['key'][:12]}"
            raise PtxError(f"{what} was changed or removed while it was used", "run the command again")
    meta = {
        "version": step.stage.version,
        "stages": step.stages,
        "config": step.config,
        "inputs": step.inputs,
        "parents": parents,
        "labels": step.labels,
        "metrics": payload.metrics,
        "seconds": round(payload.seconds, 4),
        "expected": round(seconds_of(step), 4),
        "device": device,
    }

    def write(folder: Path) -> None:
        for name, content in payload.files.items():
            (folder / name).write_bytes(content)

    return store.publish(step.stage.name, step.key, meta, write, replacing=replacing)


def artifact_of(step: Step, store: Store) -> Artifact | None:
    """The artifact that the user named for this step, else the one in the store."""
    return step.stored or store.read(step.stage.name, step.key)


def payload_of(step: Step, store: Store, file: str) -> Path:
    """A file of a finished parent."""
    artifact = artifact_of(step, store)
    if artifact is None:
        raise PtxError(f"{step.stage.name} {step.key[:12]} is missing", "run the command again")
    return artifact.path / file


class Stopwatch:
    """Seconds since the last look."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def lap(self) -> float:
        now = time.monotonic()
        lap, self.last = now - self.last, now
        return lap
