"""`ptx tune`, `anchors`, `encode`, `search` and `eval`: the stages of a transfer, in the paper's order."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ptx.cli.command import Command
from ptx.cli.options import SAID
from ptx.config import AnchorsConfig, CommonConfig, EncodeConfig, EvalConfig, SuiteConfig
from ptx.config.lists import names_in
from ptx.config.search import SearchConfig
from ptx.config.tune import TuneConfig
from ptx.stages.methods import offered

if TYPE_CHECKING:
    from ptx.engine.build import Built

    SearchMethod = str
    EvalMethod = str
else:
    SearchMethod, EvalMethod = Literal[tuple(offered(searched=True))], Literal[tuple(offered())]
Space = Literal["vectors", "words"]
Model = Annotated[
    str,
    typer.Option(help="An embedded name, an alias of the paper or yours, a hub id, or a folder.", show_default=False),
]
Models = Annotated[str, typer.Option(help="Models, comma-separated.", show_default=False)]
Target = Annotated[str, typer.Option(help="The model to transfer to.", show_default=False)]
Sources = Annotated[str, typer.Option(help="Models whose prompts are transferred, comma-separated.")]
EvalSources = Annotated[
    str,
    typer.Option(
        help="Models whose prompts are transferred, comma-separated; with manual, random or tuned, models whose words "
        "count beside the target's."
    ),
]
Anchors = Annotated[
    str, typer.Option(help="A key (or its beginning), an artifact's path, or a file of words; see docs/method.md.")
]
WordsOf = Annotated[
    str,
    typer.Option(
        help="Models whose shared words are the anchors, and the words that count as answers; by default those of this "
        "command, of a settings file, or (a target alone) of the cache."
    ),
]
Seeds = Annotated[str, typer.Option(help="Several seeds in place of --seed, such as 0,1,2.")]
PromptOption = Annotated[str, typer.Option(help="An artifact's key, or a prompt file of any format that import reads.")]
Prompts = Annotated[str, typer.Option(help="Keys of tuned or imported prompts, comma-separated, in place of models.")]


def tune(
    suite: SuiteConfig, tune: TuneConfig, common: CommonConfig,
    model: Model = "",
    models: Annotated[str, typer.Option(help="With --space words: models, comma-separated.")] = "",
    space: Annotated[
        Space,
        typer.Option(
            help="What is learned: vectors of one model, or weights of words, for several models at once and any other."
        ),
    ] = "vectors",
    anchors: Annotated[str, typer.Option(help="With --space words: which words, as for search.")] = "",
    seeds: Seeds = "",
) -> None:  # fmt: skip
    """Tune one soft prompt per task on a model (Eq. 2), or on several as weighted words, for any model."""
    command = Command(common, suite, seeds=seeds, tune=tune)
    command.finish(command.session.tune(model, names_in(models), space, anchors))


def anchors(
    models: Models,
    anchors: AnchorsConfig,
    common: Annotated[CommonConfig, ("cache_dir", "seed", "force", "dry_run", "list", *SAID)],
) -> None:
    """Find the words that are one token in every model."""
    from ptx.cli.sharing import show

    command = Command(common, anchors=anchors)
    built = command.session.anchors(names_in(models))
    command.finish(built)
    show(built.outcomes, command.out)


def encode(
    suite: SuiteConfig, tune: TuneConfig, anchors_config: AnchorsConfig, encode: EncodeConfig, common: CommonConfig,
    model: Model = "", prompt: Prompts = "", anchors: Anchors = "", words_of: WordsOf = "", seeds: Seeds = "",
) -> None:  # fmt: skip
    """Write a model's prompts as similarities to the anchors (Eq. 3)."""
    command = Command(common, suite, seeds=seeds, tune=tune, anchors=anchors_config, encode=encode)
    command.finish(command.session.encode(model, prompt, anchors, names_in(words_of)))


def search(
    target: Target,
    suite: SuiteConfig, tune: TuneConfig, anchors_config: AnchorsConfig, encode: EncodeConfig, search: SearchConfig,
    common: CommonConfig,
    sources: Sources = "",
    method: Annotated[SearchMethod, typer.Option(help="How the prompt is found.")] = "relative",
    prompt: Prompts = "", anchors: Anchors = "", words_of: WordsOf = "", seeds: Seeds = "",
) -> None:  # fmt: skip
    """Find the target's prompts with the sources' relative representation (Eq. 5 to 7)."""
    command = Command(common, suite, seeds=seeds, tune=tune, anchors=anchors_config, encode=encode, search=search)
    command.finish(command.session.search(names_in(sources), target, method, prompt, anchors, names_in(words_of)))


def eval(
    target: Target,
    suite: SuiteConfig, tune: TuneConfig, anchors_config: AnchorsConfig, encode: EncodeConfig, search: SearchConfig,
    eval: EvalConfig, common: CommonConfig, context: typer.Context,
    sources: EvalSources = "",
    method: Annotated[EvalMethod | None, typer.Option(help="Default: relative with --sources, else tuned.")] = None,
    prompt: PromptOption = "", anchors: Anchors = "", words_of: WordsOf = "", seeds: Seeds = "",
) -> None:  # fmt: skip
    """Score prompts on a target: accuracy (P@1) per task, and on average."""
    configs = {"tune": tune, "anchors": anchors_config, "encode": encode, "search": search, "eval": eval}
    command = Command(common, suite, seeds=seeds, **configs)
    named = getattr(context.get_parameter_source("suite"), "name", "") == "COMMANDLINE"  # not a general setting
    on = command.session.settings.suite if named and prompt else ""
    among = names_in(words_of)
    built = command.session.eval(target, names_in(sources), method, prompt, anchors, among, on=on)
    command.finish(built)
    if built.done and not common.dry_run:
        command.out.message(f"next: {_next(built, common, eval)}")


def _next(built: Built, common: CommonConfig, eval: EvalConfig) -> str:
    """A command to try behind an evaluation: what is wrong in a single one, or how several compare."""
    where = ["--cache-dir", common.cache_dir] if common.cache_dir != CommonConfig.cache_dir else []
    (first, *others) = built.done
    if not others and first.meta["metrics"]["accuracy"] < 1:
        return f"{shlex.join(['ptx', 'errors', first.key[:12], *where])}  (what it answers wrongly)"
    split = ["--split", eval.split] if eval.split != EvalConfig.split else []
    by = ["--by", "task"] if others else []
    return f"{shlex.join(['ptx', 'table', *by, *split, *where])}  (beside all else that was scored)"
