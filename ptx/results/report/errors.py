"""What a transfer answers wrongly, beside what the target's own prompt and the manual template answer."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ptx.results.collect import Result
from ptx.results.predicted import is_right, predictions
from ptx.results.report.transfers import Cell, Transfer
from ptx.results.table import row_title
from ptx.stages.eval import FILE

MOST = 8  # facts shown
BESIDE = ("tuned", "manual")


@dataclass(frozen=True)
class Errors:
    """Of one task: the first facts that are answered wrongly, each with the answer of every column."""

    task: str
    wrong: int
    facts: int
    header: Sequence[str]
    rows: Sequence[tuple[str, str, Sequence[tuple[str, bool]]]]  # subject, truth, and each answer: is it right?


def errors(transfer: Transfer, found: Mapping[Cell, Transfer], read: Reader) -> Errors | None:
    """Of the task in which the transfer is farthest below the best beside it; None if nothing is wrong."""
    beside = [own for name in BESIDE if (own := found.get((row_title(name), "", transfer.target))) is not None]

    def behind(task: str) -> tuple[float, float]:
        own = transfer.accuracies[task]
        best = max((other.accuracies[task] for other in beside if task in other.accuracies), default=own)
        return own - best, own

    task = min(transfer.by_task, key=behind)
    answered = read(transfer.by_task[task][0])
    wrong = {fact: answer for fact, answer in answered.items() if not is_right(answer)}
    if not wrong:
        return None
    columns = [(other.method, read(other.by_task[task][0])) for other in beside if task in other.by_task]
    rows = []
    for fact, answer in [*wrong.items()][:MOST]:
        answers = [answer, *(column.get(fact, {}) for _, column in columns)]
        shown = [(_spelled(of), bool(of) and is_right(of)) for of in answers]
        rows.append((answer["subject"], answer["object"], shown))
    return Errors(task, len(wrong), len(answered), [transfer.method, *(name for name, _ in columns)], rows)


def _spelled(answer: Mapping[str, Any]) -> str:
    return f"{answer['predicted']} ({100 * answer['probability']:.0f} %)" if answer else "–"


class Reader:
    """The predictions of evaluations by fact, each file read once."""

    def __init__(self) -> None:
        self._of = functools.cache(predictions)

    def __call__(self, result: Result) -> dict[str, dict[str, Any]]:
        return self._of(result.artifact.path / FILE)
