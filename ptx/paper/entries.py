"""The places of a published table, each with what was measured for it, and the marks of the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ptx.paper.cells import FACTUAL, Cell, Standins, by_place, is_miniature, key
from ptx.paper.published import Place, published

TRANSFERS = ("direct", "discretize", "projector", "relative")
MINIATURE_SUITE = "topics"


@dataclass(frozen=True)
class Entry:
    """A place of a published table, and what was measured for it. `sources` and `target` are None without a model."""

    place: Place
    sources: tuple[str, ...] | None
    target: str | None
    suite: str
    published: float | None
    cell: Cell | None
    partial: bool = False
    mark: str = ""

    @property
    def has_models(self) -> bool:
        return self.sources is not None and self.target is not None


def measured(number: int, cells: Sequence[Cell], standins: Standins, tasks: int | None = None) -> list[Entry]:
    """Every place that the paper fills in a table, in its order, with the measured cell if there is one, and marked.

    `tasks` is how many tasks a whole cell covers (default: as many as the fullest cell of its suite does).
    """
    found = by_place(cells)
    entries: dict[tuple[Place, str], Entry] = {}
    for place, figure in published(number).items():
        theirs: float | None = figure
        suite = place.metric.removesuffix(" accuracy") if number == 6 else FACTUAL
        if number == 6 and is_miniature(standins):  # the zoo has no sentiment data: one suite, compared with nothing
            suite, theirs, place = MINIATURE_SUITE, None, place._replace(metric="topics accuracy")
        runs = [standins.get(source) for source in place.sources]
        sources = None if None in runs else tuple(run for run in runs if run is not None)
        target = standins.get(place.target)
        cell = None
        if sources is not None and target is not None:
            cell = found.get(key(place.method, sources, target, suite))
        entries[place, suite] = Entry(place, sources, target, suite, theirs, cell)
    for suite in {entry.suite for entry in entries.values()}:
        own = {place: entry for place, entry in entries.items() if entry.suite == suite}
        whole = tasks or max(map(tasks_of, own.values()))
        entries |= {place: replace(entry, partial=0 < tasks_of(entry) < whole) for place, entry in own.items()}
    return marked(number, list(entries.values()))


def marked(number: int, entries: Sequence[Entry]) -> list[Entry]:
    """Best and second best to each target, by the number as printed, so that cells that read alike share a mark.

    Self-transfer does not compete, nor does a cell over fewer tasks than a rival. A cell without rivals has no mark.
    """
    competing: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        if entry.cell is not None and not entry.cell.self_transfer and (number == 2 or entry.place.method in TRANSFERS):
            competing.setdefault((entry.place.target, entry.suite), []).append(entry)
    marks = {entry.place: "self" for entry in entries if entry.cell is not None and entry.cell.self_transfer}
    for rivals in competing.values():
        full = [entry for entry in rivals if tasks_of(entry) == max(map(tasks_of, rivals))]
        values = sorted({_shown(entry) for entry in full}, reverse=True)
        if len(full) > 1:
            names = dict(zip(values, ("best", "second"), strict=False))
            marks |= {entry.place: names.get(_shown(entry), "") for entry in full}
    return [replace(entry, mark=marks.get(entry.place, "")) for entry in entries]


def tasks_of(entry: Entry) -> int:
    return entry.cell.tasks if entry.cell else 0


def percent(fraction: float) -> str:
    """As every number is printed."""
    return f"{100 * fraction:.1f}"


def _shown(entry: Entry) -> float:
    return float(percent(entry.cell.accuracy)) if entry.cell else -1.0
