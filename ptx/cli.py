"""The command line: parse, call, print. Heavy imports stay inside the commands, so that --help is quick."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from ptx.cli_cache import cache_app
from ptx.cli_data import data_app
from ptx.cli_inspect import inspect
from ptx.cli_prompts import add_prompt_commands
from ptx.config import (
    AnchorsConfig,
    CommonConfig,
    EncodeConfig,
    EvalConfig,
    Layout,
    SearchConfig,
    SuiteConfig,
    TuneConfig,
    listed,
)
from ptx.errors import PtxError, UsageError
from ptx.options import Group, expand

app = typer.Typer(
    cls=Group,
    help="Move soft prompts between language models, without labels, gradients or a trained projector.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(cache_app, name="cache")
app.add_typer(data_app, name="data")

SearchMethod = Literal["relative", "direct", "discretize", "projector", "random"]
MethodOption = Literal["relative", "direct", "discretize", "projector", "random", "manual", "tuned"]
Model = Annotated[str, typer.Option(help="An embedded name, a paper alias, a hub id, or a folder.", show_default=False)]
Models = Annotated[str, typer.Option(help="Models, comma-separated.", show_default=False)]
Target = Annotated[str, typer.Option(help="The model to transfer to.", show_default=False)]
Sources = Annotated[str, typer.Option(help="Models whose prompts are transferred, comma-separated.")]
Anchors = Annotated[
    str, typer.Option(help="A key (or its beginning), an artifact's path, or a file of words; see the README.")
]
PromptOption = Annotated[str, typer.Option(help="An artifact's key, or a prompt file of any format that import reads.")]
Prompts = Annotated[str, typer.Option(help="Keys of tuned or imported prompts, comma-separated, in place of models.")]
ModelsOf = Annotated[
    Literal["zoo", "paper"] | None,
    typer.Option(help="The paper's own models, or embedded ones in their place (the default).", show_default=False),
]
Format = Literal["text", "md", "csv", "latex", "json", "html"]


def _version(show: bool) -> None:
    if show:
        from ptx import __version__

        typer.echo(f"ptx {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")]
    = False,
) -> None:  # fmt: skip
    pass


@app.command(epilog="Example:  ptx tune --model bert-micro --tasks P17,P27")
@expand
def tune(model: Model, suite: SuiteConfig, tune: TuneConfig, common: CommonConfig) -> None:
    """Tune one soft prompt per task on a model (Eq. 2)."""
    from ptx.commands import Command
    from ptx.lms.models import resolve
    from ptx.plan import tune_step

    command = Command(common, suite, tune=tune)
    steps = [
        tune_step(resolve(model), task, command.settings) for task in command.settings.chosen_tasks("train", "dev")
    ]
    command.run("tune", steps)


@app.command(epilog="Example:  ptx anchors --models bert-micro,roberta-micro,albert-micro")
@expand
def anchors(models: Models, anchors: AnchorsConfig, common: CommonConfig) -> None:
    """Find the words that are one token in every model."""
    from ptx.commands import Command
    from ptx.plan import anchors_step
    from ptx.stages.sharing import show

    command = Command(common, anchors=anchors)
    show(command.run("anchors", [anchors_step(names(models, "--models"), command.settings)]), command.out)


@app.command(epilog="Example:  ptx encode --model bert-micro --tasks P17")
@expand
def encode(
    suite: SuiteConfig,
    tune: TuneConfig,
    anchors_config: AnchorsConfig,
    encode: EncodeConfig,
    common: CommonConfig,
    model: Model = "",
    prompt: Prompts = "",
    anchors: Anchors = "",
) -> None:
    """Write a model's prompts as similarities to the anchors (Eq. 3)."""
    from ptx.commands import Command
    from ptx.lms.models import resolve
    from ptx.plan import encode_step, tune_step

    command = Command(common, suite, tune=tune, anchors=anchors_config, encode=encode)
    if bool(model) == bool(prompt):
        raise UsageError("name a --model, or prompts with --prompt", "write it like --model bert-micro")
    tuned = (
        command.given(prompt)
        if prompt
        else [
            tune_step(resolve(model), task, command.settings) for task in command.settings.chosen_tasks("train", "dev")
        ]
    )
    shared = command.anchors(anchors, [model] if model else [step.labels["model"] for step in tuned])
    command.run("encode", [encode_step(step, shared, command.settings) for step in tuned])


@app.command(epilog="Example:  ptx search --sources bert-micro,roberta-micro --target albert-micro")
@expand
def search(
    target: Target,
    suite: SuiteConfig,
    tune: TuneConfig,
    anchors_config: AnchorsConfig,
    encode: EncodeConfig,
    search: SearchConfig,
    common: CommonConfig,
    sources: Sources = "",
    method: Annotated[SearchMethod, typer.Option(help="How the prompt is found.")] = "relative",
    prompt: Prompts = "",
    anchors: Anchors = "",
) -> None:
    """Find the target's prompts with the sources' relative representation (Eq. 5 to 7)."""
    from ptx.commands import Command
    from ptx.plan import grid
    from ptx.sources import searches

    command = Command(common, suite, tune=tune, anchors=anchors_config, encode=encode, search=search)
    if prompt:
        if sources:
            raise UsageError("--prompt takes the place of --sources", "leave one of them out")
        given = command.given(prompt)
        shared = command.anchors(anchors, [*(step.labels["model"] for step in given), target])
        command.run("search", list(searches(given, method, target, shared, command.settings)))
        return
    chosen = sources_for(method, sources)
    shared = command.anchors(anchors, [*chosen, target])
    command.run("search", list(grid([(method, chosen, target)], command.settings, shared, until="search")))


@app.command(epilog="Example:  ptx eval --sources bert-micro,roberta-micro --target albert-micro")
@expand
def eval(
    target: Target,
    suite: SuiteConfig,
    tune: TuneConfig,
    anchors_config: AnchorsConfig,
    encode: EncodeConfig,
    search: SearchConfig,
    eval: EvalConfig,
    common: CommonConfig,
    context: typer.Context,
    sources: Sources = "",
    method: Annotated[MethodOption | None, typer.Option(help="Default: relative with --sources, else tuned.")] = None,
    prompt: PromptOption = "",
    anchors: Anchors = "",
) -> None:
    """Score prompts on a target: accuracy (P@1) per task, and on average."""
    from ptx.commands import Command
    from ptx.plan import grid

    command = Command(common, suite, tune=tune, anchors=anchors_config, encode=encode, search=search, eval=eval)
    if prompt:
        if sources or method:
            raise UsageError("--prompt names a finished prompt", "leave out --sources and --method")
        given = getattr(context.get_parameter_source("suite"), "name", "") == "COMMANDLINE"  # not a general setting
        shared = command.anchors(anchors, [target])
        command.run("eval", command.evaluations_of(prompt, target, shared, on=suite.suite if given else ""))
        return
    how = method or ("relative" if sources else "tuned")
    chosen = sources_for(how, sources)
    shared = command.anchors(anchors, [*chosen, target])
    command.run("eval", list(grid([(how, chosen, target)], command.settings, shared)))


@app.command(epilog="Example:  ptx table --format md --output results.md")
@expand
def table(
    common: CommonConfig,
    paper: Annotated[
        str, typer.Option(help="The paper's table N (1 to 6), filled from what is in the cache; or claims.")
    ] = "",
    compare: Annotated[
        bool, typer.Option("--compare", help="With --paper: the published numbers beside ours.")
    ] = False,
    models: ModelsOf = None,
    format: Annotated[Format, typer.Option(help="How to write it.")] = "text",
    output: Annotated[Path | None, typer.Option(help="Write to this file instead of stdout.")] = None,
    by: Annotated[Literal["method", "task"], typer.Option(help="'task' gives rows per relation.")] = "method",
    split: Annotated[Literal["train", "dev", "test"], typer.Option(help="The split whose results to show.")] = "test",
    curve: Annotated[
        bool, typer.Option("--curve", help="Instead: dev accuracy against gradient steps, cold and warm starts.")
    ] = False,
) -> None:
    """Show the evaluations in the cache, one table for each differing setting; builds none."""
    from ptx.commands import Command
    from ptx.stages.results import collect

    command = Command(common)
    if curve:
        if paper or compare or models:
            raise UsageError("--curve is about tuning, not about the paper's tables", "leave out --paper")
        command.show_curves(format=format, output=output)
        return
    if paper:
        from ptx.paper.show import show_cached

        show_cached(paper, command, models=models, format=format, output=output, compare=compare)
        return
    if compare or models:
        raise UsageError("--compare and --models belong to --paper", "add --paper 3, say")
    results = collect(command.store, split=split)
    if not results:
        raise PtxError(f"no {split} evaluations in {command.store.root}", "run `ptx run demo`")
    command.show_tables(results, by=by, format=format, output=output)


@app.command(epilog="Example:  ptx run table3")
@expand
def run(
    names: Annotated[
        list[str],
        typer.Argument(help="Recipes: demo, table1 .. table6, figure2 .. figure4, paper (all nine), or TOML files."),
    ],
    common: CommonConfig,
    models: ModelsOf = None,
    jobs: Annotated[int, typer.Option(help="Processes side by side; 0: one per core for embedded models, else 1.")] = 0,
    format: Annotated[Format, typer.Option(help="How to write the table.")] = "text",
    output: Annotated[
        Path | None, typer.Option(help="Write the table to this file, or figures and several tables to this folder.")
    ] = None,
) -> None:
    """Run a whole grid of models, methods and tasks, and show its table or figure."""
    from ptx.grids.run import run_recipes

    run_recipes(names, common, models=models, jobs=jobs, format=format, output=output)


@app.command(epilog='Example:  ptx predict --target albert-micro --prompt KEY "Dante"')
@expand
def predict(
    target: Target,
    prompt: PromptOption,
    common: CommonConfig,
    texts: Annotated[list[str] | None, typer.Argument(help="Subjects; without any, one a line from stdin.")] = None,
    file: Annotated[Path | None, typer.Option(help="Read subjects from a file, one a line.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Answers per subject.")] = 5,
    layout: Annotated[Layout | None, typer.Option(help="The layout of a prompt file that does not say it.")] = None,
    anchors: Anchors = "",
) -> None:
    """The target's likeliest answers for subjects of your own, with a prompt from the cache or a file."""
    from ptx.commands import Command
    from ptx.suites.lines import text_lines

    command = Command(common)
    subjects = list(texts or [])
    if file is not None:
        if not file.is_file():
            raise PtxError(f"no file {file}", "give the path of a text file with one subject a line")
        subjects += [line.strip() for line in text_lines(file) if line.strip()]
    if not subjects or subjects == ["-"]:
        try:
            subjects = [line.strip() for line in sys.stdin if line.strip()]
        except UnicodeDecodeError as error:
            raise PtxError(f"stdin is not UTF-8 ({error.reason})", "convert it, with iconv say") from None
    if not subjects:
        raise UsageError("no subjects", 'write them behind the options: ptx predict ... "Dante"')
    command.predict(target, prompt, subjects, top=top, layout=layout, anchors=anchors)


@app.command(epilog="Example:  ptx models")
@expand
def models(common: CommonConfig) -> None:
    """List the models that ship with ptx and the aliases of the paper's models."""
    from ptx.commands import Command
    from ptx.lms.catalogue import catalogue
    from ptx.reporting import report

    report(Command(common).out, catalogue())


app.command(epilog="Example:  ptx inspect KEY --top 10")(inspect)
add_prompt_commands(app)


def names(text: str, flag: str) -> list[str]:
    """A comma-separated list of models. Raises UsageError if it names none."""
    found = listed(text)
    if not found:
        raise UsageError(f"{flag} names no model", f"write it like {flag} bert-micro,roberta-micro")
    return list(dict.fromkeys(found))


def sources_for(method: str, text: str) -> list[str]:
    """The sources a method asks for: none, exactly one, or (`relative`) any number."""
    from ptx.plan import ONE_SOURCE, SOURCELESS

    if method in SOURCELESS:
        if text:
            raise UsageError(f"--method {method} takes no --sources", "leave them out, or use --method relative")
        return []
    chosen = names(text, "--sources")
    if method in ONE_SOURCE and len(chosen) > 1:
        raise UsageError(f"--method {method} takes one source", "name one, or use --method relative")
    return chosen
