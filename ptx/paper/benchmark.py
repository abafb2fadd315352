"""All ways to move a prompt, compared on one protocol: other models only, settings chosen on half of the relations,
numbers from the other half, 95% intervals with the relations drawn anew, and what each way needs.

The share of the gap is (method - majority) / (tuned - majority), of means over all pairs of a row: majority always
gives the most frequent train object, tuned is the prompt that was tuned on the target with its labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ptx.errors import PtxError
from ptx.paper.cells import Cell, seeds_note
from ptx.paper.effects import Array, Effect, rank_correlation, share_of_gap
from ptx.results.plots import COLOURS, WIDTH, save
from ptx.results.sheet import Item, Sheet
from ptx.stages.methods import method_named

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Every way to move a prompt, on other models than its own"
HEADER = ("method", "sources", "needs", "choosing half", "reporting half", "share of the gap", "s a prompt", "pairs")
CEILING = "tuned"
FAR = 0.1  # below its forecast


@dataclass(frozen=True)
class Row:
    """One method from some number of sources: scores, majority and ceiling [seeds, relations, 3], means over pairs."""

    method: str
    sources: int
    numbers: Array
    pairs: int
    seconds: float

    def half(self, first: int, statistic: Any = None) -> Effect:
        """Every second relation, in sorted order, from the first one (0, the choosing half) or the second (1)."""
        part = self.numbers[:, first::2]
        return Effect("", [part], statistic) if statistic else Effect("", [100 * part[..., :1]])


def rows_of(cells: Sequence[Cell]) -> list[Row]:
    """A row for each method and number of sources, in the order of the cells, over the relations that all of its pairs
    have. Raises PtxError without a cell of the prompts tuned on each target."""
    ceilings = {_place(cell): _by_relation(cell) for cell in cells if cell.method == CEILING}
    groups: dict[tuple[str, int], list[Cell]] = {}
    for cell in cells:
        if _place(cell) not in ceilings:
            raise PtxError(f"nothing was tuned on {cell.target}, which is the ceiling there", "add tuned to methods")
        groups.setdefault((cell.method, len(cell.sources)), []).append(cell)
    rows = []
    for (method, sources), of in groups.items():
        every = [_by_relation(cell) for cell in of]
        tops = [ceilings[_place(cell)] for cell in of]
        names = sorted(set.intersection(*map(set, [*every, *tops])))
        if not names:
            continue
        pairs = [
            [[(*own[name][seed], top[name][seed][0]) for name in names] for seed in range(len(of[0].seeds))]
            for own, top in zip(every, tops, strict=True)
        ]
        seconds = float(np.mean([cell.seconds for cell in of]))
        rows.append(Row(method, sources, np.array(pairs).mean(0), len(of), seconds))
    return rows


def _place(cell: Cell) -> tuple[str, str]:
    """Whose ceiling counts: that on the same target, in a ladder also with the same source, and so among its words."""
    return cell.target, cell.settings.get("source", "")


def _by_relation(cell: Cell) -> dict[str, list[tuple[float, float]]]:
    """Score and floor of each relation, by seed."""
    columns = [list(zip(*rows, strict=True)) for rows in (cell.scores, cell.floors)]
    return {unit: list(zip(*of, strict=True)) for unit, *of in zip(cell.units, *columns, strict=True)}


def forecasts(cells: Sequence[Cell]) -> Array:
    """What was to be expected, what came, and the majority [prompts, 3], of all prompts with a forecast."""
    found = [
        np.stack([np.array(of).ravel() for of in (cell.forecasts, cell.scores, cell.floors)], axis=-1)
        for cell in cells
        if cell.forecasts
    ]
    every = np.concatenate(found) if found else np.empty((0, 3))
    return every[~np.isnan(every).any(-1)]


def judged(points: Array) -> tuple[float, int, int]:
    """Of forecasts, what came and majorities [prompts, 3], as fractions: the rank correlation of the first two, how
    many prompts were said to travel, and how many of these fell `FAR` below their forecast."""
    expected, came, floor = points.T
    travels = expected > floor
    fell = came[travels] < expected[travels] - FAR
    return float(rank_correlation(expected, came)), int(travels.sum()), int(fell.sum())


def forecast_note(points: Array) -> list[str]:
    """How good the forecasts were, in one line."""
    if len(points) < 2:
        return []
    correlation, travels, fell = judged(points)
    return [
        f"forecasts, without labels: rank correlation with P@1 {correlation:.2f} over "
        f"{len(points)} prompts; of {travels} said to travel, {fell} fell {100 * FAR:.0f} points below"
    ]


def table(cells: Sequence[Cell]) -> Sheet:
    """P@1 in % on both halves and the share of the gap on the reporting half. Raises PtxError: see rows_of."""
    rows = rows_of(cells)
    records, lines = [], []
    for row in rows:
        choosing, reporting, gap = row.half(0), row.half(1), row.half(1, share_of_gap)
        (low, high), (gap_low, gap_high) = interval(reporting), interval(gap)
        records.append({
            "method": row.method, "sources": row.sources, "needs": needs(row), "choosing": choosing.value,
            "reporting": reporting.value, "reporting_low": low, "reporting_high": high,
            "gap": gap.value, "gap_low": gap_low, "gap_high": gap_high, "seconds": row.seconds, "pairs": row.pairs,
        })  # fmt: skip
        shown = [row.method, str(row.sources or ""), needs(row), f"{choosing.value:.1f}"]
        shown += [with_interval(reporting), with_interval(gap), f"{row.seconds:.2f}", str(row.pairs)]
        lines.append([Item(text) for text in shown])
    relations = [row.numbers.shape[1] for row in rows]
    notes = [
        f"P@1 in %, {max(relations)} relations, every second one in sorted order for settings, the others for numbers; "
        "95% intervals with relations drawn anew",
        "share of the gap: (method - majority) / (tuned on the target - majority), reporting half",
        *forecast_note(forecasts(cells)),
        *seeds_note(cells),
    ]
    return Sheet("benchmark", TITLE, notes, 3, HEADER, lines, records)


def needs(row: Row) -> str:
    """What a way needs beyond prompts and word embeddings."""
    return "target labels" if row.method == CEILING else method_named(row.method).uses


def interval(effect: Effect) -> tuple[float | None, float | None]:
    """Low and high end, or None for both."""
    found = effect.interval()
    return (None, None) if found is None or np.isnan(found).any() else found


def with_interval(effect: Effect) -> str:
    low, high = interval(effect)
    return f"{effect.value:.1f}" + ("" if low is None else f" [{low:.1f}, {high:.1f}]")


def draw(cells: Sequence[Cell], folder: Path) -> list[Path]:
    """Write benchmark.png, .svg and .pdf: the share of the gap by method, and forecasts against truth. Raises PtxError
    without matplotlib."""
    rows = [row for row in rows_of(cells) if row.method != CEILING]
    points = forecasts(cells)

    def panels(figure: Figure) -> None:
        figure.set_size_inches(WIDTH, 1.6 + 0.26 * len(rows))
        bars, scatter = figure.subplots(1, 2)
        for place, row in enumerate(rows):
            effect = row.half(1, share_of_gap)
            low, high = interval(effect)
            bars.barh(place, effect.value, 0.6, color=COLOURS[0] if row.sources else "#999999")
            if low is not None:
                bars.plot((low, high), (place, place), color="black", linewidth=1.2, marker="|")
        several = {row.method for row in rows if row.sources > 1}
        labels = [f"{row.method} ({row.sources})" if row.method in several else row.method for row in rows]
        bars.set_yticks(range(len(rows)), labels)
        bars.set_ylim(len(rows) - 0.4, -0.6)
        bars.axvline(0, color="#555555", linewidth=0.8)
        bars.axvline(100, color="#555555", linewidth=0.8, linestyle=":")
        bars.set_xlabel("share of the gap from majority to tuned (%)\ngrey: without a source; in brackets: sources")
        scatter.plot(100 * points[:, 0], 100 * points[:, 1], ".", color=COLOURS[1], alpha=0.4, markersize=4)
        scatter.plot((0, 100), (0, 100), color="#555555", linewidth=0.8)
        scatter.set_xlabel("accuracy that was to be expected (%)")
        scatter.set_ylabel("accuracy on test facts, P@1 (%)")

    return save(panels, TITLE, folder / "benchmark")
