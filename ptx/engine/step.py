"""One artifact to be, and the key that it will have: known before anything is built."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ptx.cache import STAGES, Artifact, Store, digest, versions_of
from ptx.errors import PtxError
from ptx.lms.models import Model, is_here
from ptx.lms.names import named_in, written
from ptx.suites import Task

if TYPE_CHECKING:
    from ptx.engine.work import Work


@runtime_checkable
class Tick(Protocol):
    """Hears how far a group is: see engine.meter.Report. `seconds` are those of these units, if not all since the last
    call were for them."""

    def __call__(
        self, units: float, now: str = "", *, seconds: float | None = None, of: str = "", kept: str = "",
        left: float | None = None, line: str = "",
    ) -> None: ...  # fmt: skip


@dataclass(frozen=True)
class Payload:
    """What a stage makes for one step: files, figures for meta.json, and the step's share of the seconds."""

    files: Mapping[str, bytes]
    metrics: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


Builder = Callable[[Sequence["Step"], Store, str, Tick], Iterator[tuple["Step", Payload | PtxError]]]


@dataclass(frozen=True)
class Stage:
    """A kind of artifact.

    `build(steps, store, device, tick)` yields each step of a group with what it made or why it could not, and tells
    `tick` how far it is, in the units of `work`; None for what is only made of results at hand.
    `version` is raised when the stage computes something else from the same settings; older artifacts are then left
    alone.
    """

    name: str  # its folder in the cache
    version: int
    build: Builder | None = None
    columns: tuple[str, ...] = ()  # what a person sees of its artifacts: labels and figures, in this order
    work: Callable[[Step], Work] | None = None  # what a step costs; None: next to nothing
    on_device: bool = True  # whether it computes where --device says
    parents_as: str = ""  # put before the stages of its parents' settings, where these are not its own as well
    blame: Callable[[Step, str], PtxError] | None = None  # what to say of a value that is not finite, and its place
    strict: Callable[[Step, Artifact, Store], None] | None = None  # raises if --strict forbids an artifact found


@dataclass(frozen=True)
class Step:
    """One artifact to be. `settings`, `inputs` (digests) and the parents' keys make its key; the rest does not."""

    stage: Stage
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
                "stage": self.stage.name,
                "version": self.stage.version,
                "settings": self.settings,
                "inputs": self.inputs,
                "parents": [parent.key for parent in self.parents],
            }
        )[:32]

    @property
    def name(self) -> str:
        """What it is, for people: models, method and task."""
        labels = written(self.labels, named_in([self.labels]))
        if "models" in labels:
            models = labels["models"]
            return "+".join(models) if len(models) < 4 else f"{len(models)} models"
        pair = [labels.get("model") or "+".join(labels["sources"]), labels.get("target", "")]
        return " ".join([" > ".join(filter(None, pair)), labels.get("method", ""), labels["task"]])

    @property
    def config(self) -> dict[str, Any]:
        """The whole configuration: the settings of this stage and of all before it."""
        if self.stored is not None:
            return dict(self.stored.meta["config"])
        whole: dict[str, Any] = {}
        for parent in self.parents:
            if parent.stage.name == self.stage.name and not self.stage.parents_as:
                continue  # what it was chosen from: its settings are not those of the whole
            # What comes first counts: the anchors of a prompt, then the words among which it answers.
            whole = {self.stage.parents_as + stage: settings for stage, settings in parent.config.items()} | whole
        return whole | {self.stage.name: dict(self.settings)}

    @property
    def stages(self) -> dict[str, int]:
        """The versions of this stage and of all before it."""
        if self.stored is not None:
            return versions_of(self.stored.meta)
        whole: dict[str, int] = {}
        for parent in self.parents:
            whole |= parent.stages
        return whole | {self.stage.name: self.stage.version}

    @functools.cached_property
    def depth(self) -> int:
        """How many steps of its own stage are before it, one behind the other: candidates are made before a choice."""
        return 1 + max((parent.depth for parent in self.parents_at(self.stage.name)), default=-1)

    @functools.cached_property
    def is_known(self) -> bool:
        """Whether its key is that of what would be built: not if a model is not here."""
        return all(map(is_here, self.models)) and all(parent.is_known for parent in self.parents)

    def parents_at(self, stage: str) -> list[Step]:
        return [parent for parent in self.parents if parent.stage.name == stage]


def closure(goals: Iterable[Step]) -> list[Step]:
    """The goals and everything upstream, once each, in the order of the stages, within a stage after what is chosen
    from."""
    seen: dict[tuple[str, str], Step] = {}
    waiting = list(goals)
    for step in waiting:  # grows while it is read
        if (step.stage.name, step.key) not in seen:
            seen[step.stage.name, step.key] = step
            waiting.extend(step.parents)
    return sorted(seen.values(), key=lambda step: (STAGES.index(step.stage.name), step.depth, len(step.parents)))
