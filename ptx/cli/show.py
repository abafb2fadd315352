"""Show pages of results: on the terminal, as JSON lines, or in a file."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ptx.cli.command import Command
from ptx.media import counted
from ptx.results.layout import terminal_width
from ptx.results.sheet import Page, render, render_pages, wrapped
from ptx.results.shown import Shown


def show(shown: Shown, command: Command, *, format: str, output: Path | None, first: bool = False) -> None:
    """Print the pages, or write them to `output`: a file for tables, a folder for a figure, whose page is printed.
    With `first` only the first grid of each page is printed, and where the others are.

    Raises the problem that kept a figure from being drawn, when the numbers have been printed.
    """
    to = None if shown.is_figure else output
    if (kept := shown.artifact) is not None:
        command.out.detail(f"{'found' if shown.reused else 'kept'} {kept.meta['stage']} {kept.key[:12]}")
    if command.common.quiet:
        if shown.artifact is not None:
            command.out.data(str(shown.artifact.path))
    elif command.common.json:
        command.out.rows(shown.records())
    elif format == "text" and to is None:
        pages = [replace(page, sheets=page.sheets[:1]) for page in shown.pages] if first else shown.pages
        command.out.styled(for_terminal(pages))
        if first and (more := sum(len(page.sheets) - 1 for page in shown.pages)):
            command.out.message(f"`ptx table` has {counted(more, 'more grid')} of the same: pooled facts, losses")
    else:
        command.write(render_pages(shown.pages, format), to)
    if shown.problem is not None:
        raise shown.problem
    if shown.is_figure and shown.artifact is not None:
        if output is not None:
            shown.write_files(output)
        command.out.message(f"{', '.join(sorted(shown.artifact.meta['payload']))} in {output or shown.artifact.path}")


def for_terminal(pages: Sequence[Page]) -> str:
    """With bold, underline and dim on a terminal that has them; with the plain marks anywhere else."""
    from rich.console import Console

    styled = Console(file=sys.stdout).color_system is not None
    width = terminal_width()
    parts = (
        [
            "\n".join(wrapped(line, width) for line in page.head),
            *(render(sheet, "text", styled=styled, width=width) for sheet in page.sheets),
        ]
        for page in pages
    )
    return "\n".join(part.rstrip("\n") + "\n" for of_page in parts for part in of_page if part)
