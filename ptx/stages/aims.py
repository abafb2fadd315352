"""Two models asked of one input: what the sources answer, and what the target itself answers to its text. `distil` goes
towards both by gradients on the target, `auto` by forward passes alone, and `ensemble` asks both whenever there is
something to answer."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ptx.config.dtypes import FLOAT32
from ptx.engine.step import Step
from ptx.errors import PtxError, UsageError
from ptx.lms.frames import framed
from ptx.lms.models import Model
from ptx.stages.anchors import shared_words
from ptx.stages.answers import answers_step
from ptx.stages.eval import eval_step
from ptx.stages.search import STAGE, labels_of, search_step, source_weights
from ptx.stages.settings import Settings
from ptx.stages.tune import shortest
from ptx.suites import Task

EACH = {"directions": "each"}  # random ones of the steps of `auto`, of every input (transfer/evolution.py)
# A kappa with the sources from which `auto` takes no steps towards them alone: agreement that is "almost perfect"
# (Landis and Koch, 1977). Where the target's own text is asked, too, there may be more to learn.
ENOUGH = {"enough": 0.8}
PRIOR = "mean"  # what a model says whatever it is asked: its mean answer to the inputs, which products divide by


def weighted_answers(
    tuned: Sequence[Step], task: Task, words: Step, settings: Settings, split: str = ""
) -> tuple[list[Step], list[float]]:
    """What each source answers, and its weight, in an order that does not depend on how they were named."""
    answers = [answers_step(step, task, words, settings, split, model) for step in tuned for model in step.models]
    weights = source_weights(settings.search.weights, len(answers))
    pairs = sorted(zip(answers, weights, strict=True), key=lambda pair: (pair[0].key, pair[1]))
    return [step for step, _ in pairs], [weight for _, weight in pairs]


def text_step(tuned: Sequence[Step], target: Model, task: Task, anchors: Step, settings: Settings) -> Step:
    """The target's prompt in words: of the task's texts the one that the sources answer best, else the one that they
    were tuned from. Raises PtxError if there is none."""
    plain = dataclasses.replace(settings.search, select="none", length=0.0)
    settings = dataclasses.replace(settings, search=plain)
    try:
        return search_step("text", tuned, target, task, anchors, settings)
    except UsageError:
        raise
    except PtxError:
        return search_step("residual", tuned, target, task, anchors, settings)


def distil_step(
    start: Step, tuned: Sequence[Step], target: Model, task: Task, anchors: Step, settings: Settings
) -> Step:
    """The target's prompt `start`, distilled. The target's own text is asked unless `--trust` is 0."""
    labels = labels_of("distil", [step.labels["model"] for step in tuned], target, task, settings)
    text = None
    if settings.search.trust:
        try:
            text = text_step(tuned, target, task, anchors, settings)
        except UsageError:
            raise
        except PtxError as error:
            raise PtxError(error.message, f"{error.hint}; or add --trust 0") from None
    steps = {"distil_steps": settings.search.distil_steps}
    return _moved(labels, steps, start, text, tuned, target, task, shared_words(anchors), settings)


def refined_step(
    start: Step, tuned: Sequence[Step], target: Model, task: Task, anchors: Step, settings: Settings
) -> Step:
    """What `auto` chose, after steps by forward passes alone; towards the sources' answers where there is no text."""
    text = None
    if settings.search.trust:
        with contextlib.suppress(PtxError):
            text = text_step(tuned, target, task, anchors, settings)
    steps = {"refine": settings.search.refining, **EACH, **({} if text else ENOUGH)}
    return _moved(start.labels, steps, start, text, tuned, target, task, shared_words(anchors), settings)


def _moved(
    labels: Mapping[str, Any], steps: Mapping[str, Any], start: Step, text: Step | None, tuned: Sequence[Step],
    target: Model, task: Task, words: Step, settings: Settings,
) -> Step:  # fmt: skip
    """The prompt `start` after steps towards what the sources, and the target with a `text`, answer."""
    search = settings.search
    labels = {**labels, **{name: start.labels[name] for name in ("weights",) if name in start.labels}}
    answers, weights = weighted_answers(tuned, task, words, settings)
    own: dict[str, Any] = {"method": labels["method"], "layout": settings.tune.layout, "weights": weights, **steps}
    own |= {"trust": shortest(str(search.trust)) if text else "0", "candidates": search.candidates or "all"}
    own |= {"seed": settings.seed, **({"prior": PRIOR} if text else {})}
    own |= {**settings.computed(target, "target"), **framed(target)}
    parents = (start, *([text] if text else []), *answers)
    group = (target.digest, "distilled", words.key, own.get("dtype", FLOAT32))
    return Step(STAGE, own, {"target": target.digest}, parents, labels, group, models=(target,), task=task)


def ensemble_step(
    tuned: Sequence[Step], target: Model, task: Task, scored: Task, anchors: Step, settings: Settings
) -> Step:
    """Score the product of what the sources answer to the facts of `scored`, with their prompts for `task`, and what
    the target answers to its text. Both models are needed for every answer."""
    words = shared_words(anchors)
    text = text_step(tuned, target, task, anchors, settings)
    alone = eval_step("ensemble", text, target, scored, words, settings)
    answers, weights = weighted_answers(tuned, scored, words, settings, settings.eval.split)
    own, (_, *others) = {**alone.settings, "weights": weights, "prior": PRIOR}, alone.parents
    return dataclasses.replace(alone, settings=own, parents=(text, *answers, *others))
