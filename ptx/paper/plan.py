"""A recipe's cells as stages over one anchor set, and what was measured for them. Nothing is built here."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ptx.cache import Artifact
from ptx.engine.step import Step
from ptx.errors import PtxError
from ptx.paper.cells import Cell
from ptx.paper.recipe import Recipe, Variant
from ptx.stages.anchors import default_anchors
from ptx.stages.grid import evaluations
from ptx.stages.settings import Settings


@dataclass(frozen=True)
class Planned:
    """One cell of a recipe and the evaluations it is the mean of, one per task; `error` if it cannot be planned."""

    method: str
    sources: tuple[str, ...]
    target: str
    variant: Variant
    goals: tuple[Step, ...] = ()
    error: PtxError | None = None

    def __str__(self) -> str:
        swept = "".join(f", {name} {value}" for name, value in self.variant.swept.items())
        pair = " > ".join(part for part in ("+".join(self.sources), self.target) if part)
        return f"{self.method} {pair} on {self.variant.suite}{swept}"


def plan_cells(recipe: Recipe, seed: int, *, dtype: str = "float32") -> tuple[list[Planned], str]:
    """Every cell of a recipe with its steps, and what the anchors are. Nothing is built, no weights are read."""
    planned, description = [], ""
    common: dict[str, Any] = {"tasks": recipe.tasks, "seed": seed, "dtype": dtype}
    for variant in recipe.variants:
        settings = Settings(suite=variant.suite, **common, **variant.configs)
        shared, description = default_anchors(recipe.models, settings)
        for method, sources, target in recipe.cells():
            cell = Planned(method, tuple(sources), target, variant)
            try:
                cell = replace(cell, goals=tuple(evaluations([(method, sources, target)], settings, shared)))
            except PtxError as error:
                cell = replace(cell, error=error)
            planned.append(cell)
    return planned, description


def measured(planned: Iterable[Planned], artifacts: Mapping[str, Artifact]) -> list[Cell]:
    """The cells that have results, each the mean over its tasks."""
    cells = []
    for cell in planned:
        figures = [artifacts[goal.key].meta["metrics"] for goal in cell.goals if goal.key in artifacts]
        if not figures:
            continue
        known = all("matching_loss" in f for f in figures)
        cells.append(
            Cell(
                cell.method, cell.sources, cell.target, suite=cell.variant.suite.split(":")[0],
                accuracy=_mean("accuracy", figures), tasks=len(figures), facts=sum(f["facts"] for f in figures),
                floor=_mean("floor", figures), matching_loss=_mean("matching_loss", figures) if known else None,
                settings=cell.variant.swept,
            )
        )  # fmt: skip
    return cells


def _mean(name: str, figures: Sequence[Mapping[str, Any]]) -> float:
    return sum(math.nan if f[name] is None else f[name] for f in figures) / len(figures)


def failures(planned: Sequence[Planned], errors: Mapping[str, PtxError]) -> list[PtxError]:
    """Every cell that failed, with the reason and the tasks it concerns, and last their number. `errors` are of steps,
    by key."""
    named: list[PtxError] = []
    failed = 0
    for cell in planned:
        reasons: dict[str, tuple[PtxError, list[str]]] = {}
        if cell.error is not None:
            reasons[cell.error.message] = (cell.error, [])
        for goal in cell.goals:
            if (error := errors.get(goal.key)) is not None:
                reasons.setdefault(error.message, (error, []))[1].append(goal.labels["task"])
        failed += bool(reasons)
        for error, tasks in reasons.values():
            which = f", {len(tasks)} of {len(cell.goals)} tasks ({', '.join(tasks[:5])})" if tasks else ""
            named.append(PtxError(f"{cell}{which}: {error.message}", error.hint))
    if failed:
        hint = "mend what is named above and run the same command again: it goes on where it stopped"
        named.append(PtxError(f"{failed} of {len(planned)} cells failed; the others are kept", hint))
    return named
