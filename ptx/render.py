"""A table as text, Markdown, LaTeX or HTML (what a person reads), or as CSV or JSON (long form)."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ptx.errors import UsageError

if TYPE_CHECKING:
    from ptx.output import Output

FORMATS = ("text", "md", "latex", "csv", "json", "html")
# How a mark looks. Plain text has no styles, and a mark must survive a pipe; `rich` is text on a terminal.
MARKS: Mapping[str, Mapping[str, str]] = {
    "text": {"best": "*{}*", "second": "_{}_", "self": "({})"},
    "rich": {"best": "[bold]{}[/]", "second": "[underline]{}[/]", "self": "[dim]{}[/]"},
    "md": {"best": "**{}**", "second": "<u>{}</u>", "self": "*{}*"},
    "latex": {"best": r"\textbf{{{}}}", "second": r"\underline{{{}}}", "self": r"\textcolor{{gray}}{{{}}}"},
    "html": {"best": "<b>{}</b>", "second": "<u>{}</u>", "self": '<span style="color:gray">{}</span>'},
}
# Backslash and braces in one pass with the rest: what is put in must not be escaped again.
TEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "→": r"$\rightarrow$", "±": r"$\pm$", "†": r"$^\dagger$",
    "−": "$-$",
    "[": "{[}",  # after a line's \\ a bracket would be read as a length
    "*": "{*}",  # and an asterisk as part of the command
    "<": "$<$", ">": "$>$",
}  # fmt: skip

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


@dataclass(frozen=True)
class Item:
    """What stands in one place: a number, its mark ("best", "second", "self" or none), and unmarked text after it."""

    text: str = ""
    mark: str = ""
    after: str = ""


@dataclass(frozen=True)
class Sheet:
    """A table as laid out. The first `labels` columns name a row, the others hold numbers; `records` is long form.

    `among` says which cells compete for the marks, in the legend.
    """

    name: str
    title: str
    notes: Sequence[str]
    labels: int
    header: Sequence[str]
    rows: Sequence[Sequence[Item]]
    records: Sequence[Mapping[str, Any]]
    among: str = ""

    def print(self, out: Output) -> None:
        """With bold, underline and dim on a terminal that has them; with the plain marks anywhere else."""
        from rich.console import Console

        out.data(_text(_tidy(self), styled=Console(file=sys.stdout).color_system is not None))


def render(table: Sheet, format: str) -> str:
    """The table in one of `FORMATS`, ending in a newline. Raises UsageError for another format."""
    writers: dict[str, Callable[[Sheet], str]] = {
        "text": _text, "md": _md, "latex": _latex, "csv": _csv, "json": _json, "html": _html,
    }  # fmt: skip
    if format not in writers:
        raise UsageError(f"no format named {format!r}", f"choose one of {', '.join(FORMATS)}")
    return writers[format](table if format in ("csv", "json") else _tidy(table))


def one_line(text: str) -> str:
    """Names come from users' data: without line breaks, which end a comment or a cell, and terminals' control codes."""
    return CONTROL.sub(" ", text)


def _tidy(table: Sheet) -> Sheet:
    def item(of: Item) -> Item:
        return Item(one_line(of.text), of.mark, one_line(of.after))

    return dataclasses.replace(
        table,
        title=one_line(table.title),
        notes=[*map(one_line, table.notes)],
        header=[*map(one_line, table.header)],
        rows=[[*map(item, row)] for row in table.rows],
        among=one_line(table.among),
    )


def _write(item: Item, format: str, escape: Callable[[str], str]) -> str:
    text = escape(item.text)
    return (MARKS[format][item.mark].format(text) if item.mark else text) + escape(item.after)


def _legend(table: Sheet, write: Callable[[Item], str]) -> Iterator[str]:
    """One line that shows each mark on its own name; none for a table without marks."""
    used = {item.mark for row in table.rows for item in row}
    parts = []
    if "best" in used:
        second = f" and {write(Item('second best', 'second'))}" if "second" in used else ""
        parts.append(f"{write(Item('best', 'best'))}{second} {write(Item(table.among))}")
    if "self" in used:
        parts.append(f"{write(Item('self-transfer', 'self'))}: the target is among the sources")
    if parts:
        yield "; ".join(parts)


def _text(table: Sheet, *, styled: bool = False) -> str:
    from rich import markup
    from rich.console import Console
    from rich.table import Table

    def write(item: Item) -> str:
        if styled:
            return _write(item, "rich", markup.escape)
        return markup.escape(_write(item, "text", str))

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for i, name in enumerate(table.header):  # a narrow header: the name, "(for", the paper's name
        lines = name.replace(" (for ", "\n(for\n") if i >= table.labels else name
        grid.add_column(markup.escape(lines), justify="left" if i < table.labels else "right", no_wrap=True)
    for row in table.rows:
        grid.add_row(*(write(item).replace(" + ", " +\n") for item in row))
    file = io.StringIO()
    console = Console(
        file=file, width=10_000, highlight=False, emoji=False, force_terminal=styled,
        color_system="standard" if styled else None,
    )  # fmt: skip
    console.print(markup.escape(table.title) + "\n")
    console.print(grid)
    console.print()
    for line in (*_legend(table, write), *map(markup.escape, table.notes)):
        console.print(line)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()).rstrip() + "\n"


def _md(table: Sheet) -> str:
    def write(item: Item) -> str:
        return _write(item, "md", lambda text: text.replace("|", r"\|"))

    header = [name.replace("|", r"\|").replace(" (for ", "<br>(for ") for name in table.header]
    rules = ["---"] * table.labels + ["---:"] * (len(header) - table.labels)
    lines = [f"**{table.title}**", ""]
    lines += ["| " + " | ".join(line) + " |" for line in (header, rules, *([*map(write, row)] for row in table.rows))]
    notes = [*_legend(table, write), *table.notes]
    return "\n".join([*lines, *([""] if notes else []), "  \n".join(notes)]).rstrip("\n") + "\n"


def _latex(table: Sheet) -> str:
    def write(item: Item) -> str:
        return _write(item, "latex", _tex)

    header = [_tex(name) for name in table.header]
    header = [rf"\shortstack{{{name.replace(' (', chr(92) * 2 + '(')}}}" if " (" in name else name for name in header]
    notes = [*_legend(table, write), *map(_tex_note, table.notes)]
    return "\n".join(
        [
            r"% needs \usepackage{xcolor}",
            r"\begin{table}",
            r"\centering\small",
            rf"\caption{{{_tex_note(table.title)}}}",
            rf"\label{{tab:ptx-{table.name}}}",
            rf"\begin{{tabular}}{{{'l' * table.labels}{'r' * (len(header) - table.labels)}}}",
            r"\hline",
            " & ".join(header) + r" \\ \hline",
            *(" & ".join(map(write, row)) + r" \\" for row in table.rows),
            r"\hline",
            r"\end{tabular}",
            *(rf"\par\smallskip{{\footnotesize {note}}}" for note in notes),
            r"\end{table}",
            "",
        ]
    )


def _tex(text: str) -> str:
    return "".join(TEX.get(letter, letter) for letter in text)


def _tex_note(text: str) -> str:
    return re.sub("`([^`]*)`", r"\\texttt{\1}", _tex(text))


def _html(table: Sheet) -> str:
    def write(item: Item) -> str:
        return _write(item, "html", html.escape)

    def line(tag: str, values: Sequence[str]) -> str:
        right = [' style="text-align:right"' if i >= table.labels else "" for i in range(len(values))]
        return (
            "<tr>" + "".join(f"<{tag}{r}>{value}</{tag}>" for r, value in zip(right, values, strict=True)) + "</tr>\n"
        )

    header = [html.escape(name).replace(" (for ", "<br>(for ") for name in table.header]
    code = [re.sub("`([^`]*)`", r"<code>\1</code>", html.escape(note)) for note in table.notes]
    return (
        f"<table>\n<caption>{html.escape(table.title)}</caption>\n<thead>\n{line('th', header)}</thead>\n<tbody>\n"
        + "".join(line("td", [*map(write, row)]) for row in table.rows)
        + "</tbody>\n</table>\n"
        + "".join(f"<p>{note}</p>\n" for note in (*_legend(table, write), *code))
    )


def _csv(table: Sheet) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(table.records[0]) if table.records else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(table.records)
    return file.getvalue()


def _json(table: Sheet) -> str:
    return json.dumps(list(table.records), indent=2, ensure_ascii=False) + "\n"
