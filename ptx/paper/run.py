"""What a recipe shows of its cells (a table, or a figure as a table and as files), kept as an artifact like any other;
and the same from the cache alone."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ptx.cache import Artifact, Store
from ptx.errors import PtxError, UsageError
from ptx.lms.catalogue import describe
from ptx.paper.cells import Cell
from ptx.paper.claims import Claim, claims
from ptx.paper.figures import draw
from ptx.paper.frames import figure_table
from ptx.paper.plan import Planned, measured, plan_cells
from ptx.paper.recipe import PAPER, Recipe, load_recipe
from ptx.paper.tables import model_table, paper_table
from ptx.results.sheet import Sheet, page_of
from ptx.results.shown import Shown, csv_file
from ptx.stages import figure
from ptx.stages.table import keep


def recipe_shown(
    recipe: Recipe, planned: Sequence[Planned], built: Mapping[str, Artifact], store: Store, *, compare: bool = False
) -> Shown:
    """The table or figure of a recipe, from the artifacts of its steps by key. Raises PtxError for a figure without
    cells."""
    cells = measured(planned, built)
    shared = [a for a in built.values() if a.meta["stage"] == "anchors" and not a.meta["parents"]]
    anchors = max((a.meta["metrics"]["count"] for a in shared), default=None)  # the number that "all" means in figure4
    evals = [a for a in built.values() if a.meta["stage"] == "eval"]
    settings: dict[str, Any] = {"shows": recipe.shows, "models": dict(recipe.stand_ins)}
    labels = {"recipe": recipe.name}
    if not recipe.is_figure:
        page = page_of(_table(recipe, cells, compare))
        return Shown([page], *keep(settings, labels, evals, lambda: csv_file([page]), store))
    if not cells:
        raise PtxError(f"no results to draw for {recipe.name}", "mend what is named above and run it again")
    page = page_of(figure_table(recipe.shows, cells, recipe.stand_ins, anchors=anchors))

    def files() -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as folder:
            paths = draw(recipe.shows, cells, Path(folder), recipe.stand_ins, anchors=anchors)
            return {path.name: path.read_bytes() for path in paths}

    try:
        drawn = keep(settings, labels, evals, files, store, stage=figure.STAGE)
    except PtxError as problem:  # without matplotlib there are the numbers
        return Shown([page], None, is_figure=True, problem=problem)
    return Shown([page], *drawn, is_figure=True)


def _table(recipe: Recipe, cells: Sequence[Cell], compare: bool) -> Sheet:
    number = int(recipe.shows.removeprefix("table"))
    if number == 4:
        return model_table([describe(name) for name in recipe.targets], recipe.stand_ins)
    return paper_table(number, cells, recipe.stand_ins, compare=compare)


def cached_table(
    number: str, store: Store, *, models: str | None, compare: bool, seed: int = 0, dtype: str = "float32"
) -> Shown:
    """The paper's table `number` ("1" to "6") from the evaluations in the cache; builds none.

    Raises UsageError for another number, PtxError if nothing of it is in the cache.
    """
    name = f"table{number.removeprefix('table')}"
    if name not in PAPER:
        raise UsageError(f"--paper {number}: the paper has tables 1 to 6", "write --paper 3, or --paper claims")
    recipe = load_recipe(name, models)
    planned, found = _cached(recipe, store, seed, dtype)
    if not found and recipe.methods:
        raise PtxError(f"nothing of {recipe.title} is in {store.root}", f"run `{_command(name, models)}`")
    return recipe_shown(recipe, planned, found, store, compare=compare)


def cached_claims(
    store: Store, *, models: str | None, seed: int = 0, dtype: str = "float32"
) -> tuple[list[Claim], bool]:
    """The paper's claims, judged on the evaluations in the cache, and whether they are about a miniature.

    Raises PtxError if there are none of its recipes.
    """
    recipes = {name: load_recipe(name, models) for name in PAPER if name != "table4"}
    cells = {name: measured(*_cached(recipe, store, seed, dtype)) for name, recipe in recipes.items()}
    if not any(cells.values()):
        hint = f"run `{_command('paper', models)}`"
        raise PtxError(f"no results of the paper's recipes in {store.root}", hint)
    stand_ins = recipes["table3"].stand_ins
    return claims(cells, stand_ins), any(name != run for name, run in stand_ins.items())


def _cached(recipe: Recipe, store: Store, seed: int, dtype: str) -> tuple[list[Planned], dict[str, Artifact]]:
    planned, _ = plan_cells(recipe, seed, dtype=dtype) if recipe.methods else ([], "")
    keys = dict.fromkeys(goal.key for cell in planned for goal in cell.goals)
    return planned, {key: artifact for key in keys if (artifact := store.read("eval", key)) is not None}


def _command(name: str, models: str | None) -> str:
    return f"ptx run {name}" + (f" --models {models}" if models else "")
