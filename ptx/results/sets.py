"""Sets of words among which answers are: those that the cache has for a target, and how tables that differ in nothing
else become one."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from ptx.cache import Artifact, Store
from ptx.cache.store import unverified
from ptx.lms.known import anchor_models
from ptx.lms.models import Model
from ptx.lms.names import named_in, typed
from ptx.results.alike import Group, Tables
from ptx.results.collect import Result
from ptx.stages import todays
from ptx.stages.anchors import STAGE

FEW = 4  # models that are named rather than a key
Named = tuple[Mapping[str, Any], Sequence[Result], Mapping[str, Any] | None]  # and what names the set of its words


def sets_of(target: Model, suite: str, store: Store) -> list[Artifact]:
    """The sets among which a target has answered facts of a suite, each once, those of most models last."""
    keys: dict[str, None] = {}
    for folder in store.entries("eval"):
        with contextlib.suppress(KeyError, TypeError):
            meta = unverified(folder) or {}
            if meta["inputs"]["target"] == target.digest and meta["labels"]["suite"] == suite:
                keys.update(dict.fromkeys(of["key"] for of in meta["parents"] if of["stage"] == STAGE.name))
    found = [artifact for key in keys if (artifact := store.read(STAGE.name, key)) is not None]
    return sorted(todays(found), key=lambda of: (len(of.meta["labels"]["models"]), of.key))


def title(labels: Mapping[str, Any], written: Mapping[str, str]) -> str:
    """Whose words a set has, for people; `written` says how to write its models (lms/names.py)."""
    models, file = list(labels["models"]), labels.get("words")
    names, whose = anchor_models(models)
    if len(models) <= FEW:
        whose = ", ".join(written[name] for name in models)
    elif names != models:
        whose = f"{len(models)} models"
    return f"{file} in {whose}" if file else whose


def labels_of(result: Result) -> Mapping[str, Any] | None:
    """What names the set of a result, unverified; None if that is gone, or for labels that are words."""
    meta = unverified(result.artifact.path.parents[1] / STAGE.name / result.settings["words"])
    return meta["labels"] if meta else None


def titles(groups: Sequence[Group]) -> dict[str, str]:
    """What to call the sets of several tables, by key: by their models where that tells them apart."""
    found = {settings["words"]: labels_of(result) for settings, (result, *_) in groups}
    every_result = [result.artifact.meta["labels"] for _, results in groups for result in results]
    names = named_in([*every_result, *filter(None, found.values())])
    named = {key: f"of {title(labels, names)}" if labels else key[:12] for key, labels in found.items()}
    every = [*named.values()]
    return {key: name if every.count(name) == 1 else f"{name} ({key[:12]})" for key, name in named.items()}


def joining(groups: Sequence[Group], store: Store) -> list[str]:
    """For each table what is to be said of it: where it differs from another one in nothing but whose words answer, the
    command that puts its rows into that."""
    every = [(settings, results, labels_of(results[0])) for settings, results in groups]
    but_words = Tables({**settings, "words": settings["words"] == "labels"} for settings, _ in groups)
    alike = [[every[i] for i in but_words.agreeing(settings)] for settings in but_words.every]
    return [
        _note(own, [other for other in others if other[0]["words"] != own[0]["words"]], store)
        for own, others in zip(every, alike, strict=True)
    ]


def _note(own: Named, like: Sequence[Named], store: Store) -> str:
    """`like` are the tables that differ in words alone."""
    from ptx.results.report.again import again

    named = [(settings, results, labels) for settings, results, labels in (own, *like) if labels]
    if not like or len(named) < len(like) + 1:
        return ""
    models = [*dict.fromkeys(name for *_, labels in named for name in labels["models"])]
    whole = next((of for of in named if {*of[2]["models"]} == {*models}), None)
    if whole and whole[0]["words"] == own[0]["words"]:
        return ""  # the others are to come here
    if any({*map(_row, own[1])} <= {*map(_row, results)} for _, results, _ in like):
        return ""  # they are beside others in a table that is there
    there = {_row(result) for result in whole[1]} if whole else set()
    rows: dict[Any, list[Result]] = {}
    for result in own[1]:
        if _row(result) not in there:
            rows.setdefault(_row(result)[:3], []).append(result)
    words = ["--words-of", ",".join(map(typed, whole[2]["models"] if whole else models))]
    if whole and (len(models) > FEW or "words" in whole[2]):
        words = ["--anchors", str(whole[0]["words"])[:12]]
    command = again(next(iter(rows.values())), store, words=words, spell=typed)
    likewise = f", and likewise for {len(rows) - 1} more" if len(rows) > 1 else ""
    where = "the other table" if len(like) == 1 else "one table"
    return command and f"only whose words answer differs; to join {where}: `{command}`{likewise}"


def _row(result: Result) -> tuple[Any, ...]:
    labels = result.labels
    return labels["method"], str(result.place), labels["target"], labels["task"], labels.get("seed")
