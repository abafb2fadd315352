"""The vectors of a moved prompt in words: nearest in the source, and nearest in the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ptx.cache import Store
from ptx.errors import PtxError
from ptx.results.collect import Result
from ptx.results.report.transfers import Cell, Transfer

TOP = 4


@dataclass(frozen=True)
class Words:
    """Of one task: a row for every vector, with as many words as the header has models; or why there are none."""

    task: str
    key: str
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    problem: str = ""


def most_telling(found: Mapping[Cell, Transfer], count: int) -> list[Transfer]:
    """Of the best transfer to each target from other models, the best ones."""
    best: dict[str, Transfer] = {}
    for own in found.values():
        searched = any(parent["stage"] == "search" for parent in own.results[0].artifact.meta["parents"])
        moved = searched and own.is_moved and not own.is_self
        if moved and (own.target not in best or own.mean > best[own.target].mean):
            best[own.target] = own
    return sorted(best.values(), key=lambda own: (-own.mean, own.id))[:count]


def words(transfer: Transfer, store: Store, device: str) -> Words:
    """Of the task that it answers best. What cannot be read (a model has gone, say) is told in place of it."""
    from ptx.prompts.inspect import inspect

    task = max(transfer.by_task, key=transfer.accuracies.__getitem__)
    result: Result = transfer.by_task[task][0]
    remarks: list[str] = []
    try:
        report = inspect(result.artifact.key, "", store, top=TOP, device=device, warn=remarks.append)
    except PtxError as error:
        return Words(task, result.artifact.key, problem=f"{error.message}; {error.hint}")
    rows = [[_spelled(side["words"]) for side in (*row.get("sources", ()), row)] for row in report.rows]
    before = [f"{name} (before)" for name in report.models[:-1]]
    header = [*before, f"{report.models[-1]} ({'after' if before else 'as it is'})"]
    return Words(task, result.artifact.key, header[-len(rows[0]) :], rows, "; ".join(remarks))


def _spelled(nearest: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{of['word']} {of['cosine']:.2f}" for of in nearest)
