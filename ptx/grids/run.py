"""Run a recipe: plan its cells as stages over one anchor set, build what is missing, and show its table or figure.

A run that was interrupted goes on where it stopped. A cell that fails is named, and costs no other.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptx.cache import Artifact
from ptx.commands import Command
from ptx.config import CommonConfig, EvalConfig, SuiteConfig
from ptx.errors import PtxError, UsageError
from ptx.grids.recipe import PAPER, Recipe, Variant, load_recipe
from ptx.lms.models import zoo
from ptx.paper.cells import Cell
from ptx.pipeline import Outcome
from ptx.plan import default_anchors, grid
from ptx.settings import Settings
from ptx.stages.results import result_of
from ptx.step import Step

ENDINGS = {"text": "txt", "md": "md", "latex": "tex", "csv": "csv", "json": "json", "html": "html"}


@dataclass(frozen=True)
class Planned:
    """One cell of a recipe and the evaluations it is the mean of, one per task; `error` if it cannot be planned."""

    method: str
    sources: tuple[str, ...]
    target: str
    variant: Variant
    goals: tuple[Step, ...]
    error: PtxError | None = None

    def __str__(self) -> str:
        swept = "".join(f", {name} {value}" for name, value in self.variant.swept.items())
        pair = " > ".join(part for part in ("+".join(self.sources), self.target) if part)
        return f"{self.method} {pair} on {self.variant.suite}{swept}"


def plan_cells(
    recipe: Recipe, seed: int, *, truncate: bool = False, dtype: str = "float32"
) -> tuple[list[Planned], str]:
    """Every cell of a recipe with its steps, and what the anchors are. Nothing is built, no weights are read."""
    cells = list(recipe.cells())
    planned = []
    description = ""
    for variant in recipe.variants:
        settings = Settings(
            suite=variant.suite,
            tasks=recipe.tasks,
            seed=seed,
            truncate=truncate,
            dtype=dtype,
            **dict(variant.configs),
        )
        shared, description = default_anchors(recipe.models, settings)
        for method, sources, target in cells:
            goals: tuple[Step, ...] = ()
            failure = None
            try:
                goals = tuple(grid([(method, sources, target)], settings, shared))
            except PtxError as error:
                failure = error
            planned.append(Planned(method, tuple(sources), target, variant, goals, failure))
    return planned, description


def measured(planned: Iterable[Planned], artifacts: Mapping[str, Artifact]) -> list[Cell]:
    """The cells that have results, each the mean over its tasks."""
    cells = []
    for cell in planned:
        figures = [artifacts[goal.key].meta["metrics"] for goal in cell.goals if goal.key in artifacts]
        if not figures:
            continue

        def mean(name: str, of: Sequence[Mapping[str, Any]] = figures) -> float:
            return sum(math.nan if f[name] is None else f[name] for f in of) / len(of)

        cells.append(
            Cell(
                method=cell.method,
                sources=cell.sources,
                target=cell.target,
                suite=cell.variant.suite.split(":")[0],
                accuracy=mean("accuracy"),
                tasks=len(figures),
                facts=sum(f["facts"] for f in figures),
                floor=mean("floor"),
                matching_loss=mean("matching_loss") if all("matching_loss" in f for f in figures) else None,
                settings=cell.variant.swept,
            )
        )
    return cells


def run_recipes(
    names: Sequence[str], common: CommonConfig, *, models: str | None, jobs: int, format: str, output: Path | None
) -> None:
    """Run recipes one after the other ("paper" stands for all of the paper's), and show each.

    Raises the last failure when all are done.
    """
    names = [recipe for name in names for recipe in (PAPER if name == "paper" else (name,))]
    recipes = [load_recipe(name, models) for name in names]  # a mistake in the last costs nothing of the first
    if output is not None and len(recipes) > 1 and output.is_file():
        raise UsageError(f"--output {output} is a file", "several recipes write into a folder")
    failures = []
    for recipe in recipes:
        try:
            where = output
            if output is not None and len(recipes) > 1 and not recipe.shows.startswith("figure"):
                where = output / f"{recipe.name}.{ENDINGS[format]}"
            run_recipe(recipe, common, jobs=jobs, format=format, output=where)
        except PtxError as error:
            failures.append(error)
            if len(recipes) > 1 and len(failures) < len(recipes):
                Command(common).out.error(error)
    if failures:
        raise failures[-1]


def run_recipe(recipe: Recipe, common: CommonConfig, *, jobs: int, format: str, output: Path | None) -> None:
    """Build what a recipe needs, report it as any command does, and show what it shows."""
    evals: EvalConfig = recipe.variants[0].configs["eval"]
    command = Command(common, SuiteConfig(recipe.variants[0].suite, ",".join(recipe.tasks)), eval=evals)
    planned, description = plan_cells(recipe, common.seed, dtype=common.dtype) if recipe.methods else ([], "")
    if planned:
        command.out.message(f"{recipe.title}; anchors: words shared by {description}")
    goals = [goal for cell in planned for goal in cell.goals]
    if jobs == 0:
        jobs = (os.cpu_count() or 1) if set(recipe.models) <= set(zoo()) else 1
    outcomes = command.build("run", goals, jobs=jobs, force="eval") if goals else []
    if not common.dry_run:
        artifacts = {o.step.key: o.artifact for o in outcomes if o.artifact is not None}
        if recipe.shows:
            from ptx.paper.show import show

            made = [artifact for artifact in artifacts.values() if artifact.meta["stage"] in ("anchors", "eval")]
            show(recipe, measured(planned, artifacts), made, command, format=format, output=output)
        else:
            keys = sorted({goal.key for goal in goals} & artifacts.keys())
            if keys:
                results = [result_of(artifacts[key]) for key in keys]
                command.show_tables(results, by="method", format=format, output=output)
    _name_failures(planned, outcomes, command)


def _name_failures(planned: Sequence[Planned], outcomes: Sequence[Outcome], command: Command) -> None:
    """Every cell that failed, with the reason and the tasks it concerns. Raises PtxError if there is one."""
    errors = {outcome.step.key: outcome.error for outcome in outcomes if outcome.error is not None}
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
            command.out.error(PtxError(f"{cell}{which}: {error.message}", error.hint))
    if failed:
        raise PtxError(
            f"{failed} of {len(planned)} cells failed; the others are kept",
            "mend what is named above and run the same command again: it goes on where it stopped",
        )
