"""The epochs of a tuning: by which settings, what they cost in inputs that are read, and what is told of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ptx.config.fields import left_out
from ptx.config.tune import A_STEP, FACTS_A_TEXT, TuneConfig
from ptx.engine.step import Step, Tick
from ptx.engine.work import Work, some_of
from ptx.lms.names import short
from ptx.stages.texts import tried

if TYPE_CHECKING:
    from ptx.transfer.tuning import State

SEEN = ("train_loss", "dev_accuracy")


def config_of(step: Step) -> TuneConfig:
    """The settings of a step, with what its key leaves out."""
    names = {field.name for field in dataclasses.fields(TuneConfig)}
    said = {name: value for name, value in step.settings.items() if name in names}
    before = {name: value for name, value in left_out(TuneConfig).items() if value is not None}
    return TuneConfig(**{**before, **said})


def work(step: Step) -> Work:
    assert step.task is not None
    config = config_of(step)
    each = math.ceil(len(step.task.splits["train"]) / config.batch_size)
    first = tried(step) * min(FACTS_A_TEXT, len(step.task.splits["train"]))
    return Work(config.epochs * each, "steps", first + units(step, config.epochs), reading=True)


def units(step: Step, epochs: int) -> float:
    """Inputs read in so many epochs and after them: a gradient step takes the time of `A_STEP` looks at as many."""
    assert step.task is not None
    facts, dev = (len(step.task.splits[split]) for split in ("train", "dev"))
    looks = min(dev, max(1, int(0.3 * facts))) if config_of(step).patience else dev
    return epochs * (A_STEP * facts + looks) + (dev if looks < dev else 0) + compared(step)


def compared(step: Step) -> int:
    """Inputs read to compare a prompt with its task's manual template."""
    assert step.task is not None
    return len(step.task.splits["dev"]) if step.task.template else 0


def told(states: Sequence[tuple[Step, State]], tick: Tick, later: float) -> str:
    """Tell how a tuning stands after an epoch, each task for who wants to see all; what is said of all in short.
    `later` are the units of tasks that are tuned after these."""
    for step, state in states:
        last, name = state.history[-1], f"{short(step.labels['model'])} {step.labels['task']}"
        figures = f"loss {last['train_loss']:.4f}, dev {last['dev_accuracy']:.1%}"
        tick(0, line=f"{name}: epoch {last['epoch']} of {state.planned}, {figures}")
    left = sum(units(step, state.planned - state.history[-1]["epoch"]) for step, state in states)
    loss, dev = (sum(state.history[-1][name] for _, state in states) / len(states) for name in SEEN)
    epoch = max(state.history[-1]["epoch"] for _, state in states)
    said, names = f"loss {loss:.2f}, dev {dev:.0%}", some_of([step.labels["task"] for step, _ in states])
    tick(0, f"epoch {epoch} is done, {said}", of=names, kept=f"after epoch {epoch}", left=left + later)
    return said
