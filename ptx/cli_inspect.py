"""`ptx inspect`: what a soft prompt looks like, for a person or as JSON."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptx.config import CommonConfig
from ptx.options import expand

if TYPE_CHECKING:
    from ptx.commands import Command
    from ptx.inspection import Report

WIDTH = 100
HARD_SPACE = "\xa0"  # between a word and its cosine: no line ends there


@expand
def inspect(
    prompt: Annotated[
        str, typer.Argument(help="A key (of a tuning, search or evaluation), a path, or a prompt file.", metavar="KEY")
    ],
    common: CommonConfig,
    model: Annotated[
        str, typer.Option(help="The model of a prompt file, or where the model of an artifact is now.")
    ] = "",
    top: Annotated[int, typer.Option(min=1, help="Words shown per vector.")] = 5,
) -> None:
    """Read a soft prompt: the words nearest to each vector, and for a transferred one before and after.

    Words are nearest by cosine, among those that are one token in each of the models shown.
    """
    from ptx.commands import Command
    from ptx.inspection import inspect

    command = Command(common)
    report = inspect(prompt, model, command.store, top=top, device=common.device, warn=command.out.warn)
    if common.quiet:
        command.out.data(str(report.rows[0].get("path") or Path(prompt).absolute()))
    elif common.json:
        for row in report.rows:
            command.out.json(row)
    else:
        show(command, report)


def show(command: Command, report: Report) -> None:
    """A row per vector, the models side by side; as wide as `WIDTH` for up to three models."""
    *sources, own = [Path(name).name for name in report.models]
    first = report.rows[0]
    lead, norm = ["#"], ["norm", "x mean"]
    figures = [label for label, name in (("to source's", "cosine_to_source_words"), ("loss", "matching_loss"))
               if name in first]  # fmt: skip
    taken = sum(len(name) + 2 for name in (*lead, *norm, *figures)) + 4 * bool(sources)
    width = max((WIDTH - taken) // len(report.models) - 2, 16)
    rows: list[list[str]] = []
    for row in report.rows:
        sides = [*row.get("sources", []), row]
        norms = ["\n".join(f"{side[name]:.2f}" for side in sides) for name in ("norm", "relative_norm")]
        numbers = [f"{row[name]:.3f}" for name in ("cosine_to_source_words", "matching_loss") if name in row]
        words = [_words(side["words"], width) for side in sides]
        gap = [[""] * (len(lead) + len(sides) + len(norm) + len(figures))] if sources and rows else []
        rows += [*gap, [str(row["vector"]), *words, *norms, *numbers]]
    out = command.out
    out.data(report.title)
    among = "each of these models" if sources else own
    out.data(f"nearest words with their cosines, among the {report.words:,} that are one token in {among}\n")
    out.data("")
    out.columns([*lead, *(f"{name} (source)" for name in sources), own, *norm, *figures], rows)
    out.data("\n" + "\n".join(_legend(sources, first)))


def _words(found: list[dict[str, Any]], width: int) -> str:
    """Words and cosines in lines of a width; a word too long for one is cut."""
    cells = [f"{_cut(entry['word'], width - 6)}{HARD_SPACE}{entry['cosine']:.2f}" for entry in found]
    lines = textwrap.wrap("  ".join(cells), width, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace(HARD_SPACE, " ")


def _cut(word: str, width: int) -> str:
    return word if len(word) <= width else word[: width - 1] + "…"


def _legend(sources: list[str], row: dict[str, Any]) -> list[str]:
    several = "; sources first" if sources else ""
    lines = [f"x mean: the norm as a multiple of the model's mean word-embedding norm{several}"]
    if "cosine_to_source_words" in row:
        lines.append("to source's: mean cosine, in the target, to the words that are nearest in the source")
    if "matching_loss" in row:
        lines.append("loss: 1 - cosine of relative representations, as the search minimised it (before Eq. 6)")
    return lines
