"""How far prompts travel, by rungs of a ladder of distance: pairs of models that differ in ever more.

Each pair answers among the words that its two models share, so that numbers of one pair compare with each other, and
those of different rungs as shares of the gap (see benchmark.py) that there is on the target.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ptx.paper.benchmark import CEILING, forecast_note, forecasts, interval, needs, rows_of, with_interval
from ptx.paper.cells import Cell, seeds_note, short
from ptx.paper.effects import Effect, share_of_gap
from ptx.results.sheet import Item, Sheet

TITLE = "A ladder of distance: prompts of one model on another"
HEADER = ("rung", "method", "needs", "P@1", "share of the gap", "s a prompt", "pairs")


def table(cells: Sequence[Cell]) -> Sheet:
    """P@1 in % and the share of the gap, means over the pairs of a rung; a pair without a prompt that was tuned on its
    target is left out, and said."""
    rungs: dict[str, list[Cell]] = {}
    for cell in cells:
        rungs.setdefault(cell.settings["rung"], []).append(cell)
    records: list[dict[str, Any]] = []
    lines: list[list[Item]] = []
    pairs: list[str] = []
    lacking: list[tuple[str, str]] = []
    for rung, every in rungs.items():
        whole = {_pair(cell): None for cell in every if cell.method == CEILING}
        lacking += [pair for pair in dict.fromkeys(map(_pair, every)) if pair not in whole]
        pairs.append(f"{rung}: {', '.join(' → '.join(map(_named, pair)) for pair in whole)}")
        for row in rows_of([cell for cell in every if _pair(cell) in whole]):
            score, gap = Effect("", [100 * row.numbers[..., :1]]), Effect("", [row.numbers], share_of_gap)
            (low, high), (gap_low, gap_high) = interval(score), interval(gap)
            records.append({
                "rung": rung, "method": row.method, "needs": needs(row), "accuracy": score.value, "low": low,
                "high": high, "gap": gap.value, "gap_low": gap_low, "gap_high": gap_high, "seconds": row.seconds,
                "relations": row.numbers.shape[1], "pairs": row.pairs,
            })  # fmt: skip
            first = rung if not lines or records[-2]["rung"] != rung else ""
            shown = [first, row.method, needs(row), with_interval(score), with_interval(gap)]
            lines.append([Item(text) for text in [*shown, f"{row.seconds:.2f}", str(row.pairs)]])
    notes = [
        "P@1 in % among the words that the two models of a pair share; 95% intervals with relations drawn anew",
        "share of the gap: (method - majority) / (tuned on the target - majority)",
        *pairs,
        *(f"left out, as nothing was tuned on the target: {' → '.join(map(_named, pair))}" for pair in lacking),
        *forecast_note(forecasts(cells)),
        *seeds_note(cells),
    ]
    return Sheet("ladder", TITLE, notes, 3, HEADER, lines, records)


def _pair(cell: Cell) -> tuple[str, str]:
    return cell.settings["source"], cell.target


def _named(model: str) -> str:
    """Without its organisation and commit."""
    return short(model).partition("@")[0].rpartition("/")[2]
