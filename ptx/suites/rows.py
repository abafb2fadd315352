"""Rows of JSON-lines, CSV and TSV files. Each knows the file and line that it begins at, for error messages."""

import contextlib
import csv
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ptx.errors import PtxError, shown
from ptx.suites.lines import Bad, refuse, text_lines

FORMATS = (".tsv", ".csv", ".jsonl")
T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """The columns of one row, from `where`. They are `named` by a header or JSON keys, or else by their position."""

    where: str
    values: Mapping[str, Any]
    named: bool = True

    def text(self, column: str) -> str:
        """A column's text. Raises PtxError if it holds something else, such as a number in JSON."""
        return _text(self.values[column], f"{self.where}: {column}")

    def texts(self, column: str) -> list[str]:
        """A column's texts without blanks around them, each once: those of a list, or of a JSON list in a table's
        field, or else the only one. Raises PtxError as `text` does, and for an empty list or text."""
        value, where = self.values[column], f"{self.where}: {column}"
        if isinstance(value, str) and value.lstrip().startswith('["'):
            with contextlib.suppress(ValueError, RecursionError):
                value = json.loads(value)
        if value == []:
            raise PtxError(f"{where} is an empty list", "fill it in, or remove the line")
        found = [_text(each, where).strip() for each in (value if isinstance(value, list) else [value])]
        if not all(found):
            raise PtxError(f"{where} is empty", "fill it in, or remove the line")
        return list(dict.fromkeys(found))

    def optional(self, column: str) -> str | None:
        """A column's text, or None where it is absent, null or empty."""
        return self.text(column).strip() or None if self.values.get(column) is not None else None


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise PtxError(f"{where} is {spelled(value)}, which is no text", "put it in quotes")
    if "\0" in value:
        raise PtxError(f"{where} holds a NUL character", "remove it")
    try:
        value.encode()
    except UnicodeEncodeError:  # JSON can spell one half of a pair, which no file or model can hold
        raise PtxError(f"{where} holds half of a character (a lone surrogate)", "remove it") from None
    return value


def each(rows: Generator[Row, None, None], convert: Callable[[Row], T], bad: Bad) -> Generator[T, None, None]:
    """What `convert` makes of every row. Rows that it raises PtxError for go to `bad`, and are left out."""
    with closing(rows):
        for row in rows:
            try:
                made = convert(row)
            except PtxError as error:
                bad(error)
            else:
                yield made


def spelled(value: Any) -> str:
    """A JSON value inside a message."""
    try:
        return shown(json.dumps(value), 60)
    except (RecursionError, ValueError, TypeError):
        return f"a {type(value).__name__}"


def read_rows(
    path: Path, required: Sequence[str], *, hint: str = "", columns: Sequence[str] = (), bad: Bad = refuse
) -> Generator[Row, None, None]:
    """The rows of a file: CSV, TSV without quoting (as GLUE's), and JSON lines for every other ending.

    With `columns`, CSV and TSV files need no header: a first line that does not hold the required names is a row.
    A line that cannot be read or lacks a required column goes to `bad` as a PtxError with `hint`, and is left out. A
    CSV or TSV file ends there: what follows a quote that is not closed cannot be known.
    """
    hint = hint or f"each line needs {' and '.join(required)}"
    delimited = path.suffix in (".csv", ".tsv")
    rows = _delimited(path, required, hint, columns, bad) if delimited else _json_lines(path, hint, bad)

    def complete(row: Row) -> Row:
        for name in required:
            if row.values.get(name) is None:
                what = f"{name} is null" if name in row.values else f"no column {name!r}"
                raise PtxError(f"{row.where}: {what}", hint)
        return row

    return each(rows, complete, bad)


def _delimited(
    path: Path, required: Sequence[str], hint: str, columns: Sequence[str], bad: Bad
) -> Generator[Row, None, None]:
    header = list(columns)
    begin = 1  # where the next row begins: a quoted field may run over several lines
    first = True
    with closing(text_lines(path, bad)) as lines:
        if path.suffix == ".tsv":
            reader = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
        else:
            reader = csv.reader(lines, strict=True)
        try:
            for fields in reader:
                where, begin = f"{path}:{begin}", reader.line_num + 1
                if not fields:
                    continue
                if first and (not columns or set(required) <= set(fields)):
                    _check_header(fields, required, where, hint)
                    header, columns = fields, ()
                elif len(fields) > len(header):
                    names = shown(", ".join(header))
                    bad(PtxError(f"{where}: {len(fields)} fields, but {len(header)} columns ({names})", hint))
                else:
                    yield Row(where, dict(zip(header, fields, strict=False)), named=not columns)
                first = False
        except csv.Error as error:
            what = f"{error}; is a quote not closed?" if "field limit" in str(error) else str(error)
            bad(PtxError(f"{path}:{begin}: {what}", hint))


def _check_header(fields: Sequence[str], required: Sequence[str], where: str, hint: str) -> None:
    for name in required:
        if name not in fields:
            raise PtxError(f"{where}: no column {name!r} in {shown(', '.join(fields))}", hint)
        if fields.count(name) > 1:
            raise PtxError(f"{where}: {fields.count(name)} columns {name!r}", "give each column a name of its own")


def _json_lines(path: Path, hint: str, bad: Bad) -> Generator[Row, None, None]:
    with closing(text_lines(path, bad)) as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                where = f"{path}:{number}"
                try:
                    values = _json_object(line, where, hint)
                except PtxError as error:
                    bad(error)
                else:
                    yield Row(where, values)


def _json_object(line: str, where: str, hint: str) -> dict[str, Any]:
    try:
        values = json.loads(line.rstrip())
    except json.JSONDecodeError as error:
        raise PtxError(f"{where}: not JSON ({error.msg}, column {error.colno})", hint) from None
    except RecursionError:
        raise PtxError(f"{where}: JSON nested too deeply", hint) from None
    except ValueError as error:  # a number of thousands of digits
        raise PtxError(f"{where}: not JSON ({error})", hint) from None
    if not isinstance(values, dict):
        raise PtxError(f"{where}: not a JSON object", hint)
    return values
