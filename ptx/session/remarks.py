"""What a command is told of its goals before they are built, and of what came out: each text, and whether it warns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ptx.cache import Store
from ptx.engine.build import Outcome
from ptx.engine.step import Step, closure
from ptx.lms.frames import framed, remark
from ptx.lms.models import is_here
from ptx.lms.names import short
from ptx.stages.forecasts import between_decoders, same_prompts, told
from ptx.stages.learned import compared, lags, learned
from ptx.stages.settings import some
from ptx.suites import load_suite

Remarks = Iterator[tuple[str, bool]]


def before(goals: Sequence[Step], *, all_tasks: bool) -> Remarks:
    """On models and tasks; `all_tasks`: none was named, so that those that are missing are of interest."""
    if all_tasks and (used := {goal.task.name for goal in goals if goal.task}):
        suites = {goal.labels["suite"] for goal in goals}
        skipped = [task.name for suite in suites for task in load_suite(suite).tasks if task.name not in used]
        if skipped:
            yield f"skipped {', '.join(skipped)}: without facts in a split that is needed, or a manual template", True
    asked = {model: None for step in closure(goals) if "frame" in step.settings for model in step.models}
    yield from ((remark(model), True) for model in asked if framed(model))
    # Once, that whole prompts do not travel between decoders, where a command moves such, and not only tries it.
    moved = [step for goal in goals for step in ((goal,) if goal.stage.name == "search" else goal.parents)]
    if text := between_decoders([step for step in moved if step.stage.name == "search"]):
        yield text, True


def after(outcomes: Sequence[Outcome], advice: str, store: Store) -> Remarks:
    """`advice` is what to try, where tuning is what was asked for; `store` knows of other searches."""
    yield from _doubts(outcomes)
    yield from _several(outcomes)
    tuned = [o.artifact for o in outcomes if o.artifact and "majority" in o.artifact.meta["metrics"]]
    for artifact in (artifact for artifact in tuned if not learned(artifact)):
        yield "; ".join(filter(None, [lags(artifact), advice])), True
    if advice and tuned:
        yield compared([artifact.meta["metrics"] for artifact in tuned]), False
    searches = [o.artifact for o in outcomes if o.artifact and o.step.stage.name == "search"]
    yield from told(searches, same_prompts(store))


def absent(goals: Sequence[Step]) -> Remarks:
    """What a dry run cannot know of models that are not here."""
    models = {model.name: None for step in closure(goals) for model in step.models if not is_here(model)}
    if models:
        them, they = ("it", "it takes") if len(models) == 1 else ("them", "they take")
        what = f"what the cache has of {them}, the size and how long {they} are not known"
        yield f"not here: {', '.join(models)}; {what}", True


def _doubts(outcomes: Sequence[Outcome]) -> Remarks:
    for artifact in (o.artifact for o in outcomes if o.artifact and o.step.stage.name == "anchors"):
        if dropped := artifact.meta["metrics"].get("dropped"):
            words, given = artifact.meta["labels"]["words"], artifact.meta["metrics"]["given"]
            left = f"{dropped} of {given} words are left out, which some model does not have as one token"
            kept = "" if artifact.meta["config"]["anchors"] else ", or has as that of another; see --keep-words"
            yield f"{words}: {left}{kept}", False
    if any(o.step.stage.name == "search" and o.step.settings.get("select") == "dev" for o in outcomes):
        yield "--select dev: labelled target dev facts choose; this is not zero-shot transfer", False
    brought = [o.artifact for o in outcomes if o.artifact and o.artifact.meta["labels"].get("method") == "imported"]
    if brought:
        from ptx.prompts.imported import doubts

        yield from ((text, True) for artifact in brought for text in doubts(artifact))


def _several(outcomes: Sequence[Outcome]) -> Remarks:
    """Words of portable prompts that are not one token on a target."""
    for name, what in (("several", "several tokens, whose mean they become"), ("unknown", "unknown and left out")):
        words: dict[str, dict[str, None]] = {}
        for artifact in (o.artifact for o in outcomes if o.artifact and o.step.stage.name == "search"):
            if found := artifact.meta["metrics"].get(name):
                words.setdefault(artifact.meta["labels"]["target"], {}).update(dict.fromkeys(found))
        for target, of in words.items():
            yield f"words that are {what}, on {short(target)}: {len(of)} ({some([*of])})", False
