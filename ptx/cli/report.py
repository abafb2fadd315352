"""`ptx report`: the results of a cache as one page for a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ptx.cli.command import Command
from ptx.cli.options import SAID
from ptx.config import CommonConfig


def report(
    common: Annotated[CommonConfig, ("cache_dir", "device", *SAID)],
    output: Annotated[Path, typer.Option(help="The HTML file to write.", show_default=False)],
    split: Annotated[Literal["train", "dev", "test"], typer.Option(help="The split whose results to show.")] = "test",
    words: Annotated[
        int,
        typer.Option(min=0, help="Of so many transfers, the best ones, show words before and after: a second each."),
    ] = 1,
) -> None:
    """Write the evaluations in the cache as one HTML file: tables, heat maps, errors, and where each number is from."""
    from ptx.results.report.write import page

    command = Command(common)
    gathered = command.session.results.report(split=split, words=words)
    command.write(page(gathered), output)
    command.out.rows([gathered.row(output)], path="path")
