"""The vectors of a moved prompt in words: nearest in the source, and nearest in the target."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptx.cache import Store
from ptx.cache.remote import store_at
from ptx.errors import PtxError
from ptx.lms import gguf
from ptx.results.report.beside import Lost, beside
from ptx.results.report.transfers import Cell, Transfer

TOP = 4
INSPECT = "ptx.prompts.inspect"


@dataclass(frozen=True)
class Words:
    """Of one task: a row for every vector, with as many words as the header has models; or why there are none."""

    task: str
    key: str
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    problem: str = ""


Look = Callable[[Transfer], Callable[[], Words]]


def most_telling(found: Mapping[Cell, Transfer], count: int) -> list[Transfer]:
    """Of the best transfer to each target from other models, the best ones."""
    best: dict[str, Transfer] = {}
    for own in found.values():
        searched = any(parent["stage"] == "search" for parent in own.results[0].artifact.meta["parents"])
        moved = searched and own.is_moved and not own.is_self
        if moved and (own.target not in best or own.mean > best[own.target].mean):
            best[own.target] = own
    return sorted(best.values(), key=lambda own: (-own.mean, own.id))[:count]


@contextlib.contextmanager
def looking(count: int, store: Store, device: str) -> Iterator[Look]:
    """Look up the words of so many transfers, each of the task that it answers best; what a look returns waits for it.

    What is imported for that takes as long as all else of a report: if it is not here yet, another process imports it
    meanwhile, and looks.
    """
    if not count or INSPECT in sys.modules:
        yield lambda own: functools.partial(_told, _words(*_best(own), store.where, device), store)
        return
    with beside(INSPECT) as ask:

        def look(own: Transfer) -> Callable[[], Words]:
            answer = ask(_words, *_best(own), store.where, device)

            def wait() -> Words:
                try:
                    return _told(answer(), store)
                except Lost:
                    return Words(*_best(own), problem="the process that looked them up has ended; try it again")

            return wait

        yield look


def _best(transfer: Transfer) -> tuple[str, str]:
    """The task that it answers best, and the key of an evaluation."""
    task = max(transfer.by_task, key=transfer.accuracies.__getitem__)
    return task, transfer.by_task[task][0].artifact.key


def _told(found: tuple[Words, Sequence[str]], store: Store) -> Words:
    words, warnings = found
    for text in warnings:
        store.warn(text)
    return words


def _words(task: str, key: str, where: str | Path, device: str) -> tuple[Words, Sequence[str]]:
    """The words of an evaluation's prompt, and warnings about the cache. What cannot be read (a model has gone, say) is
    told in place of them."""
    from ptx.prompts.inspect import inspect

    remarks, warnings = list[str](), list[str]()
    store = store_at(where, warnings.append, reached=True)
    gguf.keep_in(store, warnings.append)
    try:
        report = inspect(key, "", store, top=TOP, device=device, warn=remarks.append)
    except PtxError as error:
        return Words(task, key, problem=f"{error.message}; {error.hint}"), warnings
    rows = [[_spelled(side["words"]) for side in (*row.get("sources", ()), row)] for row in report.rows]
    before = [f"{name} (before)" for name in report.models[:-1]]
    header = [*before, f"{report.models[-1]} ({'after' if before else 'as it is'})"]
    return Words(task, key, header[-len(rows[0]) :], rows, "; ".join(remarks)), warnings


def _spelled(nearest: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{of['word']} {of['cosine']:.2f}" for of in nearest)
