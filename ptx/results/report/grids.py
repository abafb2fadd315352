"""What a table of results becomes: grids with the best marked, heat maps from sources to targets, and relations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ptx.results.report.transfers import Cell, Transfer
from ptx.results.sheet import Page
from ptx.results.table import row_title

SCORES = ("micro", "macro")  # of which the highest is the best


@dataclass(frozen=True)
class Place:
    """One number: how it is written, its value for sorting, and the transfer behind it. `share` (0 to 1) colours it."""

    text: str = ""
    value: float | None = None
    transfer: str = ""
    interval: str = ""
    best: bool = False
    share: float | None = None


@dataclass(frozen=True)
class Grid:
    """The first `labels` columns name a row."""

    title: str
    header: Sequence[str]
    labels: int
    rows: Sequence[tuple[Sequence[str], Sequence[Place]]]
    note: str = ""


def grids(page: Page, found: Mapping[Cell, Transfer]) -> list[Grid]:
    """The sheets of a table, with what the text of a cell leaves out."""
    records = {(row_title(row["method"]), row["sources"], row["target"]): row for row in page.records}
    made = []
    for sheet in page.sheets:
        targets = sheet.header[sheet.labels :]
        rows = []
        for row in sheet.rows:
            method, sources = (item.text for item in row[:2])
            cells = [(method, sources, target) for target in targets]
            texts = [item.text for item in row[2:]]
            places = [_place(records.get(c), sheet.name, t, found.get(c)) for c, t in zip(cells, texts, strict=True)]
            rows.append(([method, sources], places))
        if sheet.name in SCORES:
            rows = _marked(rows, [[(m, s, target) for target in targets] for (m, s), _ in rows], found)
        made.append(Grid(sheet.title, sheet.header, sheet.labels, rows, NOTES.get(sheet.name, "")))
    return made


NOTES = {
    "micro": "In brackets: 95 % intervals by bootstrap over tasks. ★: the best of what was moved from other models.",
    "macro": "★: the best of what was moved from other models.",
}


def _place(record: Mapping[str, Any] | None, name: str, text: str, transfer: Transfer | None) -> Place:
    if record is None or not text:
        return Place()
    ends = transfer.interval if transfer is not None and name == "micro" else None
    interval = f"[{100 * ends[0]:.1f}, {100 * ends[1]:.1f}]" if ends else ""
    return Place(text, record[name], transfer.id if transfer else "", interval)


def _marked(rows: list[Any], cells: Sequence[Sequence[Cell]], found: Mapping[Cell, Transfer]) -> list[Any]:
    """The highest of every column is the best, among what was moved there from other models."""
    best: dict[int, float] = {}

    def competes(i: int, j: int) -> bool:
        own = found.get(cells[i][j])
        return own is not None and own.is_moved and not own.is_self and rows[i][1][j].value is not None

    for i, (_, places) in enumerate(rows):
        for j, place in enumerate(places):
            if competes(i, j):
                best[j] = max(best.get(j, place.value), place.value)
    return [
        (labels, [replace(p, best=competes(i, j) and p.value == best[j]) for j, p in enumerate(places)])
        for i, (labels, places) in enumerate(rows)
    ]


def heat_maps(found: Mapping[Cell, Transfer], targets: Sequence[str]) -> list[Grid]:
    """For every method with two sources and two targets or more: rows are sources, columns targets. Below them what
    the target's own tuning attains."""
    made = []
    for method in dict.fromkeys(method for method, _, _ in found):
        sources = list(dict.fromkeys(s for m, s, _ in found if m == method and s))
        columns = [t for t in targets if any((method, s, t) in found for s in sources)]
        if min(len(sources), len(columns)) > 1:
            rows = [([s], [_warm(found.get((method, s, t))) for t in columns]) for s in sources]
            own = row_title("tuned")
            if any((own, "", t) in found for t in columns):
                rows.append(([own], [_warm(found.get((own, "", t))) for t in columns]))
            title = f"{method}: from sources (rows) to targets (columns), P@1 in %"
            made.append(Grid(title, ["source", *columns], 1, rows, "The fuller the colour, the higher the number."))
    return made


def by_relation(found: Mapping[Cell, Transfer]) -> Grid | None:
    """Rows are transfers, columns the tasks; None where there is only one."""
    tasks = sorted({task for own in found.values() for task in own.by_task}, key=lambda name: (len(name), name))
    if len(tasks) < 2:
        return None
    rows = [([*cell], [_warm_share(own.accuracies.get(task)) for task in tasks]) for cell, own in found.items()]
    floors: dict[str, float] = {}
    for own in found.values():
        for task, (first, *_) in own.by_task.items():
            if first.metrics["floor"] is not None:
                floors.setdefault(task, first.metrics["floor"])
    if floors:
        rows.insert(0, ([row_title("floor"), "", ""], [_warm_share(floors.get(task)) for task in tasks]))
    return Grid("Accuracy by relation, P@1 in %", ["method", "sources", "target", *tasks], 3, rows)


def _warm(own: Transfer | None) -> Place:
    return replace(_warm_share(own.mean), transfer=own.id) if own else Place()


def _warm_share(share: float | None) -> Place:
    return Place() if share is None else Place(f"{100 * share:.1f}", None, share=round(share, 2))
