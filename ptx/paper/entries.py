"""The places of a published table, each with what was measured for it, and the marks of the best."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ptx.paper.cells import FACTUAL, Cell, Standins, by_place, is_miniature, key
from ptx.paper.published import Place, published

TRANSFERS = ("direct", "discretize", "projector", "relative")


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

    @property
    def tasks(self) -> int:
        return self.cell.tasks if self.cell else 0

    @property
    def percent(self) -> float:
        return 100 * self.cell.accuracy if self.cell else math.nan


def measured(number: int, cells: Sequence[Cell], standins: Standins, tasks: int | None = None) -> list[Entry]:
    """Every place that the paper fills in a table, in its order, with the measured cell if there is one, and marked.

    `tasks` is how many tasks a whole cell covers (default: as many as the fullest cell of its suite does).
    """
    found = by_place(cells)
    topics = number == 6 and is_miniature(standins)  # the zoo has no sentiment data: one suite, compared with nothing
    entries: dict[Place, Entry] = {}
    for published_place, figure in published(number).items():
        place = published_place._replace(metric="topics accuracy") if topics else published_place
        suite = place.metric.removesuffix(" accuracy") if number == 6 else FACTUAL
        runs, target = [standins.get(source) for source in place.sources], standins.get(place.target)
        sources = None if None in runs else tuple(run for run in runs if run is not None)
        cell = found.get(key(place.method, sources, target, suite)) if sources is not None and target else None
        entries[place] = Entry(place, sources, target, suite, None if topics else figure, cell)
    whole: dict[str, int] = defaultdict(int)
    for entry in entries.values():
        whole[entry.suite] = tasks or max(whole[entry.suite], entry.tasks)
    return marked(number, [replace(e, partial=0 < e.tasks < whole[e.suite]) for e in entries.values()])


def marked(number: int, entries: Sequence[Entry]) -> list[Entry]:
    """Best and second best to each target, by the number as printed, so that cells that read alike share a mark.

    Self-transfer does not compete, nor does a cell over fewer tasks than a rival. A cell without rivals has no mark.
    """
    competing: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    marks: dict[Place, str] = {}
    for entry in entries:
        if entry.cell is not None and entry.cell.self_transfer:
            marks[entry.place] = "self"
        elif entry.cell is not None and (number == 2 or entry.place.method in TRANSFERS):
            competing[entry.place.target, entry.suite].append(entry)
    for rivals in competing.values():
        full = [entry for entry in rivals if entry.tasks == max(rival.tasks for rival in rivals)]
        values = sorted({round(entry.percent, 1) for entry in full}, reverse=True)
        names = dict(zip(values, ("best", "second"), strict=False)) if len(full) > 1 else {}
        marks |= {entry.place: names.get(round(entry.percent, 1), "") for entry in full}
    return [replace(entry, mark=marks.get(entry.place, "")) for entry in entries]
