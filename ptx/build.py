"""Build and keep one group of steps: what a stage makes of a step, checked before anyone can read it."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from ptx.cache import Artifact, Store, digest
from ptx.checks import bad_value
from ptx.errors import PtxError
from ptx.step import VERSIONS, Step, stage_versions

# Each has `build(steps, store, device, tick)`, which yields (step, Payload or PtxError); imported when needed.
BUILDERS = {
    "anchors": "ptx.stages.anchors",
    "tune": "ptx.stages.tune",
    "encode": "ptx.stages.relative",
    "search": "ptx.stages.search",
    "eval": "ptx.stages.evaluate",
}


Tick = Callable[[float], None]


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


def fresh(step: Step, store: Store, known: Mapping[str, Artifact | None] | None = None) -> Artifact | None:
    """The step's artifact, unless it is missing, damaged or made from parents that have changed since.

    `known` are artifacts that have been read already, by key.
    """
    if step.stored is not None:
        return step.stored
    artifact = store.read(step.stage, step.key)
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
    stage: str, steps: Sequence[Step], store: Store, device: str, rebuild: bool, reporter: Reporter
) -> list[Outcome]:
    """Build and publish one group under its lock; what another process finished meanwhile is taken over."""
    outcomes: dict[str, Outcome] = {}
    name = f"{stage}-{digest(list(steps[0].group))[:16]}"
    with store.lock(name, lambda: reporter.message(f"waiting for another ptx that builds the same {stage} artifacts")):
        if not rebuild:
            for step in steps:
                if artifact := fresh(step, store):
                    outcomes[step.key] = Outcome(step, artifact, True)
                    reporter.advance(1)
        todo = [step for step in steps if step.key not in outcomes]
        used = {step.key: _parents(step, store) for step in todo}
        try:
            builder = importlib.import_module(BUILDERS[stage])
            where = _place(stage, device)
            for step, payload in builder.build(todo, store, device, reporter.advance):
                problem = payload if isinstance(payload, PtxError) else bad_value(step, payload)
                if isinstance(payload, PtxError) or problem:
                    outcomes[step.key] = Outcome(step, None, False, problem)
                    continue
                there = store.read(step.stage, step.key)
                if there and not rebuild and not _outdated(step, there, store):  # without locks: another was first
                    outcomes[step.key] = Outcome(step, there, True)
                else:
                    made = publish(step, payload, store, where, used=used[step.key], replacing=there)
                    outcomes[step.key] = Outcome(step, made, False)
        except PtxError as error:  # of the whole group: its model cannot be loaded, say
            for step in todo:
                outcomes.setdefault(step.key, Outcome(step, None, False, error))
        except FileNotFoundError as error:  # verified a moment ago
            gone = PtxError(f"{error.filename} vanished while it was used", "run the command again")
            for step in todo:
                outcomes.setdefault(step.key, Outcome(step, None, False, gone))
    return list(outcomes.values())


def _place(stage: str, device: str) -> str:
    """The device that "auto" means, for meta.json; tokenizers know none."""
    from ptx.lms.embeddings import place

    return "cpu" if stage == "anchors" else place(device)


def _parents(step: Step, store: Store) -> list[dict[str, str]]:
    """The parents as meta.json records them, with the digests of what is there now; missing ones have none."""
    found = [(parent, artifact_of(parent, store)) for parent in step.parents]
    return [
        {"stage": parent.stage, "key": parent.key, "payload": artifact.payload if artifact else ""}
        for parent, artifact in found
    ]


def publish(
    step: Step,
    payload: Payload,
    store: Store,
    device: str,
    *,
    used: list[dict[str, str]] | None = None,
    replacing: Artifact | None = None,
) -> Artifact:
    """Keep what a step has made, in the place of an older entry. `used` are the parents as they were before.

    Raises PtxError if another process has changed them since: which of both was read cannot be told.
    """
    parents = _parents(step, store)
    for parent, before in zip(parents, used or parents, strict=True):
        if not parent["payload"] or parent != before:
            what = f"{parent['stage']} {parent['key'][:12]}"
            raise PtxError(f"{what} was changed or removed while it was used", "run the command again")
    meta = {
        "version": VERSIONS[step.stage],
        "stages": stage_versions(step),
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

    return store.publish(step.stage, step.key, meta, write, replacing=replacing)


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
