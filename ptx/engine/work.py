"""What steps cost, in units that take time: inputs read by a network, vectors solved.

A step's `Work` is known before anything is built or loaded, and is turned into the seconds that it took where ptx was
measured (one core of a server, float32). They need not be right: a run that goes on learns how much faster or slower it
is (meter.py). Their ratios count, between stages and between models.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ptx.engine.step import Step

A_PASS, A_NUMBER = 4e-4, 3.3e-10  # seconds: of an input read by a network, and more for each number of its weights
A_LOOK, LOADING, IMPORTS = 0.1, 3e-9, 4.0  # of a group, for each number of its models, and of each process
UNKNOWN = 1e8  # numbers of a model that does not say


@dataclass(frozen=True)
class Work:
    """What a step takes: so many `units` of cost, by which its stage reports how far it is, each an input read by all
    models of the step if `reading`; and `seconds` besides. `count` of `of` are for people."""

    count: int
    of: str
    units: float = 1.0
    reading: bool = False
    seconds: float = 0.0


ONE = Work(1, "", seconds=0.02)


def some_of(names: Sequence[str]) -> str:
    """Names of tasks, the first two and how many more."""
    return ", ".join(names[:2]) + (f" +{len(names) - 2}" if len(names) > 2 else "")


def work_of(step: Step) -> Work:
    return ONE if step.stage.work is None else step.stage.work(step)


def seconds_of(step: Step) -> float:
    """As they were where ptx was measured."""
    work = work_of(step)
    if not work.reading:
        return work.seconds
    each = sum(A_PASS + A_NUMBER * size_of(model.path) * passes(model.path) for model in step.models)
    return work.seconds + work.units * each


def loading(step: Step) -> float:
    """Seconds before the first step of a group is begun."""
    return A_LOOK + LOADING * sum(size_of(model.path) for model in step.models)


@functools.cache
def passes(folder: str) -> float:
    """How often an input meets each weight: once, but where layers share them, as ALBERT's do."""
    from ptx.lms import weights

    config = weights.read_json(Path(folder) / "config.json")
    layers, groups = (config.get(f"num_hidden_{what}") for what in ("layers", "groups"))
    return layers / groups if isinstance(layers, int) and isinstance(groups, int) and groups > 0 else 1.0


@functools.cache
def size_of(folder: str) -> float:
    """How many numbers a model's weights are."""
    from ptx.lms import weights

    try:
        return weights.parameters(Path(folder)) or UNKNOWN
    except (OSError, ValueError, KeyError):
        return UNKNOWN
