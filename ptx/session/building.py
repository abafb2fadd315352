"""Building the goals of a command: what is checked and told before, what is told of the outcomes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ptx.cache import Store
from ptx.config import CommonConfig
from ptx.config.dtypes import dtypes
from ptx.engine.build import Built, Outcome, Reporter
from ptx.engine.pipeline import Pipeline
from ptx.engine.step import Step, closure
from ptx.errors import PtxError, UsageError
from ptx.lms.places import located
from ptx.session import remarks
from ptx.session.named import shortly
from ptx.stages import portable
from ptx.stages.learned import TRY
from ptx.stages.settings import Settings


def build(
    stage: str,
    goals: Sequence[Step],
    common: CommonConfig,
    settings: Settings,
    store: Store,
    tell: Reporter,
    **how: Any,
) -> Built:
    """The goals and what they need, failures included. `stage` is what --force rebuilds; for `how` see Pipeline."""
    began = time.monotonic()
    for suite in dict.fromkeys(goal.labels["suite"] for goal in goals if goal.task and "suite" in goal.labels):
        settings.read(suite)
    check_dtype(common.dtype, [model.name for step in closure(goals) for model in step.models])
    _say(remarks.before(goals, all_tasks=not settings.tasks), tell)
    forced = stage if common.force else None
    pipeline = Pipeline(store, tell, device=common.device, **{"name": stage, **how})
    outcomes = pipeline.run(goals, force=forced, dry_run=common.dry_run)
    if settings.strict and not common.dry_run:
        outcomes = [_strictly(outcome, store) for outcome in outcomes]
    advice = {"tune": TRY, "portable": portable.TRY}
    _say(remarks.after(outcomes, advice.get(stage, ""), store), tell)
    _say(remarks.absent(goals), tell)
    before = pipeline.meter([o.step for o in outcomes if not o.reused])[1] if common.dry_run else None
    return Built(goals, outcomes, time.monotonic() - began, before)


def check_dtype(text: str, models: Sequence[str]) -> None:
    """Raise UsageError if --dtype names a model that the command does not run."""
    names = list(dict.fromkeys(models))
    if unknown := [name for name in dtypes(text).names if located(name) not in names]:
        hint = f"name {' or '.join(shortly(names)) or 'a model'}, or write source= or target="
        raise UsageError(f"--dtype {unknown[0]}=...: no model of this command is called {unknown[0]!r}", hint)


def _say(texts: remarks.Remarks, tell: Reporter) -> None:
    for text, warns in texts:
        (tell.warn if warns else tell.message)(text)


def _strictly(outcome: Outcome, store: Store) -> Outcome:
    """What was found in the cache must not have dropped facts either: strictness is no part of keys."""
    step = outcome.step
    if outcome.reused and outcome.artifact and step.stored is None and step.task and not step.task.labels:
        try:
            if step.stage.strict is not None:
                step.stage.strict(step, outcome.artifact, store)
        except PtxError as error:
            return Outcome(step, None, False, error)
    return outcome
