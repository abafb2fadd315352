"""What the claims are read from: whole grids of cells, by the paper's names of models, or a refusal."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ptx.paper.cells import Cell, Standins
from ptx.paper.effects import Array
from ptx.paper.entries import Entry, measured
from ptx.paper.frames import STEPS, points
from ptx.paper.published import TABLES, published

Cells = Mapping[str, Sequence[Cell]]  # recipe ("table3", "figure2") -> its cells


class Untold(Exception):
    """Cells that a claim needs are missing."""


class Grids:
    """The entries of the tables and the points of the figures, complete or refused. Arrays are [seeds, units], in
    percent: of relations, or of texts. `anchors` is how many "all" are in figure4."""

    def __init__(self, cells: Cells, standins: Standins, anchors: int | None = None) -> None:
        self.cells, self.standins, self.anchors = cells, standins, anchors

    def pick(self, table: int, method: str, sources: Iterable[tuple[str, ...]] | None = None) -> list[Entry]:
        """Entries of one method (and of these sources) for which there are models, in the paper's order."""
        wanted = None if sources is None else set(sources)
        entries = measured(table, self.cells.get(f"table{table}", ()), self.standins)
        units = {(e.suite, e.cell.units) for e in entries if e.cell and not e.partial}
        if len(units) > len({suite for suite, _ in units}):
            raise Untold(f"some cells cover other tasks than others: run `ptx run table{table}`")
        entries = [e for e in entries if e.has_models and e.place.method == method]
        entries = [e for e in entries if wanted is None or e.place.sources in wanted]
        if not entries:
            raise Untold("none of its models has a stand-in")
        if missing := sum(e.cell is None or e.partial for e in entries):
            what = f"{missing} of {len(entries)} cells are missing or cover fewer tasks"
            raise Untold(f"{what}: run `ptx run table{table}`")
        return entries

    def across(self, table: int, method: str, sources: Iterable[str] | None = None) -> dict[tuple[str, str], Array]:
        """Accuracy by source and target, one source each, without self-transfer."""
        entries = self.pick(table, method, None if sources is None else [(source,) for source in sources])
        single = [(e.place.sources[0], e) for e in entries if len(e.place.sources) == 1]
        return {(source, e.place.target): percent(e) for source, e in single if source != e.place.target}

    def within(self, table: int, method: str) -> list[Array]:
        """Accuracy of single-source self-transfer."""
        return [percent(e) for e in self.pick(table, method) if e.place.sources == (e.place.target,)]

    def on_target(self, table: int, method: str) -> dict[tuple[str, str], Array]:
        """Accuracy by target and suite."""
        return {(e.place.target, e.suite): percent(e) for e in self.pick(table, method)}

    def figure(self, name: str) -> list[tuple[str, float, Cell]]:
        """The points of a figure, as (series, x, cell): every pair at every x of a series, all over the same tasks.

        Of figure2 x is the number of steps.
        """
        anchors = math.inf if self.anchors is None else self.anchors
        found: dict[tuple[str, str], dict[float, Cell]] = defaultdict(dict)
        for cell in self.cells.get(name, ()):
            for series, x in points(name, cell, anchors):
                curve = found[series if name == "figure4" else name, cell.pair]
                curve[cell.settings[STEPS] if name == "figure2" else x] = cell
        if not found:
            raise Untold(f"its cells are missing: run `ptx run {name}`")
        for series in {series for series, _ in found}:
            lengths = {len(curve) for (own, _), curve in found.items() if own == series}
            if len(lengths) > 1 or (name == "figure3" and lengths == {1}):
                raise Untold(f"some pairs lack points of {series}: run `ptx run {name}`")
        made = [(series, x, cell) for (series, _), curve in found.items() for x, cell in sorted(curve.items())]
        if len({cell.units for _, _, cell in made}) > 1:
            raise Untold(f"some cells cover other tasks than others: run `ptx run {name}`")
        return made

    def drawn(self, name: str) -> dict[str, Any]:
        """Which seeds the cells of a recipe are means over, and what an effect of theirs is resampled from."""
        cell = self.cells[name][0]
        return {"seeds": cell.seeds, "unit": cell.unit}


def percent(entry: Entry) -> Array:
    assert entry.cell is not None
    return rows(entry.cell)


def rows(cell: Cell) -> Array:
    """Accuracy in percent, [seeds, units]; of a cell that is a mean only, [1, 1]."""
    return 100 * np.array(cell.scores or [[cell.accuracy]])


def published_grids() -> Grids:
    """The published numbers as cells of the paper's own models. Their majority floors are not in the tables."""
    cells = {
        f"table{number}": [
            Cell(p.method, p.sources, p.target, p.metric.removesuffix(" accuracy"), percent / 100, 1, 1, math.nan)
            for p, percent in published(number).items()
        ]
        for number in TABLES
    }
    return Grids(cells, {model: model for of in cells.values() for c in of for model in (*c.sources, c.target)})
