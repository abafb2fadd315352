"""`--strict`: an object that is not one allowed word is an error, instead of a fact that is dropped and counted."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Container, Sequence

from ptx.cache import Store
from ptx.errors import PtxError
from ptx.pipeline import Outcome, payload_of
from ptx.suites import Fact, Task

PREDICTIONS = "predictions.jsonl"


def refuse_dropped(task: Task, dropped: Sequence[Fact], of: int, why: str) -> None:
    """Raise PtxError naming the first facts that would be left out because of their objects, if the task is strict."""
    if task.strict and dropped:
        named = ", ".join(f"{fact.object!r} ({fact.where or fact.subject})" for fact in dropped[:3])
        raise PtxError(
            f"task {task.name}: {len(dropped)} of {of} objects {why}: {named}",
            "correct or remove these facts (`ptx data check` lists them), or leave out --strict to drop them",
        )


def refuse_unknown(task: Task, known: Container[str], model: str) -> None:
    """The same for objects that tuning leaves out, since they are not one token in the model (not `known`)."""
    for split in ("train", "dev"):
        dropped = [fact for fact in task.splits[split] if fact.object not in known]
        refuse_dropped(task, dropped, len(task.splits[split]), f"of {split} are not one token in {model}")


def strictly(outcome: Outcome, store: Store) -> Outcome:
    """What was found in the cache must not have dropped facts either: strictness is no part of keys."""
    step = outcome.step
    if not outcome.reused or step.task is None or step.stored is not None or step.task.labels:
        return outcome
    try:
        if step.stage == "tune":
            _check_tuned(step.task, step.models[0].path, step.models[0].name)
        elif step.stage == "eval" and outcome.artifact and outcome.artifact.meta["metrics"]["dropped"]:
            facts = step.task.splits[step.settings["split"]]
            lines = payload_of(step, store, PREDICTIONS).read_text("utf-8").splitlines()
            kept = {(row["subject"], row["object"]) for row in map(json.loads, lines)}
            dropped = [fact for fact in facts if (fact.subject, fact.object) not in kept]
            refuse_dropped(step.task, dropped, len(facts), "are not words that all models share")
    except PtxError as error:
        return dataclasses.replace(outcome, artifact=None, reused=False, error=error)
    return outcome


def _check_tuned(task: Task, tokenizer: str, model: str) -> None:
    from ptx.lms.embeddings import load_tokenizer, one_token_words

    objects = {fact.object for split in ("train", "dev") for fact in task.splits[split]}
    refuse_unknown(task, one_token_words(load_tokenizer(tokenizer), objects), model)
