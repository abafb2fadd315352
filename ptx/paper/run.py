"""What a recipe shows of its cells (a table, or a figure as a table and as files), kept as an artifact like any other;
and the same from the cache alone."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptx.cache import Artifact, Store
from ptx.errors import PtxError, UsageError
from ptx.lms.catalogue import describe
from ptx.lms.known import zoo
from ptx.paper.cells import Cell
from ptx.paper.figures import draw
from ptx.paper.frames import figure_table
from ptx.paper.plan import Planned, for_people, measured, plan_cells
from ptx.paper.protocol import differences, labelled
from ptx.paper.recipe import BENCHMARK, LADDER, PAPER, Recipe, load_recipe
from ptx.paper.tables import model_table, paper_table
from ptx.results.sheet import Sheet, page_of
from ptx.results.shown import Shown, csv_file
from ptx.results.table import LABELLED
from ptx.stages import figure
from ptx.stages.table import keep

if TYPE_CHECKING:
    from ptx.paper.claims import Claim

Plans = Mapping[int, Sequence[Planned]]  # by seed


def recipe_shown(
    recipe: Recipe, planned: Plans, built: Mapping[str, Artifact], store: Store, *, compare: bool = False
) -> Shown:
    """The table or figure of a recipe, the mean over seeds, from the artifacts of its steps by key. Raises PtxError for
    a figure without cells."""
    cells = for_people(measured(planned, built), {*recipe.stand_ins, *recipe.stand_ins.values(), *zoo()})
    anchors = _anchors(planned, store) if recipe.is_figure and recipe.shows != BENCHMARK else None
    evals = [a for a in built.values() if a.meta["stage"] == "eval"]
    settings: dict[str, Any] = {"shows": recipe.shows, "models": dict(recipe.stand_ins)}
    if recipe.rungs:
        settings = {"shows": recipe.shows, "rungs": [[rung.name, rung.pairs] for rung in recipe.rungs]}
    labels = {"recipe": recipe.name}
    if not cells and recipe.rungs:
        raise PtxError(f"no results to show of {recipe.name}", "mend what is named above and run it again")
    if not recipe.is_figure:
        page = page_of(_noted(_table(recipe, cells, compare), evals, differences(evals, store) if compare else []))
        return Shown([page], *keep(settings, labels, evals, lambda: csv_file([page]), store))
    if not cells:
        raise PtxError(f"no results to draw for {recipe.name}", "mend what is named above and run it again")
    if recipe.shows == BENCHMARK:
        from ptx.paper import benchmark  # with numpy, which other recipes do without once they are built

        table, drawing = benchmark.table(cells), functools.partial(benchmark.draw, cells)
    else:
        table = figure_table(recipe.shows, cells, recipe.stand_ins, anchors=anchors)
        drawing = functools.partial(draw, recipe.shows, cells, standins=recipe.stand_ins, anchors=anchors)
    page = page_of(_noted(table, evals, []))

    def files() -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as folder:
            return {path.name: path.read_bytes() for path in drawing(folder=Path(folder))}

    try:
        drawn = keep(settings, labels, evals, files, store, stage=figure.STAGE)
    except PtxError as problem:  # without matplotlib there are the numbers
        return Shown([page], None, is_figure=True, problem=problem)
    return Shown([page], *drawn, is_figure=True)


def _noted(sheet: Sheet, evals: Sequence[Artifact], notes: Sequence[str]) -> Sheet:
    """What a reader must know beside the cells: whether labels chose, and what is not as in the paper."""
    return replace(sheet, notes=[*sheet.notes, *([LABELLED] if labelled(evals) else []), *notes])


def _table(recipe: Recipe, cells: Sequence[Cell], compare: bool) -> Sheet:
    if recipe.shows == LADDER:
        from ptx.paper import ladder

        return ladder.table(cells)
    number = int(recipe.shows.removeprefix("table"))
    if number == 4:
        return model_table([describe(name) for name in recipe.targets], recipe.stand_ins)
    return paper_table(number, cells, recipe.stand_ins, compare=compare)


def _anchors(planned: Plans, store: Store) -> int | None:
    """How many words the models of a recipe share: the number that "all" means in figure4."""
    goals = [goal for cells in planned.values() for cell in cells for goal in cell.goals]
    keys = {parent.key for goal in goals for parent in goal.parents_at("anchors")}
    found = [artifact for key in sorted(keys) if (artifact := store.read("anchors", key)) is not None]
    return max((artifact.meta["metrics"]["count"] for artifact in found), default=None)


def cached_table(
    number: str, store: Store, *, models: str | None, compare: bool, seeds: Sequence[int] = (), dtype: str = "float32"
) -> Shown:
    """The paper's table `number` ("1" to "6") from the evaluations in the cache; builds none. `seeds` as in `Cached`.

    Raises UsageError for another number, PtxError if nothing of it is in the cache.
    """
    name = f"table{number.removeprefix('table')}"
    if name not in PAPER:
        raise UsageError(f"--paper {number}: the paper has tables 1 to 6", "write --paper 3, or --paper claims")
    recipe = load_recipe(name, models)
    planned, found = Cached(store, seeds, dtype).of(recipe)
    if not found and recipe.methods:
        raise PtxError(f"nothing of {recipe.title} is in {store.root}", f"run `{_command(name, models)}`")
    return recipe_shown(recipe, planned, found, store, compare=compare)


def cached_claims(
    store: Store, *, models: str | None, seeds: Sequence[int] = (), dtype: str = "float32"
) -> tuple[list[Claim], bool]:
    """The paper's claims, judged on the evaluations in the cache, and whether they are about a miniature. `seeds` as in
    `Cached`.

    Raises PtxError if there are none of its recipes.
    """
    from ptx.paper.claims import claims

    recipes = {name: load_recipe(name, models) for name in PAPER if name != "table4"}
    cached = Cached(store, seeds, dtype)
    plans = {name: cached.of(recipe) for name, recipe in recipes.items()}
    cells = {name: measured(*plan) for name, plan in plans.items()}
    if not any(cells.values()):
        hint = f"run `{_command('paper', models)}`"
        raise PtxError(f"no results of the paper's recipes in {store.root}", hint)
    stand_ins = recipes["table3"].stand_ins
    made = claims(cells, stand_ins, _anchors(plans["figure4"][0], store))
    return made, any(name != run for name, run in stand_ins.items())


class Cached:
    """What the cache has of recipes, each evaluation read once.

    `seeds` are those to average over; if none are named, all in the cache. A seed whose evaluations of a recipe are
    fewer than another's is left out of it, with a warning: it may be on its way.
    """

    def __init__(self, store: Store, seeds: Sequence[int], dtype: str) -> None:
        self.dtype, self.warn, self.named = dtype, store.warn, tuple(seeds)
        self.read = functools.cache(functools.partial(store.read, "eval"))
        self.seeds = self.named or self._found(store) or (0,)

    def _found(self, store: Store) -> tuple[int, ...]:
        every = [artifact for folder in store.entries("eval") if (artifact := self.read(folder.name)) is not None]
        return tuple(sorted({a.meta["labels"]["seed"] for a in every if "seed" in a.meta["labels"]}))

    def of(self, recipe: Recipe) -> tuple[Plans, dict[str, Artifact]]:
        """The cells of a recipe by seed, and their evaluations by key."""
        plans = {seed: plan_cells(recipe, seed, dtype=self.dtype)[0] if recipe.methods else [] for seed in self.seeds}
        goals = {seed: [goal for cell in cells for goal in cell.goals] for seed, cells in plans.items()}
        # What draws nothing, such as a manual prompt, is there for every seed.
        counts = {
            seed: sum("seed" in g.labels and self.read(g.key) is not None for g in own) for seed, own in goals.items()
        }
        most = max(counts.values())
        whole = [seed for seed, count in counts.items() if count == most]
        for seed, count in counts.items():
            if count < most and (count or self.named):
                self.warn(f"seed {seed} has {count} of {most} evaluations: {recipe.name} is shown without it")
        shown = whole if most else whole[:1]
        keys = dict.fromkeys(goal.key for seed in shown for goal in goals[seed])
        found = {key: artifact for key in keys if (artifact := self.read(key)) is not None}
        return {seed: plans[seed] for seed in shown}, found


def _command(name: str, models: str | None) -> str:
    return f"ptx run {name}" + (f" --models {models}" if models else "")
