"""The command line as a whole: which commands there are."""

from collections.abc import Callable
from typing import Annotated

import typer

from ptx.cli import origins, prompts, results, serving, transfer
from ptx.cli.cache import cache_app
from ptx.cli.data import data_app
from ptx.cli.doctor import doctor
from ptx.cli.models import models, words
from ptx.cli.options import Group, Later, expand, help_alone, later
from ptx.cli.report import report
from ptx.cli.suites import suites

app = typer.Typer(
    cls=Group,
    help="Move soft prompts between language models, without labels, gradients or a trained projector.",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _version(show: bool) -> bool:
    if show:
        from ptx import __version__

        typer.echo(f"ptx {__version__}")
        raise typer.Exit
    return show


@app.callback()
def main(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")]
    = False,
) -> None:  # fmt: skip
    help_alone(context)


PAIR = "--sources bert-micro,roberta-micro --target albert-micro"
# In the order in which they are shown, each with an example.
EXAMPLES = (
    ("tune", transfer.tune, "--model bert-micro --tasks P17,P27"),
    ("anchors", transfer.anchors, "--models bert-micro,roberta-micro,albert-micro"),
    ("encode", transfer.encode, "--model bert-micro --tasks P17"),
    ("search", transfer.search, PAIR),
    ("eval", transfer.eval, PAIR),
    ("table", results.table, "--format md --output results.md"),
    ("report", report, "--output report.html"),
    ("why", origins.why, "KEY"),
    ("errors", origins.errors, "KEY KEY2"),
    ("run", results.run, "table3"),
    ("recipe", results.recipe, "table3"),
    ("predict", serving.predict, '--target albert-micro --prompt KEY "Anémone"'),
    ("request", serving.request, 'KEY "Dante" --url http://localhost:8000'),
    ("models", models, ""),
    ("words", words, "--models bert-micro,roberta-micro good bad excellent"),
    ("suites", suites, "facts"),
    ("inspect", prompts.inspect, "KEY --top 10"),
    ("import", prompts.import_prompt, "prompt_vecs.npy --model bert-base --task P17"),
    ("export", prompts.export, "KEY --to peft --output adapter"),
    ("upgrade", prompts.upgrade, "adapter --to MODEL --check 0.6"),
    ("doctor", doctor, ""),
)
for name, command, example in EXAMPLES:
    app.command(name, cls=Later, epilog=f"Example:  ptx {name} {example}".rstrip())(later(command))
app.add_typer(cache_app, name="cache")
app.add_typer(data_app, name="data")


def commands() -> dict[str, Callable[..., None]]:
    """Each command with its options."""
    return {name: expand(command) for name, command, _ in EXAMPLES}
