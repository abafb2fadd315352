"""Tunings that were interrupted: where they stood after their last whole epoch, as a file of the cache, and as steps
that go on from there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ptx.cache import Store, unfinished
from ptx.engine.step import Step

if TYPE_CHECKING:
    from ptx.transfer.tuning import State

STAGE = "tune"
FORMAT = 1
TENSORS = ("prompt", "mean", "square", "best")  # of a state; the rest is JSON


@dataclass(frozen=True)
class Checkpoint:
    """By the steps' keys: where they stand, the texts that they began from, and the seconds spent on each. `kept` as in
    transfer/tuning.py's Standing."""

    states: Mapping[str, State] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    kept: Sequence[Sequence[int]] = ()

    @property
    def epoch(self) -> int:
        """The epochs of the one that has the most."""
        return max((state.history[-1]["epoch"] for state in self.states.values()), default=0)


def keep(store: Store, steps: Sequence[Step], checkpoint: Checkpoint) -> None:
    """In the file of the steps that are tuned together."""
    from safetensors.torch import save

    states = {key: vars(state) for key, state in checkpoint.states.items()}
    tensors = {f"{key}.{name}": state[name] for key, state in states.items() for name in TENSORS}
    rest = {key: {name: of for name, of in state.items() if name not in TENSORS} for key, state in states.items()}
    said = {**vars(checkpoint), "states": rest, "format": FORMAT}
    content = json.dumps(said).encode() + b"\n" + save(tensors)
    unfinished.keep(store, STAGE, [step.key for step in steps], content)


def drop(store: Store, steps: Sequence[Step]) -> None:
    unfinished.drop(store, STAGE, [step.key for step in steps])


def taken_up(store: Store, steps: Sequence[Step]) -> list[tuple[list[Step], Checkpoint]]:
    """Steps that were interrupted together, with where they stood; each step once, at its latest."""
    left = {step.key: step for step in steps}
    groups = []
    for keys, content in unfinished.found(store, STAGE, [*left]):
        checkpoint = _read(content, [key for key in keys if key in left])
        if own := [left.pop(key) for key in checkpoint.states]:
            groups.append((own, checkpoint))
    return groups


def _read(content: bytes, keys: Sequence[str]) -> Checkpoint:
    from safetensors.torch import load

    from ptx.transfer.tuning import State

    head, _, rest = content.partition(b"\n")
    said = json.loads(head)
    if said.pop("format") != FORMAT:
        return Checkpoint()
    tensors, states = load(rest), said.pop("states")
    known: dict[str, dict[str, Any]] = {
        key: {name: tensors[f"{key}.{name}"] for name in TENSORS} for key in keys if key in states
    }
    return Checkpoint({key: State(**own, **states[key]) for key, own in known.items()}, **said)
