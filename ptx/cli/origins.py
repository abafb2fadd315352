"""`ptx why` and `errors`: how a number came about, and what it counts as wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptx.cli.command import Command
from ptx.cli.options import Reading
from ptx.cli.output import SHARES, shown
from ptx.media import counted, one_line, percent
from ptx.results import layout

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

    from ptx.results.why import Node
    from ptx.results.wrong import Wrong

Key = Annotated[str, typer.Argument(help="A key of any stage, or its beginning.", show_default=False)]
FEW = 20  # wrong answers that nobody asked for more of


def why(key: Key, common: Reading) -> None:
    """Show how a number came about: an artifact and all that it was made from, with the settings that are not as by
    default (all with -v), seconds, date, and the command line behind each where it is another one."""
    command = Command(common)
    node = command.session.results.why(key)
    if common.json:
        command.out.json(node.record())
    elif common.quiet:
        for key in dict.fromkeys(row["key"] for row in node.flat() if "key" in row):
            command.out.data(key)
    else:
        command.out.tree(_tree(node, everything=bool(common.verbose)))


def _tree(node: Node, *, everything: bool, above: Tree | None = None, asked: str = "") -> Tree:
    from rich.tree import Tree

    said = _said(node, everything=everything, asked=asked)
    tree = Tree(said) if above is None else above.add(said)
    for parent in node.parents:
        _tree(parent, everything=everything, above=tree, asked=node.made.get("command", ""))
    return tree


def _said(node: Node, *, everything: bool, asked: str) -> Text:
    """Lines about one node: what it is; figures, seconds and date; settings; the command, if it is not the one that
    `asked` for what was made from it."""
    from rich.text import Text

    text = Text(one_line(node.stage), style="bold", overflow="fold")
    text.append(" ".join(["", *filter(None, [node.key[:12], one_line(node.name)])]), style="not bold")
    if node.remark:
        text.append(f" ({node.remark})", style="yellow not bold")
    lines: list[str] = []
    if node.made:
        figures = [_figure(name, value) for name, value in node.shown.items()]
        when = str(node.made.get("created", ""))[:16].replace("T", " ")
        device = f" on {node.made['device']}" if "device" in node.made else ""
        lines.append(", ".join([*figures, f"{node.made.get('seconds', 0):.2f} s{device}", when]))
    settings = [f"{name} {value}" for name, value in node.settings.items()] if everything else node.chosen
    lines += [", ".join(settings)] if settings else []
    if node.made.get("command", asked) != asked:
        recipe = f"  (recipe {node.made['recipe']})" if "recipe" in node.made else ""
        lines.append(f"$ {node.made['command']}{recipe}")
    for line in lines:
        text.append(f"\n{one_line(line)}", style="not bold")
    return text


def _figure(name: str, value: object) -> str:
    unit = " %" if name in SHARES and isinstance(value, float) else ""
    return f"{name.replace('_', ' ')} {shown(name, value)}{unit}"


def errors(
    key: Annotated[str, typer.Argument(help="An evaluation's key, or its beginning.", show_default=False)],
    common: Reading,
    other: Annotated[
        str, typer.Argument(help="Another one, of the same facts, to stand beside it.", metavar="KEY2")
    ] = "",
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, help=f"At most so many wrong answers; by default {FEW}, and all as JSON.", show_default=False
        ),
    ] = None,
) -> None:
    """Show what an evaluation answers wrongly, or two of the same facts side by side.

    The probability is that of what was given among the allowed words, the rank that of the right answer.
    """
    command = Command(common)
    found = command.session.results.wrong(key, other)
    rows = found.rows[: limit or (len(found.rows) if common.json or common.quiet else FEW)]
    if common.json:
        command.out.rows([*rows, {"facts": found.facts, **found.counts}])
        return
    if common.quiet:
        command.out.rows(rows, path="subject")
        return
    for number, artifact in enumerate(found.evaluations, start=1):
        labels = artifact.meta["labels"]
        pair = " > ".join(filter(None, ["+".join(labels["sources"]), labels["target"]]))
        of = f"{labels['method']} {pair}, {labels['suite']} {labels['task']} {labels['split']}"
        named = f"{f'{number}: ' if other else ''}{artifact.key[:12]} {of}"
        command.out.data(layout.folded(one_line(named), layout.terminal_width()))
    command.out.data("")
    if rows:
        command.out.columns(*_beside(rows, several=bool(other)), fit=True)
        command.out.data("")
    command.out.data(counts(found))
    if len(rows) < len(found.rows):
        command.out.message(f"{len(rows)} of {len(found.rows)} shown; --limit {len(found.rows)} shows all")
    if found.alone:
        command.out.message(f"{counted(found.alone, 'fact')} left out, which only one of them was asked")


def _beside(rows: Sequence[dict[str, Any]], *, several: bool) -> tuple[list[str], list[list[str]]]:
    """Columns: the subject, the right answer, and what each evaluation gave."""
    header, endings = ["subject", "right", "given", "%", "rank"], [""]
    if several:
        header, endings = [*header[:2], "given 1", "%", "rank", "given 2", "%", "rank"], ["", "_2"]
    lines = []
    for row in rows:
        line = [row["subject"], " or ".join([row["right"], *row.get("others", ())])]
        for ending in endings:
            given = [row[f"{name}{ending}"] for name in ("given", "probability", "rank")]
            line += [given[0], percent(given[1]), str(given[2] or "")]
        lines.append([one_line(text) for text in line])
    return header, lines


def counts(found: Wrong) -> str:
    """How many facts are answered rightly, and by whom."""
    parts = [f"{name.replace('_', ' ')} {count}" for name, count in found.counts.items()]
    return f"{counted(found.facts, 'fact')}: {', '.join(parts)}"
