"""The only printer: data on stdout, progress and messages on stderr."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from ptx.cli import plan
from ptx.cli.progress import download_bar, watched
from ptx.errors import PtxError
from ptx.media import one_line, percent, terminal
from ptx.results import layout

if TYPE_CHECKING:
    from ptx.engine.ahead import Ahead
    from ptx.engine.meter import Meter

# Figures that are shares between 0 and 1: in percent for people, as they are in JSON and CSV.
SHARES = {
    "accuracy", "dev_accuracy", "train_accuracy", "template", "majority", "floor", "agreement", "as_words", "forecast",
    "forecast_low", "forecast_high", "probability", "manual", "tuned",
}  # fmt: skip


class Output:
    """What a command says. `as_json` and `quiet` change the data on stdout; `quiet` also silences messages."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False, verbose: int = 0) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.verbose = verbose
        self.console = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)

    def data(self, text: str) -> None:
        """One or more lines of data. Raises PtxError if they cannot be written."""
        self.styled(terminal(text))

    def styled(self, text: str) -> None:
        """The same of lines that are meant for a terminal as they are."""
        encoding = sys.stdout.encoding or "utf-8"
        with _stdout():
            sys.stdout.write(text.rstrip("\n").encode(encoding, "backslashreplace").decode(encoding) + "\n")

    def flush(self) -> None:
        """Have all data written while a failure can still be told. Raises PtxError."""
        with _stdout():
            sys.stdout.flush()

    def json(self, value: Mapping[str, Any]) -> None:
        """One JSON object on one line."""
        unicode = (sys.stdout.encoding or "utf-8").lower().startswith("utf")
        self.data(json.dumps(value, ensure_ascii=not unicode))

    def rows(self, rows: Sequence[Mapping[str, Any]], *, path: str = "") -> None:
        """Rows as columns, as JSON lines, or (quiet) one value a line."""
        if self.as_json:
            for row in rows:
                self.json(row)
        elif self.quiet:
            for row in rows:
                self.data(one_line(str(row[path or next(iter(row))])))
        elif rows:
            header = list(dict.fromkeys(name for row in rows for name in row))
            titles = [f"{name} %" if _is_share(name, rows) else name for name in header]
            self.columns(titles, [[shown(name, row.get(name)) for name in header] for row in rows])

    def columns(self, header: Sequence[str], rows: Sequence[Sequence[str]], *, fit: bool = False) -> None:
        """Aligned columns without trailing blanks. What is wider than a terminal (with `fit`, than one of 80 columns in
        a pipe too) is folded; elsewhere a row stays on one line, for grep."""
        if fit or sys.stdout.isatty():
            rows = _folded(header, rows, layout.terminal_width())
        table = aligned(header, rows, no_wrap=True)
        console = Console(file=sys.stdout, highlight=False, emoji=False, width=10_000)
        console.width = max(console.measure(table).maximum, 1)
        with _stdout(), console.capture() as captured:
            console.print(table)
        self.data("\n".join(line.rstrip() for line in captured.get().splitlines()))

    def tree(self, tree: Tree) -> None:
        """A tree whose texts are meant for a terminal as they are."""
        console = Console(file=sys.stdout, highlight=False, emoji=False, width=layout.terminal_width())
        with _stdout(), console.capture() as captured:
            console.print(tree)
        self.styled("\n".join(line.rstrip() for line in captured.get().splitlines()))

    def message(self, text: str) -> None:
        """For the person at the terminal."""
        if not self.quiet:
            self._say(escape(one_line(text)))

    def detail(self, *parts: object) -> None:
        """A message that `-v` asks for, put into words only then: there are thousands."""
        if self.verbose:
            self.message(" ".join(map(str, parts)))

    def warn(self, text: str) -> None:
        self._say(f"[yellow]warning:[/] {escape(one_line(text))}")

    def error(self, error: PtxError) -> None:
        for note in getattr(error, "__notes__", ()):  # what the readers of a suite remarked before
            self.warn(note)
        self._say(f"[red]error:[/] {escape(error.message)}\n[cyan]hint:[/] {escape(error.hint)}")

    def _say(self, markup: str) -> None:
        with contextlib.suppress(OSError):  # a full disk where messages go is no failure of what is done
            self.console.print(markup)

    def watch(self, meter: Meter, before: Ahead) -> contextlib.AbstractContextManager[None]:
        """Show how far a run is, until it ends; if it is a long one, first what it takes."""
        if before.seconds is None or before.seconds > plan.LONG:
            for line in plan.lines(before):
                self.message(line)
        return contextlib.nullcontext() if self.quiet else watched(meter, self.console)

    @contextlib.contextmanager
    def download(self, source: str) -> Iterator[Callable[[int, int | None], None]]:
        """Progress of a download, in bytes."""
        self.message(f"downloading {source}")
        silent = contextlib.nullcontext(lambda done, total: None)
        with download_bar(self.console) if self._shows_progress else silent as advance:
            yield advance

    @property
    def _shows_progress(self) -> bool:
        return not self.quiet and self.console.is_terminal


@contextlib.contextmanager
def _stdout() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:  # `| head` has seen enough: no failure
        raise
    except OSError as error:
        discard_stdout()
        raise PtxError(f"cannot write to stdout: {error.strerror}", "make room, or write somewhere else") from None


def discard_stdout() -> None:
    """What is still to be written would fail again when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], *, no_wrap: bool = False) -> Table:
    """Columns without lines; numbers to the right. Users' names may look like rich's markup."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for i, name in enumerate(header):
        numeric = bool(rows) and all(_is_number(row[i]) for row in rows)
        table.add_column(escape(terminal(name)), justify="right" if numeric else "left", no_wrap=no_wrap)
    for row in rows:
        table.add_row(*(escape(terminal(text)) for text in row))
    return table


def shown(name: str, value: Any) -> str:
    """A value of a column, on one line: shares in percent."""
    if value is None:
        return ""
    if isinstance(value, list):
        return one_line("+".join(map(str, value))) if len(value) < 4 else f"{len(value)} models"
    if isinstance(value, float):
        return percent(value) if name in SHARES else f"{round(value, 4) + 0.0:.4f}"  # never "-0.0000"
    return one_line(str(value))


def _folded(header: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[list[str]]:
    """Rows whose texts (numbers stay whole) are folded so that they fit, if they can."""
    columns = [[name, *(row[i] for row in rows)] for i, name in enumerate(header)]
    widths = [max(map(layout.width_of, of)) for of in columns]
    whole = [all(map(_is_number, of[1:])) for of in columns]
    lowest = [own if fixed else min(own, layout.LEAST) for own, fixed in zip(widths, whole, strict=True)]
    places = layout.narrowed(widths, width - layout.GAP * (len(widths) - 1), lowest)
    return [[layout.folded(text, place) for text, place in zip(row, places, strict=True)] for row in rows]


def _is_share(name: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    return name in SHARES and any(isinstance(row.get(name), float) for row in rows)


def _is_number(text: str) -> bool:
    with contextlib.suppress(ValueError):
        float(text.rstrip("%") or "0")
        return True
    return text in ("-", "")
