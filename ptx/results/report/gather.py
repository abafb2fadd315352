"""Everything that a report shows, read from a cache; nothing is built, and nothing is written into it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ptx.cache import Store
from ptx.errors import PtxError
from ptx.lms.meaning import same
from ptx.media import counted
from ptx.results import collect
from ptx.results.alike import grouped
from ptx.results.now import current
from ptx.results.report.again import again
from ptx.results.report.errors import Errors, Reader, errors
from ptx.results.report.grids import Grid, by_relation, grids, heat_maps
from ptx.results.report.transfers import Cell, Transfer, spelled, transfers
from ptx.results.report.words import Look, Words, looking, most_telling
from ptx.results.sheet import Page
from ptx.results.table import pages, row_title

LARGEST = 2**20  # bytes of a figure


@dataclass(frozen=True)
class Part:
    """What is told of one transfer."""

    transfer: Transfer
    settings: str
    again: str
    errors: Errors | None
    words: Words | None = None


@dataclass(frozen=True)
class Table:
    page: Page
    grids: Sequence[Grid]
    heat_maps: Sequence[Grid]
    relations: Grid | None
    settings: str


@dataclass(frozen=True)
class Report:
    summary: Sequence[str]
    tables: Sequence[Table]
    parts: Sequence[Part]
    figures: Mapping[str, str] = field(default_factory=dict)  # addresses that hold the image, by title
    remarks: Sequence[str] = ()

    @property
    def forecasts(self) -> list[Transfer]:
        return [part.transfer for part in self.parts if part.transfer.forecast is not None]

    def row(self, path: Path) -> dict[str, Any]:
        """What a door says of the file that it was written into."""
        evaluations = {result.artifact.key for part in self.parts for result in part.transfer.results}
        counts = {"evaluations": len(evaluations), "tables": len(self.tables), "transfers": len(self.parts)}
        return {"path": str(path.absolute()), **counts, "bytes": path.stat().st_size}


def gather(store: Store, *, split: str, look_at: int, device: str) -> Report:
    """`look_at`: how many transfers' words are looked up, which takes a second each. Raises PtxError if there are no
    evaluations on this split."""
    with looking(look_at, store, device) as look:
        return _gathered(store, split, look_at, look)


def _gathered(store: Store, split: str, look_at: int, look: Look) -> Report:
    found = collect.evaluations(store, split=split)
    if not found:
        raise PtxError(f"no {split} evaluations in {store.root}", "run `ptx run demo`")
    results = [collect.result_of(artifact) for artifact in current(found, f"{split} evaluation", store)]
    alike = same([name for of in results for name in (*of.labels["sources"], of.labels["target"])])
    results = collect.for_people(results)
    remarks: list[str] = []
    groups = grouped(results, remarks.append, store)
    for text in remarks:
        store.warn(text)
    both = [*zip(pages(groups, warn=store.warn, store=store), (of for _, of in groups), strict=True)]
    both.sort(key=lambda pair: -len(pair[1]))  # the fullest table first
    by_cell = [transfers(of) for _, of in both]
    looked = {own.id: look(own) for own in most_telling(by_cell[0], look_at)}
    made = [_table(page, own) for (page, _), own in zip(both, by_cell, strict=True)]
    read, parts = Reader(), dict[str, Part]()
    for cells in by_cell:
        for own in cells.values():
            if own.id not in parts:
                wrong = errors(own, cells, read) if own.is_moved else None
                parts[own.id] = Part(own, spelled(own.settings), again(own.results, store), wrong)
    summary, figures = _summary(results, by_cell[0]), _figures(store)
    for id, wait in looked.items():
        parts[id] = replace(parts[id], words=wait())
    return Report(summary, made, [*parts.values()], figures, [*alike, *remarks])


def _table(page: Page, found: Mapping[Cell, Transfer]) -> Table:
    made = grids(page, found)
    targets = made[0].header[made[0].labels :]
    settings = str(page.records[0]["settings"])
    return Table(page, made, heat_maps(found, targets), by_relation(found), settings)


def _summary(results: Sequence[collect.Result], found: Mapping[Cell, Transfer]) -> list[str]:
    """Three sentences: what there is, what is best, and how it compares."""
    models = {name for r in results for name in (*r.labels["sources"], r.labels["target"])}
    tasks = {(r.labels["suite"], r.labels["task"]) for r in results}
    dates = sorted(r.artifact.meta["created"][:10] for r in results)
    when = dates[0] if dates[0] == dates[-1] else f"between {dates[0]} and {dates[-1]}"
    keys = {r.artifact.key for r in results}
    sentences = [
        f"{'This is' if len(keys) == 1 else 'These are'} {counted(len(keys), 'evaluation')} of prompts on "
        f"{counted(len(models), 'model')} and {counted(len(tasks), 'task')}, made {when}."
    ]
    moved = [own for own in found.values() if own.is_moved and not own.is_self]
    if not moved:
        best = max(found.values(), key=lambda own: own.mean)
        return [
            *sentences,
            f"The highest P@1 is {_percent(best)}, of {best.title}.",
            "Nothing was moved between models.",
        ]
    best = max(moved, key=lambda own: own.mean)
    sentences.append(
        f"The best transfer to another model in the fullest table has a P@1 of {_percent(best)}: {best.title}."
    )
    beside = [f"{100 * best.floor:.1f} % for always the most frequent answer"] if best.floor is not None else []
    others = [(name, found.get((name, "", best.target))) for name in map(row_title, ("manual", "tuned"))]
    beside += [f"{_percent(other)} for {name}" for name, other in others if other is not None]
    mean = f"{100 * sum(own.mean for own in moved) / len(moved):.1f} % in the mean"
    compared = f"On {best.target} there is {', '.join(beside)}, and" if beside else "There"
    sentences.append(f"{compared} {len(moved)} transfers to another model are in that table, with {mean}.")
    return sentences


def _percent(own: Transfer) -> str:
    ends = own.interval
    return f"{100 * own.mean:.1f} %" + (f" [{100 * ends[0]:.1f}, {100 * ends[1]:.1f}]" if ends else "")


def _figures(store: Store) -> dict[str, str]:
    """The SVG of figures that recipes drew, as images: what an image holds can neither run nor load anything."""
    artifacts = [a for folder in store.entries("figure") if (a := store.read("figure", folder.name)) is not None]
    found = {}
    for artifact in collect.of_today(artifacts, "figure", store.warn):
        for name in artifact.meta["payload"]:
            path = artifact.path / name
            if path.suffix == ".svg" and path.stat().st_size <= LARGEST:
                held = base64.b64encode(path.read_bytes()).decode()
                found[f"{path.stem}, {artifact.key[:12]}"] = f"data:image/svg+xml;base64,{held}"
    return found
