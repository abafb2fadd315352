"""A recipe's cells as stages over one anchor set, and what was measured for them. Nothing is built here."""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ptx.cache import Artifact
from ptx.engine.step import Step
from ptx.errors import PtxError
from ptx.lms.meaning import among
from ptx.lms.names import shown
from ptx.media import counted
from ptx.paper.cells import Cell, Rows
from ptx.paper.recipe import Recipe, Variant
from ptx.stages.anchors import anchors_step, default_anchors, word_file_step
from ptx.stages.eval import FILE
from ptx.stages.grid import evaluations
from ptx.stages.search import of_method
from ptx.stages.settings import Settings, some
from ptx.suites import load_suite


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
        names = shown([*self.sources, self.target])
        pair = " > ".join(filter(None, ("+".join(names[name] for name in self.sources), names[self.target])))
        return f"{self.method} {pair} on {self.variant.suite}{swept}"


def plan_cells(recipe: Recipe, seed: int, *, dtype: str = "float32") -> tuple[list[Planned], str]:
    """Every cell of a recipe with its steps, and what the anchors are. Nothing is built, no weights are read."""
    planned, description = [], ""
    common: dict[str, Any] = {"tasks": recipe.tasks, "seed": seed, "dtype": dtype}
    if len(suites := {variant.suite for variant in recipe.variants}) == 1:
        load_suite(*suites)  # without it there is one error, not one for each cell
    known: dict[Any, tuple[Step, str]] = {}  # most variants have the same
    for variant in recipe.variants:
        settings = Settings(suite=variant.suite, **common, **variant.configs)
        for part, place in recipe.parts():
            shared, description, problem = None, "", None
            among = *part.models, settings.anchors
            try:
                shared, description = known[among] = known.get(among) or _anchors(part, settings)
            except PtxError as error:
                if not recipe.rungs:  # without anchors there is one error, too; a ladder has other pairs
                    raise
                problem = error
            placed = replace(variant, swept={**variant.swept, **place})
            for method, sources, target in part.cells():
                cell = Planned(method, tuple(sources), target, placed, error=problem)
                own = replace(settings, search=of_method(method, settings.search))
                if shared is not None:
                    try:
                        cell = replace(cell, goals=tuple(evaluations([(method, sources, target)], own, shared)))
                    except PtxError as error:
                        cell = replace(cell, error=error)
                planned.append(cell)
    return planned, "the two models of each pair" if recipe.rungs else description


def _anchors(recipe: Recipe, settings: Settings) -> tuple[Step, str]:
    """The words of the recipe's file, if it names one and that is there, or all words that the models share."""
    if recipe.words_of:
        shared, description = anchors_step(recipe.words_of, settings), some([*shown(recipe.words_of).values()])
    else:
        shared, description = default_anchors(recipe.models, settings)
    if not recipe.words:
        return shared, description
    if not Path(recipe.words).is_file():
        return shared, f"{description}, as there is no {recipe.words}"
    shared = word_file_step(Path(recipe.words), shared.labels["models"], settings)
    return shared, f"{recipe.words} and {description}"


def measured(planned: Mapping[int, Sequence[Planned]], artifacts: Mapping[str, Artifact]) -> list[Cell]:
    """The cells that have results, planned for each of several seeds: each the mean over its tasks and these seeds. A
    task counts if every seed has it."""
    cells = []
    for of_seeds in zip(*planned.values(), strict=True):
        found = [{g.labels["task"]: artifacts[g.key] for g in cell.goals if g.key in artifacts} for cell in of_seeds]
        if tasks := [task for task in found[0] if all(task in own for own in found)]:
            made = _cell(of_seeds[0], tuple(planned), [[own[task] for task in tasks] for own in found], tasks)
            every = [goal for cell in of_seeds for goal in cell.goals if goal.key in artifacts]
            seconds = sum(sum(_searching(goal, artifacts).values()) for goal in every) / len(every)
            cells.append(replace(made, seconds=seconds))
    return cells


def for_people(cells: Sequence[Cell], known: Collection[str | None]) -> list[Cell]:
    """Cells with their models as they are written (lms/names.py), but for those that tables look up by name."""
    every = shown(name for cell in cells for name in (*cell.sources, cell.target))
    names = {name: name if name in known else short for name, short in every.items()}
    return [_named(names, cell) for cell in cells]


def _named(names: Mapping[str, str], cell: Cell) -> Cell:
    settings = dict(cell.settings)
    if "source" in settings:  # of a ladder
        settings["source"] = names[settings["source"]]
    sources = tuple(names[name] for name in cell.sources)
    return replace(cell, sources=sources, target=names[cell.target], settings=settings)


def _searching(step: Step, artifacts: Mapping[str, Artifact]) -> dict[str, float]:
    """The seconds of all searches that a step needs, candidates among which one was chosen too, by key."""
    found: dict[str, float] = {}
    for parent in step.parents_at("search"):
        found |= _searching(parent, artifacts)
        if parent.key in artifacts:
            found[parent.key] = artifacts[parent.key].meta["seconds"]
    return found


def _cell(cell: Planned, seeds: tuple[int, ...], found: Sequence[Sequence[Artifact]], tasks: Sequence[str]) -> Cell:
    """A cell from its evaluations, by seed and task."""
    figures = [[artifact.meta["metrics"] for artifact in row] for row in found]
    scores, floors = _rows("accuracy", figures), _rows("floor", figures)
    known = all("matching_loss" in f for row in figures for f in row)
    losses = _rows("matching_loss", figures) if known else ()
    of: dict[str, Any] = {"units": tuple(tasks), "scores": scores, "floors": floors, "losses": losses}
    if any(f.get("forecast") is not None for row in figures for f in row):
        of["forecasts"] = _rows("forecast", figures)
    if len(tasks) == 1 and cell.goals[0].task and cell.goals[0].task.labels:
        texts = tuple(_right(row[0]) for row in found)
        of = {"unit": "text", "units": tuple(str(number) for number in range(len(texts[0]))), "scores": texts}
    return Cell(
        cell.method, cell.sources, cell.target, suite=cell.variant.suite.split(":")[0], accuracy=_mean(scores),
        tasks=len(tasks), facts=sum(f["facts"] for f in figures[0]), floor=_mean(floors),
        matching_loss=_mean(losses) if known else None, settings=cell.variant.swept, seeds=seeds,
        to_itself=among(cell.target, cell.sources), **of,
    )  # fmt: skip


def _rows(name: str, figures: Sequence[Sequence[Mapping[str, Any]]]) -> Rows:
    return tuple(tuple(math.nan if f.get(name) is None else f[name] for f in row) for row in figures)


def _mean(rows: Rows) -> float:
    """Over tasks, then over seeds."""
    return sum(sum(row) / len(row) for row in rows) / len(rows)


def _right(evaluation: Artifact) -> tuple[float, ...]:
    """Of each text, in the order of the test split, whether it was classified rightly: 1 or 0."""
    lines = map(json.loads, (evaluation.path / FILE).read_text("utf-8").splitlines())
    return tuple(float(line["predicted"] == line["object"]) for line in lines)


def failures(planned: Mapping[int, Sequence[Planned]], errors: Mapping[str, PtxError]) -> list[PtxError]:
    """Every cell of every seed that failed, with the reason and the tasks it concerns, and last their number. `errors`
    are of steps, by key."""
    named: list[PtxError] = []
    failed = 0
    every = [(cell, f", seed {seed}" if len(planned) > 1 else "") for seed, cells in planned.items() for cell in cells]
    for cell, seed in every:
        reasons: dict[str, tuple[PtxError, list[str]]] = {}
        if cell.error is not None:
            reasons[cell.error.message] = (cell.error, [])
        for goal in cell.goals:
            if (error := errors.get(goal.key)) is not None:
                reasons.setdefault(error.message, (error, []))[1].append(goal.labels["task"])
        failed += bool(reasons)
        for error, tasks in reasons.values():
            which = f", {len(tasks)} of {counted(len(cell.goals), 'task')} ({', '.join(tasks[:5])})" if tasks else ""
            named.append(PtxError(f"{cell}{seed}{which}: {error.message}", error.hint))
    if failed:
        hint = "mend what is named above and run the same command again: it goes on where it stopped"
        named.append(PtxError(f"{failed} of {counted(len(every), 'cell')} failed; the others are kept", hint))
    return named
