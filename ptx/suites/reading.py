"""Rows of a user's file, whatever form it has: which reader, and which of its columns are meant."""

import itertools
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path

from ptx.errors import PtxError, shown
from ptx.suites.documents import json_rows, parquet_rows
from ptx.suites.lines import Bad, Remark, refuse, text_lines
from ptx.suites.rows import NoColumn, Row, each
from ptx.suites.tables import TABLES, begin, folded, table_rows

FORMATS = (".tsv", ".csv", ".jsonl", ".json", ".txt", ".parquet")
PACKED = ".gz"


def form_of(path: Path) -> str:
    """The ending that says how a file is written, in small letters; that of `P17.CSV.gz` is .csv."""
    return Path(_unpacked(path)).suffix.lower()


def stem_of(path: Path) -> str:
    """The file's name without the endings that say how it is written."""
    name = _unpacked(path)
    return Path(name).stem if Path(name).suffix.lower() in FORMATS else path.name


def _unpacked(path: Path) -> str:
    return path.name[: -len(PACKED)] if path.name.lower().endswith(PACKED) else path.name


def read_rows(
    path: Path,
    required: Sequence[str],
    *,
    hint: str = "",
    columns: Sequence[str] = (),
    optional: Sequence[str] = (),
    bad: Bad = refuse,
) -> Generator[Row, None, None]:
    """The rows of a file: CSV, TSV without quoting (as GLUE's), Parquet, and JSON for every other ending, or a table
    with a header where such a file holds no JSON.

    With `columns`, CSV and TSV files need no header: a first line that does not hold the required names is a row. A
    `required` or `optional` column that is written in other letter case is taken for it, with a remark.
    A line that cannot be read or lacks a required column goes to `bad` as a PtxError with `hint`, and is left out. A
    CSV or TSV file ends there: what follows a quote that is not closed cannot be known.
    """
    hint = hint or f"each line needs {' and '.join(required)}"
    form = form_of(path)
    if form == ".parquet":
        rows = parquet_rows(path, hint)
    elif form in TABLES or ((form not in FORMATS or form == ".txt") and not _is_json(path)):
        rows = table_rows(path, form, required, optional, hint, columns, bad)
    else:
        rows = json_rows(path, form, hint, bad)
    return each(_renamed(rows, (*required, *optional), str(path), bad), _complete(required, hint), bad)


def _is_json(path: Path) -> bool:
    """By its first character. What cannot be read is left to the reader to tell."""
    with closing(text_lines(path, lambda said: None)) as lines:
        return begin(lines)[1].lstrip()[:1] in ("{", "[", "")


def _renamed(rows: Generator[Row, None, None], names: Sequence[str], path: str, bad: Bad) -> Generator[Row, None, None]:
    """Rows whose columns are called as asked, where they differ in letter case or blanks only."""
    known: dict[tuple[str, ...], dict[str, str]] = {}
    with closing(rows):
        for row in rows:
            columns = tuple(row.values)
            if columns not in known:
                known[columns] = meant = folded(columns, names)
                if meant:
                    others = f"{', '.join(map(repr, meant))} read as {', '.join(meant.values())}"
                    bad(Remark(path, shown(f"the columns {others}")))
            meant = known[columns]
            yield Row(row.where, {meant.get(k, k): v for k, v in row.values.items()}, row.named) if meant else row


def _complete(required: Sequence[str], hint: str) -> Callable[[Row], Row]:
    def complete(row: Row) -> Row:
        for name in required:
            if row.values.get(name) is None:
                if name in row.values:
                    raise PtxError(f"{row.where}: {name} is null", hint)
                there = shown(", ".join(itertools.islice(row.values, 8)))
                raise NoColumn(f"{row.where}: no column {name!r}", f"{hint} (its columns are {there})")
        return row

    return complete
