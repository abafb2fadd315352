"""One artifact to be, and the key that it will have: known before anything is built."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ptx.cache import STAGES, Artifact, digest
from ptx.lms.models import Model
from ptx.suites import Task

# Raised when a stage computes something else from the same settings; older artifacts are then left alone.
VERSIONS = {"anchors": 1, "tune": 1, "encode": 1, "search": 1, "eval": 1, "table": 1, "figure": 1}
IMPORTED = "imported"  # the method, and the setting `init`, by which tables keep such prompts apart from tuned ones


@dataclass(frozen=True)
class Step:
    """One artifact to be. `settings`, `inputs` (digests) and the parents' keys make its key; the rest does not."""

    stage: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, Any] = field(default_factory=dict)
    parents: tuple[Step, ...] = ()
    labels: Mapping[str, Any] = field(default_factory=dict)
    group: tuple[str, ...] = ()  # steps with the same group are built together: one model in memory
    models: tuple[Model, ...] = ()
    task: Task | None = None
    file: Path | None = None  # a user's file that the stage reads: words, or a prompt
    stored: Artifact | None = None  # an artifact the user named by its key or file

    @functools.cached_property
    def key(self) -> str:
        if self.stored is not None:
            return self.stored.key
        return digest(
            {
                "stage": self.stage,
                "version": VERSIONS[self.stage],
                "settings": self.settings,
                "inputs": self.inputs,
                "parents": [parent.key for parent in self.parents],
            }
        )[:32]

    @property
    def config(self) -> dict[str, Any]:
        """The whole configuration: the settings of this stage and of all before it."""
        if self.stored is not None:
            return dict(self.stored.meta["config"])
        whole: dict[str, Any] = {}
        for parent in self.parents:
            # The prompt that a tuning starts from has settings of its own for the same stages.
            prefix = "init." if self.stage == "tune" else ""
            whole |= {prefix + stage: settings for stage, settings in parent.config.items()}
        return whole | {self.stage: dict(self.settings)}

    def parents_at(self, stage: str) -> list[Step]:
        return [parent for parent in self.parents if parent.stage == stage]


def stage_versions(step: Step) -> dict[str, int]:
    """The versions of the step's stage and of all before it."""
    if step.stored is not None:
        return versions_of(step.stored.meta)
    whole: dict[str, int] = {}
    for parent in step.parents:
        whole |= stage_versions(parent)
    return whole | {step.stage: VERSIONS[step.stage]}


def versions_of(meta: Mapping[str, Any]) -> dict[str, int]:
    """The versions of the stages that had a part in an artifact, by its meta.json; early ones named their own only."""
    return dict(meta.get("stages") or {meta["stage"]: meta.get("version", 0)})


def stored_step(artifact: Artifact) -> Step:
    """An artifact of the cache as the parent of a new one."""
    return Step(artifact.meta["stage"], {}, labels=artifact.meta["labels"], stored=artifact)


def made_for(artifact: Artifact) -> tuple[str, str]:
    """The name and the digest of the model that the prompt of a tuning or search fits."""
    labels, inputs = artifact.meta["labels"], artifact.meta["inputs"]
    return labels.get("target") or labels["model"], inputs.get("target") or inputs["model"]


def is_file(name: str) -> bool:
    """Whether a prompt's name means a file, or a folder that is no artifact, rather than a key."""
    path = Path(name)
    return path.exists() and not (path / "meta.json").is_file()


def shared_words(anchors: Step) -> Step:
    """The set that predictions are restricted to: all shared words, whatever `--count`."""
    return anchors.parents[0] if anchors.parents else anchors


def closure(goals: Iterable[Step]) -> list[Step]:
    """The goals and everything upstream, once each, in the order of the stages."""
    seen: dict[tuple[str, str], Step] = {}
    waiting = list(goals)
    for step in waiting:  # grows while it is read
        if (step.stage, step.key) not in seen:
            seen[step.stage, step.key] = step
            waiting.extend(step.parents)
    # A chosen subset of anchors comes after the set it is chosen from.
    return sorted(seen.values(), key=lambda step: (STAGES.index(step.stage), len(step.parents)))
