"""The numbers: scores by cell as means over relations, with intervals. No file is written here, nothing is built."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.real.cells import Cell, Place, Score, ask
from ptx.errors import PtxError
from ptx.paper.effects import Effect, share_of_gap

Interval = tuple[float, float] | None
Numbers = tuple[float, Interval]  # a mean, or a share, and its 95% interval: relations drawn anew


@dataclass(frozen=True)
class Tuning:
    """One tuning, by its meta.json: gradient steps, seconds with the looks at dev facts, settings, versions."""

    steps: int
    seconds: float
    settings: Mapping[str, Any]
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Results:
    """All that is in the cache of what was asked for."""

    scores: Mapping[Cell, Score]
    tunings: Mapping[tuple[str, str], Tuning]  # by model and relation

    def of(self, target: str, split: str, row: str, source: str = "") -> dict[str, float]:
        """P@1 in percent by relation, for one row of tables; "majority" is a row, too."""
        if row == "majority":
            found = {c.task: s.floor for c, s in self.scores.items() if (c.target, c.split) == (target, split)}
        else:
            asked = (target, split, row, source)
            found = {
                c.task: s.accuracy for c, s in self.scores.items() if (c.target, c.split, c.row, c.source) == asked
            }
        return {task: 100 * found[task] for task in sorted(found)}

    def rows(self, target: str) -> list[tuple[str, str]]:
        """Row and source of what was scored on a target, in the order in which it was asked for, but its own."""
        found = dict.fromkeys((c.row, c.source) for c in self.scores if c.target == target)
        return [row for row in found if row[0] not in ("tuned", "manual")]

    def forecasts(self, split: str) -> dict[str, NDArray[np.float64]]:
        """By row what was to be expected, what came, and the majority's [prompts, 3], as fractions."""
        told: dict[str, list[tuple[float, float, float]]] = {}
        for cell, score in self.scores.items():
            if cell.split == split and score.expected is not None:
                told.setdefault(cell.row, []).append((score.expected, score.accuracy, score.floor))
        return {row: np.array(points) for row, points in told.items()}


def collect(cells: Iterable[Cell], place: Place) -> tuple[Results, list[Cell]]:
    """What the cache has of some cells, and the cells that it does not have."""
    scores: dict[Cell, Score] = {}
    tunings: dict[tuple[str, str], Tuning] = {}
    missing = []
    for cell in cells:
        try:
            score = ask(cell, place, lambda text: None, dry_run=True)
        except PtxError:  # whoever builds it says why
            score = None
        if score is None:
            missing.append(cell)
            continue
        scores[cell] = score
        if cell.method == "tuned":
            tunings[cell.target, cell.task] = read_tuning(score.tuning[0])
    return Results(scores, tunings), missing


def read_tuning(folder: Path) -> Tuning:
    meta = json.loads((folder / "meta.json").read_text("utf-8"))
    settings = {name: value for name, value in meta["config"]["tune"].items() if name != "task"}
    return Tuning(meta["metrics"]["history"][-1]["steps"], meta["seconds"], settings, meta["versions"])


def mean(values: Mapping[str, float], tasks: Sequence[str]) -> Numbers | None:
    """Over those of the relations that there are."""
    there = [values[task] for task in tasks if task in values]
    return _numbers(np.array([there]).T) if there else None


def gap(
    values: Mapping[str, float], floor: Mapping[str, float], ceiling: Mapping[str, float], tasks: Sequence[str]
) -> Numbers | None:
    """The share of the way from the floor's mean to the ceiling's that a method goes, in percent."""
    there = [task for task in tasks if task in values and task in floor and task in ceiling]
    if not there:
        return None
    table = np.array([[values[task], floor[task], ceiling[task]] for task in there])
    if np.isnan(share_of_gap(table.mean(0))):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of relations drawn so that there is nothing to close
        value, interval = _numbers(table, share_of_gap)
    return value, None if interval is None or np.isnan(interval).any() else interval


def _numbers(table: NDArray[np.float64], statistic: Any = None) -> Numbers:
    effect = Effect("", [table[None]], statistic) if statistic else Effect("", [table[None]])
    return effect.value, effect.interval()
