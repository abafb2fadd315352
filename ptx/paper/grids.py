"""What the claims are read from: whole grids of cells, by the paper's names of models, or a refusal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ptx.errors import PtxError
from ptx.paper.cells import Cell, Standins
from ptx.paper.entries import Entry, measured
from ptx.paper.frames import frame
from ptx.paper.published import TABLES, published

if TYPE_CHECKING:
    import pandas as pd

Cells = Mapping[str, Sequence[Cell]]  # recipe ("table3", "figure2") -> its cells


class Untold(Exception):
    """Cells that a claim needs are missing."""


class Grids:
    """The entries of the tables and the cells of the figures, complete or refused."""

    def __init__(self, cells: Cells, standins: Standins) -> None:
        self.cells, self.standins = cells, standins

    def pick(self, table: int, method: str, sources: Iterable[tuple[str, ...]] | None = None) -> list[Entry]:
        """Entries of one method (and of these sources) for which there are models, in the paper's order."""
        wanted = None if sources is None else set(sources)
        entries = measured(table, self.cells.get(f"table{table}", ()), self.standins)
        entries = [e for e in entries if e.has_models and e.place.method == method]
        entries = [e for e in entries if wanted is None or e.place.sources in wanted]
        if not entries:
            raise Untold("none of its models has a stand-in")
        if missing := sum(e.cell is None or e.partial for e in entries):
            what = f"{missing} of {len(entries)} cells are missing or cover fewer tasks"
            raise Untold(f"{what}: run `ptx run table{table}`")
        return entries

    def across(self, table: int, method: str, sources: Iterable[str] | None = None) -> dict[tuple[str, str], float]:
        """Percent by source and target, one source each, without self-transfer."""
        entries = self.pick(table, method, None if sources is None else [(source,) for source in sources])
        single = [(e.place.sources[0], e) for e in entries if len(e.place.sources) == 1]
        return {(source, e.place.target): e.percent for source, e in single if source != e.place.target}

    def within(self, table: int, method: str) -> dict[str, float]:
        """Percent of single-source self-transfer by model."""
        entries = self.pick(table, method)
        return {e.place.target: e.percent for e in entries if e.place.sources == (e.place.target,)}

    def on_target(self, table: int, method: str) -> dict[tuple[str, str], float]:
        """Percent by target and suite."""
        return {(e.place.target, e.suite): e.percent for e in self.pick(table, method)}

    def figure(self, name: str) -> pd.DataFrame:
        """A figure's data: every pair at every point of a curve, and all over the same number of tasks."""
        try:
            data = frame(name, self.cells.get(name, ()))
        except PtxError:
            raise Untold(f"its cells are missing: run `ptx run {name}`") from None
        point = "steps" if name == "figure2" else "x"
        for series, curve in data.groupby("series" if name == "figure4" else "figure"):
            pairs = curve.groupby(["sources", "target"])[point].nunique()
            if pairs.nunique() > 1 or (name == "figure3" and pairs.max() < 2):
                raise Untold(f"some pairs lack points of {series}: run `ptx run {name}`")
        if data["tasks"].nunique() > 1:
            raise Untold(f"some cells cover fewer tasks than others: run `ptx run {name}`")
        return data


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
