"""`ptx suites`: which tasks there are, of the embedded suites or of one's own."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from ptx.cli.command import Command
from ptx.cli.options import Printing
from ptx.config import ReadingConfig
from ptx.media import counted


def suites(
    reading: ReadingConfig,
    common: Printing,
    suite: Annotated[str, typer.Argument(help="A suite, as --suite takes it; without one, the embedded ones.")] = "",
) -> None:
    """List the tasks of a suite with their facts, by split, and templates."""
    from ptx.suites.listing import listing

    command = Command(common)
    rows, remarks = listing(suite, reading)
    for text in remarks:
        command.out.warn(text)
    command.out.rows(rows if common.json else [_shown(row, suite) for row in rows], path="task")


def _shown(row: Mapping[str, Any], suite: str) -> dict[str, Any]:
    """As much as fits on a line."""
    left_out = {"title", "own_templates", "labels", "paraphrases", *(["suite"] if suite else [])}
    more = [counted(n, "paraphrase")] if (n := len(row["paraphrases"])) else []
    more += [f"{n} of facts of their own"] if (n := row["own_templates"]) else []
    template = row["template"] + (f" (and {', '.join(more)})" if more else "")
    return {name: value for name, value in row.items() if name not in left_out} | {"template": template}
