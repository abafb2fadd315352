"""Tables as text, Markdown, LaTeX or HTML (what a person reads), or as CSV or JSON (long form).

A *sheet* is one table as laid out, a *page* all that a command shows under one title: the sheets and their records.
"""

import csv
import dataclasses
import functools
import io
import json
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ptx.errors import UsageError
from ptx.media import cell, html, markdown, paragraph, tex, tidy
from ptx.results import layout

NARROW = 16  # letters that a column may have whatever stands in it
FORMATS = ("text", "md", "latex", "csv", "json", "html")
# How a mark looks. Plain text has no styles, and a mark must survive a pipe; `rich` is text on a terminal.
MARKS: Mapping[str, Mapping[str, str]] = {
    "text": {"best": "*{}*", "second": "_{}_", "self": "({})"},
    "rich": {"best": "[bold]{}[/]", "second": "[underline]{}[/]", "self": "[dim]{}[/]"},
    "md": {"best": "**{}**", "second": "<u>{}</u>", "self": "*{}*"},
    "latex": {"best": r"\textbf{{{}}}", "second": r"\underline{{{}}}", "self": r"\textcolor{{gray}}{{{}}}"},
    "html": {"best": "<b>{}</b>", "second": "<u>{}</u>", "self": '<span style="color:gray">{}</span>'},
}


STYLE = """:root { color-scheme: light dark; }
body { margin: 1rem auto; max-width: 70rem; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; overflow-x: auto; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .4rem .6rem; }
th, td { text-align: left; padding: .2rem .6rem; border-top: 1px solid #8888; vertical-align: bottom; }
"""


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


@dataclass(frozen=True)
class Page:
    """What a command shows: `sheets` below a title, and the same as `records`, one row per cell, in long form."""

    title: str
    notes: Sequence[str]
    records: Sequence[Mapping[str, Any]]
    sheets: Sequence[Sheet]

    @property
    def head(self) -> list[str]:
        return [tidy(line) for line in (self.title, *self.notes) if line]


def page_of(sheet: Sheet) -> Page:
    """A sheet by itself: its own title is enough."""
    return Page("", [], sheet.records, [sheet])


def render_pages(pages: Sequence[Page], format: str) -> str:
    """Pages in one of `FORMATS`."""
    if format in ("csv", "json"):
        return _long([row for page in pages for row in page.records], format)
    if format == "latex":
        pages = _labelled(pages)
    parts = ([_head(page, format), *(render(sheet, format) for sheet in page.sheets)] for page in pages)
    body = "\n".join(part for of_page in parts for part in of_page if part)
    return _document(pages, body) if format == "html" else body


def _labelled(pages: Sequence[Page]) -> list[Page]:
    """With captions that say what the page is about, and names that LaTeX's labels can be made of: each once."""
    seen: Counter[str] = Counter()
    made = []
    for page in pages:
        sheets = []
        for sheet in page.sheets:
            seen[sheet.name] += 1
            name = sheet.name if seen[sheet.name] == 1 else f"{sheet.name}-{seen[sheet.name]}"
            caption = ". ".join(filter(None, [page.title, sheet.title]))
            sheets.append(dataclasses.replace(sheet, name=name, title=caption))
        made.append(dataclasses.replace(page, sheets=sheets))
    return made


def _document(pages: Sequence[Page], body: str) -> str:
    """A whole page for a browser, which loads nothing for it."""
    title = next((line for page in pages for line in (page.title, *(sheet.title for sheet in page.sheets)) if line), "")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{html(tidy(title))}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )


def _head(page: Page, format: str) -> str:
    if not page.head:
        return ""
    if format == "html":
        return "".join(f"<p>{html(line)}</p>\n" for line in page.head)
    if format == "latex":
        return "".join(f"% {line}\n" for line in page.head)
    if format == "md":
        return "  \n".join(map(paragraph, page.head)) + "\n"
    return "\n".join(map(wrapped, page.head)) + "\n"


def wrapped(line: str, width: int = layout.WIDTH, indent: str = "") -> str:
    """A line of running text in indented lines of a width, but for words that are longer."""
    plain = textwrap.TextWrapper(width, indent, indent, break_long_words=False, break_on_hyphens=False)
    return plain.fill(line)


def render(table: Sheet, format: str, *, styled: bool = False, width: int = layout.WIDTH) -> str:
    """The table in one of `FORMATS`, ending in a newline; text of a `width`, and `styled` for a terminal with bold,
    underline and dim.

    Raises UsageError for another format.
    """
    if format in ("csv", "json"):
        return _long(table.records, format)
    writers: dict[str, Callable[[Sheet], str]] = {
        "text": functools.partial(_text, styled=styled, width=width), "md": _md, "latex": _latex, "html": _html,
    }  # fmt: skip
    if format not in writers:
        raise UsageError(f"no format named {format!r}", f"choose one of {', '.join(FORMATS)}")
    return writers[format](_tidy(table))


def _tidy(table: Sheet) -> Sheet:
    notes, header = [*map(tidy, table.notes)], [*map(tidy, table.header)]
    rows = [[Item(tidy(item.text), item.mark, tidy(item.after)) for item in row] for row in table.rows]
    title, among = tidy(table.title), tidy(table.among)
    return dataclasses.replace(table, title=title, notes=notes, header=header, rows=rows, among=among)


def _write(item: Item, format: str, escape: Callable[[str], str]) -> str:
    if not item.mark:
        return escape(item.text + item.after)
    return MARKS[format][item.mark].format(escape(item.text)) + escape(item.after)


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


def _text(table: Sheet, *, styled: bool = False, width: int = layout.WIDTH) -> str:
    """Within a width: names of rows are folded if all columns then stand beside each other; else these are in blocks,
    one below the other."""
    from rich import markup
    from rich.console import Console
    from rich.table import Table

    def write(item: Item) -> str:
        return _write(item, "rich", markup.escape) if styled else markup.escape(_write(item, "text", str))

    labels, count = table.labels, len(table.header)
    rows = [[_write(item, "text", str).replace(" + ", " +\n") for item in row] for row in table.rows]
    body = [max((layout.width_of(row[i]) for row in rows), default=0) for i in range(count)]
    # A narrow header: the name, "(for", the paper's name.
    header = [*table.header[:labels]]
    for name, own in zip(table.header[labels:], body[labels:], strict=True):
        header.append(layout.folded(name.replace(" (for ", "\n(for\n"), max(own, NARROW)))
    widths = [max(own, layout.width_of(name)) for own, name in zip(body, header, strict=True)]
    texts = [[header[i], *(row[i] for row in rows)] for i in range(labels)]
    lowest = [min(widths[i], max(map(layout.least, of))) for i, of in enumerate(texts)]
    gaps, columns = layout.GAP * labels, widths[labels:]
    room = width - gaps - sum(columns) - layout.GAP * (len(columns) - 1)
    if sum(lowest) > room:  # not all beside each other
        room = width - gaps - max(columns, default=0)
        lowest = [min(own, NARROW) for own in lowest]
    places = layout.narrowed(widths[:labels], room, lowest)
    file = io.StringIO()
    console = Console(
        file=file, width=10_000, highlight=False, emoji=False, force_terminal=styled,
        color_system="standard" if styled else None,
    )  # fmt: skip
    console.print(markup.escape(table.title) + "\n", width=width)
    for block in layout.blocks(places, columns, width):
        shown = [labels + i for i in block]
        grid = Table(box=None, pad_edge=False, header_style="bold")
        for i in range(labels):
            grid.add_column(markup.escape(layout.folded(header[i], places[i])), no_wrap=True)
        for i in shown:
            grid.add_column(markup.escape(header[i]), justify="right", no_wrap=True)
        for row, texts_of in zip(table.rows, rows, strict=True):
            names = [markup.escape(layout.folded(texts_of[i], places[i])) for i in range(labels)]
            grid.add_row(*names, *(write(row[i]) for i in shown))
        console.print(grid)
        console.print()
    for line in (*_legend(table, write), *map(markup.escape, table.notes)):
        console.print(line, width=width)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()).rstrip() + "\n"


def _md(table: Sheet) -> str:
    write = functools.partial(_write, format="md", escape=markdown)
    header = [markdown(name).replace(" (for ", "<br>(for ") for name in table.header]
    rules = ["---"] * table.labels + ["---:"] * (len(header) - table.labels)
    lines = [f"**{markdown(table.title)}**", ""]
    lines += ["| " + " | ".join(line) + " |" for line in (header, rules, *([*map(write, row)] for row in table.rows))]
    notes = [*_legend(table, write), *map(paragraph, table.notes)]
    return "\n".join([*lines, *([""] if notes else []), "  \n".join(notes)]).rstrip("\n") + "\n"


def _latex(table: Sheet) -> str:
    write = functools.partial(_write, format="latex", escape=tex)
    header = [tex(name) for name in table.header]
    header = [rf"\shortstack{{{name.replace(' (', chr(92) * 2 + '(')}}}" if " (" in name else name for name in header]
    notes = [*_legend(table, write), *map(_tex_note, table.notes)]
    lines = [
        r"\begin{table}",
        r"\centering\small",
        rf"\caption{{{_tex_note(table.title)}}}",
        rf"\label{{tab:ptx-{table.name}}}",
        rf"\begin{{tabular}}{{{'l' * table.labels}{'r' * (len(header) - table.labels)}}}",
        r"\toprule",
        " & ".join(header) + r" \\",
        r"\midrule",
        *(" & ".join(map(write, row)) + r" \\" for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
        *(rf"\par\smallskip{{\footnotesize {note}}}" for note in notes),
        r"\end{table}",
        "",
    ]
    used = ["booktabs", *(["xcolor"] if any(item.mark == "self" for row in table.rows for item in row) else [])]
    return "\n".join([*(rf"% needs \usepackage{{{name}}}" for name in used), *lines])


def _tex_note(text: str) -> str:
    return re.sub("`([^`]*)`", r"\\texttt{\1}", tex(text))


def _html(table: Sheet) -> str:
    write = functools.partial(_write, format="html", escape=html)
    styles = [""] * table.labels + [' style="text-align:right"'] * (len(table.header) - table.labels)

    def line(tag: str, values: Iterable[str]) -> str:
        cells = (f"<{tag}{style}>{value}</{tag}>" for style, value in zip(styles, values, strict=True))
        return "<tr>" + "".join(cells) + "</tr>\n"

    header = [html(name).replace(" (for ", "<br>(for ") for name in table.header]
    code = [re.sub("`([^`]*)`", r"<code>\1</code>", html(note)) for note in table.notes]
    return (
        f"<table>\n<caption>{html(table.title)}</caption>\n<thead>\n{line('th', header)}</thead>\n<tbody>\n"
        + "".join(line("td", map(write, row)) for row in table.rows)
        + "</tbody>\n</table>\n"
        + "".join(f"<p>{note}</p>\n" for note in (*_legend(table, write), *code))
    )


def _long(records: Sequence[Mapping[str, Any]], format: str) -> str:
    if format == "json":
        return json.dumps(list(records), indent=2, ensure_ascii=False) + "\n"
    file = io.StringIO()
    names = list(dict.fromkeys(name for row in records for name in row))
    values = [[row.get(name, "") for name in names] for row in records]
    rows = [names, *([" ".join(value) if isinstance(value, list) else value for value in row] for row in values)]
    csv.writer(file, lineterminator="\n").writerows(map(cell, row) for row in rows)
    return file.getvalue()
