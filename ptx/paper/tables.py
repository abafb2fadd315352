"""The paper's tables from measured cells: its rows, columns and order, with the models that were really run.

A miniature says so in its title, and names every model as run beside the one that it stands for.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from ptx.errors import UsageError
from ptx.media import counted
from ptx.paper.cells import CLASSIFICATION, Cell, Standins, deviation_note, is_miniature, named, seeds_note, title
from ptx.paper.entries import Entry, measured
from ptx.paper.published import TABLES
from ptx.results.sheet import Item, Sheet

TITLES = {
    1: "prompts carried over unchanged between models of one width (P@1 in %, mean of tasks)",
    2: "prompts of the target's own (P@1 in %, mean of tasks)",
    3: "transfer between masked language models (P@1 in %, mean of tasks)",
    4: "the models",
    5: "transfer from and to GPT-2 (P@1 in %, mean of tasks)",
    6: "transfer of classification prompts to {target} (accuracy in %)",
}
LABELS = {
    1: ("source", "target"), 2: ("method",), 3: ("method", "sources"), 5: ("method", "source"), 6: ("method", "source"),
}  # fmt: skip
METHODS = {"tuned": "direct tuning"}  # the paper's word where it is not ptx's
FLOOR = ("majority class", "(not in the paper)")


def paper_table(
    number: int, cells: Sequence[Cell], standins: Standins, *, compare: bool = False, tasks: int | None = None
) -> Sheet:
    """Table 1, 2, 3, 5 or 6 (for 4 see `model_table`). With `compare` the published numbers stand in brackets.

    `tasks` is how many tasks a whole cell covers (default: as many as the fullest cell of its suite does).
    Raises UsageError for another number, PtxError if two cells claim one place.
    """
    if number not in TABLES:
        raise UsageError(f"no table {number} to fill from results", "choose 1, 2, 3, 5 or 6, or 4 for the models")
    entries = measured(number, cells, standins, tasks)
    rows: dict[tuple[str, ...], dict[str, Entry]] = {}
    for entry in entries:
        rows.setdefault(_row(number, entry, standins), {})[_column(number, entry, standins)] = entry
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    body = [[*map(Item, row), *(_item(by.get(column), compare) for column in columns)] for row, by in rows.items()]
    floors = [_floor([by[column] for by in rows.values() if column in by]) for column in columns]
    if any(floor is not None for floor in floors):
        label = FLOOR if len(LABELS[number]) > 1 else (" ".join(FLOOR),)
        body.append([*map(Item, label), *(Item("" if f is None else f"{100 * f:.1f}") for f in floors)])
    return Sheet(
        name=f"table{number}",
        title=title(f"table{number}", TITLES[number].format(target=named("roberta-large", standins)), standins),
        notes=_notes(number, entries, standins, compare),
        labels=len(LABELS[number]),
        header=[*LABELS[number], *columns],
        rows=body,
        records=[_record(number, entry) for entry in entries] + _floor_records(number, entries),
        among="among the rows" if number == 2 else "among the transfers to one target",
    )


def model_table(models: Sequence[Mapping[str, Any]], standins: Standins) -> Sheet:
    """Table 4: one row per model with `name`, `parameters`, `hidden`, `embedding`, `task` and `data`, as given."""
    paper = {run: name for name, run in standins.items() if run is not None}
    header = ("model", "pretraining task", "pretraining data", "parameters", "hidden width", "embedding width")
    fields = ("parameters", "hidden", "embedding", "task", "data")
    rows, records = [], []
    for model in models:
        name = str(model["name"])
        shown = named(paper[name], standins) if name in paper else name
        counts = (f"{model[field]:,}" for field in fields[:3])
        rows.append([*map(Item, (shown, str(model["task"]), str(model["data"]), *counts))])
        own = {field: model[field] for field in fields}
        records.append({"table": 4, "model": name, "stands_for": paper.get(name, ""), **own})
    notes = [f"{name} has no stand-in here" for name, run in standins.items() if run is None]
    return Sheet("table4", title("table4", TITLES[4], standins), notes, 3, header, rows, records)


def _row(number: int, entry: Entry, standins: Standins) -> tuple[str, ...]:
    sources = " + ".join(named(source, standins) for source in entry.place.sources)
    if number == 1:
        return sources, named(entry.place.target, standins)
    method = METHODS.get(entry.place.method, entry.place.method)
    return (method, sources)[: len(LABELS[number])]


def _column(number: int, entry: Entry, standins: Standins) -> str:
    if number == 1:
        return "P@1"
    return CLASSIFICATION[entry.suite] if number == 6 else named(entry.place.target, standins)


def _item(entry: Entry | None, compare: bool) -> Item:
    if entry is None:
        return Item()
    theirs = f"[{entry.published:.1f}]" if compare and entry.published is not None else ""
    if entry.cell is None:
        return Item(after=theirs)
    spread = "" if entry.cell.deviation is None else f" ± {100 * entry.cell.deviation:.1f}"
    return Item(f"{entry.percent:.1f}", entry.mark, f"{'†' if entry.partial else ''}{spread} {theirs}".rstrip())


def _floor(entries: Sequence[Entry]) -> float | None:
    """The majority-class floor of a column, by its fullest cells; their mean where the targets differ (Table 1)."""
    fullest = max(entry.tasks for entry in entries)
    floors = [e.cell.floor for e in entries if e.cell and e.tasks == fullest and not math.isnan(e.cell.floor)]
    return mean(floors) if floors else None


def _notes(number: int, entries: Sequence[Entry], standins: Standins, compare: bool) -> list[str]:
    cells = [entry.cell for entry in entries if entry.cell]
    notes = [*seeds_note(cells), *deviation_note(cells)]
    if compare and any(entry.published is not None for entry in entries):
        notes.append(
            "[in brackets] the paper's numbers for the models stood in for, on LAMA: compare patterns, never levels"
            if is_miniature(standins)
            else "[in brackets] the paper's numbers"
        )
    if number == 6 and is_miniature(standins):
        notes.append("the paper has SST-2 and DBpedia; topics is neither, so no published number stands beside it")
    if any(entry.partial for entry in entries):
        notes.append("† covers fewer tasks than the others: compare it with care")
    models = sorted({name for e in entries for name in (*e.place.sources, e.place.target)})
    notes += [f"{name} has no stand-in here: its cells stay blank" for name in models if standins.get(name) is None]
    expected = [entry for entry in entries if entry.has_models]
    if missing := sum(entry.cell is None for entry in expected):
        verb = "is" if missing == 1 else "are"
        what = f"{missing} of {counted(len(expected), 'cell')} {verb} not in the cache"
        notes.append(f"{what}: run `ptx run table{number}`")
    return notes


def _record(number: int, entry: Entry) -> dict[str, Any]:
    cell = entry.cell
    return {
        "table": number, "method": entry.place.method,
        "sources": "+".join(entry.sources or ()), "target": entry.target or "",
        "sources_stand_for": "+".join(entry.place.sources), "target_stands_for": entry.place.target,
        "suite": cell.suite if cell else entry.suite if number == 6 else "",
        "percent": round(entry.percent, 4) if cell else None,
        "percent_std": None if cell is None or cell.deviation is None else round(100 * cell.deviation, 4),
        "seeds": len(cell.seeds) if cell else None, "published": entry.published,
        "self_transfer": entry.place.target in entry.place.sources, "mark": entry.mark if entry.mark != "self" else "",
        "tasks": cell.tasks if cell else None, "facts": cell.facts if cell else None,
    }  # fmt: skip


def _floor_records(number: int, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """One more record per target and suite, as in the table's last row; method "floor" is not one of the paper's."""
    columns: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        columns[entry.place.target, entry.suite].append(entry)
    own = {"method": "floor", "sources": "", "sources_stand_for": "", "self_transfer": False, "mark": ""}
    return [
        {**_record(number, max(column, key=lambda entry: entry.tasks)), **own}
        | {"percent": round(100 * floor, 4), "percent_std": None, "published": None}
        for column in columns.values()
        if (floor := _floor(column)) is not None
    ]
