"""The only printer: data on stdout, progress and messages on stderr."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ptx.errors import PtxError


class Output:
    """What a command says. `as_json` and `quiet` change the data on stdout; `quiet` also silences messages."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False, verbose: int = 0) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.verbose = verbose
        self.console = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)
        self._advance: Any = None

    def data(self, text: str) -> None:
        """One or more lines of data. Raises PtxError if they cannot be written."""
        with _stdout():
            sys.stdout.write(text.rstrip("\n") + "\n")

    def flush(self) -> None:
        """Have all data written while a failure can still be told. Raises PtxError."""
        with _stdout():
            sys.stdout.flush()

    def json(self, value: Mapping[str, Any]) -> None:
        """One JSON object on one line."""
        self.data(json.dumps(value, ensure_ascii=False))

    def columns(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Aligned columns; numbers to the right. As wide as the data, so that pipes and terminals get the same."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for i, name in enumerate(header):
            numeric = bool(rows) and all(_is_number(row[i]) for row in rows)
            table.add_column(name, justify="right" if numeric else "left", no_wrap=True)
        for row in rows:
            table.add_row(*map(_plain, row))
        self.table(table)

    def table(self, table: Table) -> None:
        """A rich table as data, never cut to the terminal's width, without trailing blanks."""
        console = Console(file=sys.stdout, highlight=False, emoji=False, width=10_000)
        console.width = max(console.measure(table).maximum, 1)
        with _stdout(), console.capture() as captured:
            console.print(table)
        self.data("\n".join(line.rstrip() for line in captured.get().splitlines()))

    def message(self, text: str) -> None:
        """For the person at the terminal."""
        if not self.quiet:
            self.console.print(text, markup=False)

    def detail(self, text: str) -> None:
        """A message that `-v` asks for."""
        if self.verbose:
            self.message(text)

    def warn(self, text: str) -> None:
        self.console.print(f"[yellow]warning:[/] {_plain(text)}")

    def error(self, error: PtxError) -> None:
        self.console.print(f"[red]error:[/] {_plain(error.message)}")
        self.console.print(f"[cyan]hint:[/] {_plain(error.hint)}")

    @contextlib.contextmanager
    def stage(self, stage: str, total: int) -> Iterator[None]:
        """A progress bar with the time left, on a terminal only."""
        if self.quiet or not self.console.is_terminal:
            yield
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description:8}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self.console, transient=True) as progress:
            bar = progress.add_task(stage, total=total)
            self._advance = lambda amount: progress.advance(bar, amount)
            try:
                yield
            finally:
                self._advance = None

    def advance(self, amount: float) -> None:
        if self._advance is not None:
            self._advance(amount)


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


def _plain(text: str) -> str:
    """Users' names may look like rich's markup."""
    return escape(text)


def _is_number(text: str) -> bool:
    with contextlib.suppress(ValueError):
        float(text.rstrip("%") or "0")
        return True
    return text in ("-", "")
