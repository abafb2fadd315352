"""Show a recipe's cells as the paper's table or figure, and keep it as an artifact like any other."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptx.cache import Artifact
from ptx.commands import Command
from ptx.errors import PtxError, UsageError
from ptx.files import write_whole
from ptx.grids.recipe import PAPER, Recipe, load_recipe
from ptx.grids.run import measured, plan_cells
from ptx.lms.catalogue import describe
from ptx.paper.cells import Cell
from ptx.pipeline import Payload, Stopwatch, fresh, publish
from ptx.step import Step, stored_step

if TYPE_CHECKING:
    from ptx.render import Sheet


def show(
    recipe: Recipe,
    cells: Sequence[Cell],
    artifacts: Sequence[Artifact],
    command: Command,
    *,
    format: str,
    output: Path | None,
    compare: bool = False,
) -> None:
    """Print the table or figure of a recipe, or write it to `output`: a file for a table, a folder for a figure.

    `artifacts` are what the cells were read from, anchors among them.
    """
    if recipe.shows.startswith("figure"):
        _show_figure(recipe, cells, artifacts, command, format=format, output=output)
        return
    from ptx.paper.tables import model_table, paper_table

    number = int(recipe.shows.removeprefix("table"))
    if number == 4:
        table = model_table([describe(name) for name in recipe.targets], recipe.stand_ins)
    else:
        table = paper_table(number, cells, recipe.stand_ins, compare=compare)
    kept, reused = _keep("table", recipe, artifacts, command, lambda: {"table.csv": _rendered(table, "csv").encode()})
    _print(table, kept, reused, command, format=format, output=output)


def _show_figure(
    recipe: Recipe,
    cells: Sequence[Cell],
    artifacts: Sequence[Artifact],
    command: Command,
    *,
    format: str,
    output: Path | None,
) -> None:
    from ptx.paper.figures import draw, figure_table

    shared = [a for a in artifacts if a.meta["stage"] == "anchors" and not a.meta["parents"]]
    anchors = max((a.meta["metrics"]["count"] for a in shared), default=None)

    def files() -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as folder:
            paths = draw(recipe.shows, cells, Path(folder), recipe.stand_ins, anchors=anchors)
            return {path.name: path.read_bytes() for path in paths}

    if not cells:
        raise PtxError(f"no results to draw for {recipe.name}", "mend what is named above and run it again")
    table = figure_table(recipe.shows, cells, recipe.stand_ins, anchors=anchors)
    try:
        kept, reused = _keep("figure", recipe, artifacts, command, files)
    except PtxError:
        _print(table, None, False, command, format=format, output=None)  # the numbers need no matplotlib
        raise
    _print(table, kept, reused, command, format=format, output=None)
    where = kept.path
    if output is not None:
        try:
            for name in kept.meta["payload"]:
                write_whole(output / name, (kept.path / name).read_bytes())
        except OSError as error:
            raise PtxError(f"cannot write into {output}: {error.strerror}", "choose another --output") from None
        where = output
    command.out.message(f"{', '.join(sorted(kept.meta['payload']))} in {where}")


def show_cached(
    what: str, command: Command, *, models: str | None, format: str, output: Path | None, compare: bool
) -> None:
    """The paper's table `what` ("1" to "6"), or its "claims", from the evaluations in the cache; builds none.

    Raises UsageError for another name, PtxError if nothing of it is in the cache.
    """
    if what == "claims":
        _show_claims(command, models=models, format=format, output=output)
        return
    name = f"table{what.removeprefix('table')}"
    if name not in PAPER:
        raise UsageError(f"--paper {what}: the paper has tables 1 to 6", "write --paper 3, or --paper claims")
    recipe = load_recipe(name, models)
    cells, artifacts = _cached(recipe, command)
    if not cells and recipe.methods:
        raise PtxError(f"nothing of {recipe.title} is in {command.store.root}", f"run `{_run(name, models)}`")
    show(recipe, cells, artifacts, command, format=format, output=output, compare=compare)


def _show_claims(command: Command, *, models: str | None, format: str, output: Path | None) -> None:
    from ptx.paper.claims import LIMITS, claims, render_claims

    recipes = {name: load_recipe(name, models) for name in PAPER if name != "table4"}
    cells = {name: _cached(recipe, command)[0] for name, recipe in recipes.items()}
    if not any(cells.values()):
        raise PtxError(f"no results of the paper's recipes in {command.store.root}", f"run `{_run('paper', models)}`")
    stand_ins = recipes["table3"].stand_ins
    made = claims(cells, stand_ins)
    if command.common.json or format == "json":
        for claim in made:
            command.out.json(
                {"claim": claim.text, "holds": claim.holds, "numbers": claim.numbers, "paper": claim.paper}
            )
        return
    text = render_claims(made, format)
    if any(name != run for name, run in stand_ins.items()):
        mark = "- " if format == "md" else "  "
        text += "\nWhat a miniature cannot show:\n\n" + "".join(f"{mark}{limit}\n" for limit in LIMITS)
    command.write(text, output)


def _cached(recipe: Recipe, command: Command) -> tuple[list[Cell], list[Artifact]]:
    planned, _ = plan_cells(recipe, command.common.seed, dtype=command.common.dtype) if recipe.methods else ([], "")
    keys = dict.fromkeys(goal.key for cell in planned for goal in cell.goals)
    found = {key: artifact for key in keys if (artifact := command.store.read("eval", key)) is not None}
    return measured(planned, found), list(found.values())


def _keep(
    stage: str, recipe: Recipe, artifacts: Sequence[Artifact], command: Command, files: Any
) -> tuple[Artifact, bool]:
    """The artifact of what is shown, and whether it was there: made from just these results, it is not made again."""
    watch = Stopwatch()
    evals = sorted((a for a in artifacts if a.meta["stage"] == "eval"), key=lambda a: a.key)
    settings = {"shows": recipe.shows, "models": dict(recipe.stand_ins)}
    step = Step(stage, settings, parents=tuple(map(stored_step, evals)), labels={"recipe": recipe.name})
    if (kept := fresh(step, command.store)) is not None:
        return kept, True
    old = command.store.read(stage, step.key)
    return publish(step, Payload(files(), {}, watch.lap()), command.store, "", replacing=old), False


def _print(
    table: Sheet, kept: Artifact | None, reused: bool, command: Command, *, format: str, output: Path | None
) -> None:
    if command.common.quiet:
        if kept is not None:
            command.out.data(str(kept.path))
    elif command.common.json:
        head: Mapping[str, Any] = {"stage": "table"}
        if kept is not None:
            head = {"stage": kept.meta["stage"], "key": kept.key, "path": str(kept.path), "reused": reused}
            head |= {"seconds": kept.meta["seconds"]}
        for row in table.records:
            command.out.json({**head, **row})
    elif format == "text" and output is None:
        table.print(command.out)
    else:
        command.write(_rendered(table, format), output)


def _rendered(table: Sheet, format: str) -> str:
    from ptx.render import render

    return render(table, format)


def _run(name: str, models: str | None) -> str:
    return f"ptx run {name}" + (f" --models {models}" if models else "")
