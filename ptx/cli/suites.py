"""`ptx suites`: which tasks there are, of the embedded suites or of one's own."""

from typing import Annotated, Any

import typer

from ptx.cli.command import Command
from ptx.cli.options import Printing
from ptx.config import ReadingConfig


def suites(
    reading: ReadingConfig,
    common: Printing,
    suite: Annotated[str, typer.Argument(help="A suite, as --suite takes it; without one, the embedded ones.")] = "",
) -> None:
    """List the tasks of a suite with their facts, by split, and templates."""
    from ptx.suites import EMBEDDED, load_suite, together
    from ptx.suites.asked import named

    command = Command(common)
    rows: list[dict[str, Any]] = []
    for name in [suite] if suite else EMBEDDED:
        found = load_suite(named(name, reading))
        for text in together(found.remarks):
            command.out.warn(text)
        for task in found.tasks:
            own = {fact.template for facts in task.splits.values() for fact in facts if fact.template}
            counts = {split: len(facts) for split, facts in task.splits.items()}
            more = {"title": task.label, "own_templates": len(own), "labels": [*task.labels]} if common.json else {}
            template = task.template or ""
            if own and not common.json:
                template += f" (and {len(own)} of facts of their own)"
            rows.append({"suite": found.name, "task": task.name, **counts, "template": template, **more})
    if suite and not common.json:
        rows = [{name: value for name, value in row.items() if name != "suite"} for row in rows]
    command.out.rows(rows, path="task")
