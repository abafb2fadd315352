"""`ptx table`, `run` and `recipe`: results of what is in the cache, and of whole grids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ptx.cli.command import Command
from ptx.cli.options import SAID, Printing
from ptx.config import CommonConfig
from ptx.config.lists import seeds_of
from ptx.errors import PtxError, UsageError, raise_last

if TYPE_CHECKING:
    from ptx.paper.recipe import Recipe

Format = Literal["text", "md", "csv", "latex", "json", "html"]
ModelsOf = Annotated[
    Literal["zoo", "paper"] | None,
    typer.Option(help="The paper's own models, or embedded ones in their place (the default).", show_default=False),
]
ENDINGS = {"text": "txt", "md": "md", "latex": "tex", "csv": "csv", "json": "json", "html": "html"}


def table(
    common: Annotated[CommonConfig, ("cache_dir", "seed", "dtype", *SAID)],
    paper: Annotated[
        str, typer.Option(help="The paper's table N (1 to 6), filled from what is in the cache; or claims.")
    ] = "",
    compare: Annotated[
        bool, typer.Option("--compare", help="With --paper: the published numbers beside ours.")
    ] = False,
    models: ModelsOf = None,
    seeds: Annotated[
        str, typer.Option(help="Show means over these seeds, such as 0,1,2; by default over all there are.")
    ] = "",
    format: Annotated[Format, typer.Option(help="How to write it.")] = "text",
    output: Annotated[
        Path | None,
        typer.Option(help="Write to this file instead of stdout; --curve is drawn into a .png, .svg or .pdf."),
    ] = None,
    by: Annotated[Literal["method", "task"], typer.Option(help="'task' gives rows per relation.")] = "method",
    split: Annotated[Literal["train", "dev", "test"], typer.Option(help="The split whose results to show.")] = "test",
    keys: Annotated[bool, typer.Option("--keys", help="Also the keys of the evaluations behind the cells.")] = False,
    curve: Annotated[
        bool, typer.Option("--curve", help="Instead: dev accuracy against gradient steps, cold and warm starts.")
    ] = False,
) -> None:
    """Show the evaluations in the cache, one table for each differing setting; builds none.

    Numbers are percent; JSON and CSV have shares between 0 and 1. "Mean of tasks" is the paper's micro, and "pooled
    facts" its macro: so they are called in JSON and CSV.
    """
    from ptx.cli.show import show
    from ptx.results import plots

    drawing = output is not None and output.suffix.removeprefix(".").lower() in plots.ENDS
    if drawing and not curve:
        raise UsageError(f"--output {output}: a table is no drawing", "add --curve, or run a figure: `ptx run figure3`")
    if drawing:
        plots.check()
    command = Command(common)
    if paper != "claims" or curve:
        asked: dict[str, Any] = {"compare": compare, "models": models, "seeds": seeds}
        shown = command.session.results.table(paper=paper, by=by, split=split, curve=curve, keys=keys, **asked)
        if drawing and output is not None:
            from ptx.results.curve_plot import draw

            command.out.message(f"wrote {draw(shown.pages, output)}")
            return
        show(shown, command, format=format, output=output)
        return
    from ptx.paper.claims import render_claims
    from ptx.results.layout import terminal_width

    claims, miniature = command.session.results.claims(models, seeds)
    if common.json or format == "json":
        for claim in claims:
            command.out.json(claim.record())
    else:
        command.write(render_claims(claims, format, miniature=miniature, width=terminal_width()), output)


def run(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            show_default=False,
            help="Recipes: demo, benchmark, real, table1 .. table6, figure2 .. figure4, paper (these nine), TOML files",
        ),
    ] = None,
    *,
    common: CommonConfig,
    models: ModelsOf = None,
    seeds: Annotated[
        str, typer.Option(help="Run with each of these seeds, such as 0,1,2, and show means over them.")
    ] = "",
    jobs: Annotated[int, typer.Option(help="Processes side by side; 0: one per core for embedded models, else 1.")] = 0,
    backend: Annotated[
        Literal["local", "dask"],
        typer.Option(help="Who builds: processes of this machine, or a Dask cluster's workers."),
    ] = "local",
    scheduler: Annotated[
        str, typer.Option(help="With --backend dask: the scheduler's address, such as tcp://host:8786.")
    ] = "",
    shard: Annotated[
        str, typer.Option(help="Build the i-th of n parts of the grid, such as 1/8, and show nothing of it.")
    ] = "",
    print_slurm: Annotated[
        bool, typer.Option("--print-slurm", help="With --shard 1/N: print a script for SLURM, an array of N such jobs.")
    ] = False,
    status: Annotated[
        bool, typer.Option("--status", help="Run nothing: show what runs of this cache are at, of recipes or all.")
    ] = False,
    format: Annotated[Format, typer.Option(help="How to write the table.")] = "text",
    output: Annotated[
        Path | None, typer.Option(help="Write the table to this file, or figures and several tables to this folder.")
    ] = None,
) -> None:
    """Run a whole grid of models, methods and tasks, and show its table or figure."""
    from ptx.cli.runs import script, show_status
    from ptx.engine.shards import shard_of
    from ptx.paper.recipe import load_recipes
    from ptx.results import plots

    _check_backend(backend, scheduler)
    part = shard_of(shard)
    drawn = seeds_of(seeds)
    if not names and not status:
        raise UsageError("no recipe is named", "write it like `ptx run demo`; `ptx recipe` lists them")
    recipes = load_recipes(names or [], models)
    if status:
        show_status(recipes, common, drawn)
        return
    if print_slurm:
        if part is None:
            raise UsageError("--print-slurm needs --shard", "write it like --shard 1/8")
        more = {"models": models or "", "seeds": seeds, "jobs": str(jobs or "")}
        Command(common).out.data(script([*(names or [])], common, part.count, more))
        return
    several = len(recipes) > 1
    if output is not None and several and output.is_file():
        raise UsageError(f"--output {output} is a file", "several recipes write into a folder")
    if any(recipe.is_figure for recipe in recipes) and not common.dry_run:
        plots.check()
    command = Command(common)
    failures: list[PtxError] = []
    for recipe in recipes:
        where = output
        if output is not None and several and not recipe.is_figure:
            where = output / f"{recipe.name}.{ENDINGS[format]}"
        try:
            _run_one(
                recipe, command, format=format, output=where, jobs=jobs, seeds=drawn, scheduler=scheduler, shard=part
            )
        except PtxError as error:
            failures.append(error)
    raise_last(failures, command.out.error)


def _check_backend(backend: str, scheduler: str) -> None:
    """Raises UsageError if one is named without the other."""
    if (backend == "dask") != bool(scheduler):
        hint = "write both: --backend dask --scheduler tcp://host:8786"
        raise UsageError("--backend dask and --scheduler belong together", hint)


def _run_one(recipe: Recipe, command: Command, *, format: str, output: Path | None, **how: Any) -> None:
    """Build a recipe (see running.run for `how`) and show it. Raises the last failure, the others having been named."""
    from ptx import running
    from ptx.cli.show import show

    ran = running.run(recipe, command.common, command.out, made_by=command.made_by, **how)
    failures = [*ran.failures]
    if ran.built is not None:
        command.report(ran.built)
    if ran.shown is not None:
        try:
            show(ran.shown, command, format=format, output=output, first=not recipe.shows)
        except PtxError as error:
            failures.append(error)
    raise_last(failures, command.out.error)


def recipe(
    common: Printing,
    name: Annotated[
        str, typer.Argument(help="A recipe to print, as TOML to copy and edit; without one, all are listed.")
    ] = "",
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema by which editors complete recipes and suite.toml.")
    ] = False,
) -> None:
    """List the recipes that `ptx run` knows, print one, or the JSON Schema of recipes and suites."""
    from ptx.paper.recipe import listing, path_of
    from ptx.paper.schema import json_schema

    command = Command(common)
    if schema:
        command.out.data(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    elif name:
        command.out.data(path_of(name).read_text("utf-8"))
    else:
        command.out.rows(listing())
