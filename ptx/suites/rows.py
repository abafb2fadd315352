"""Rows of JSON-lines, CSV and TSV files. Each knows the file and line that it begins at, for error messages."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptx.errors import PtxError

FORMATS = (".tsv", ".csv", ".jsonl")


@dataclass(frozen=True)
class Row:
    """The columns of one row, from `where`. They are `named` by a header or JSON keys, or else by their position."""

    where: str
    values: Mapping[str, Any]
    named: bool = True

    def text(self, column: str) -> str:
        """A column's text. Raises PtxError if it holds something else, such as a number in JSON."""
        value = self.values[column]
        if not isinstance(value, str):
            raise PtxError(f"{self.where}: {column} is {json.dumps(value)}, which is no text", "put it in quotes")
        return value


def read_rows(path: Path, required: Sequence[str], *, hint: str = "", columns: Sequence[str] = ()) -> Iterator[Row]:
    """The rows of a file: CSV, TSV without quoting (as GLUE's), and JSON lines for every other ending.

    With `columns`, CSV and TSV files need no header: a first line that does not hold the required names is a row.
    Raises PtxError, with `hint`, naming the line that cannot be read or lacks a required column.
    """
    hint = hint or f"each line needs {' and '.join(required)}"
    rows = _delimited(path, required, hint, columns) if path.suffix in (".csv", ".tsv") else _json_lines(path, hint)
    for row in rows:
        for name in required:
            if row.values.get(name) is None:
                raise PtxError(f"{row.where}: no column {name!r}", hint)
        yield row


def _delimited(path: Path, required: Sequence[str], hint: str, columns: Sequence[str]) -> Iterator[Row]:
    if path.suffix == ".tsv":
        reader = csv.reader(_lines(path), delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
    else:
        reader = csv.reader(_lines(path), strict=True)
    header = list(columns)
    begin = 1  # where the next row begins: a quoted field may run over several lines
    try:
        for number, fields in enumerate(reader):
            where, begin = f"{path}:{begin}", reader.line_num + 1
            if number == 0 and (not columns or set(required) <= set(fields)):
                if missing := [name for name in required if name not in fields]:
                    raise PtxError(f"{where}: no column {missing[0]!r} in {', '.join(fields)}", hint)
                header, columns = fields, ()
            elif len(fields) > len(header):
                raise PtxError(f"{where}: {len(fields)} fields, but {len(header)} columns ({', '.join(header)})", hint)
            elif fields:
                yield Row(where, dict(zip(header, fields, strict=False)), named=not columns)
    except csv.Error as error:
        raise PtxError(f"{path}:{begin}: {error}", hint) from None


def _json_lines(path: Path, hint: str) -> Iterator[Row]:
    for number, line in enumerate(_lines(path), start=1):
        where = f"{path}:{number}"
        try:
            values = json.loads(line.rstrip()) if line.strip() else None
        except json.JSONDecodeError as error:
            raise PtxError(f"{where}: not JSON ({error.msg}, column {error.colno})", hint) from None
        if isinstance(values, dict):
            yield Row(where, values)
        elif line.strip():
            raise PtxError(f"{where}: not a JSON object", hint)


def _lines(path: Path) -> Iterator[str]:
    with path.open("rb") as file:  # decoded line by line, since an error in a block of text has no line number
        for number, line in enumerate(file, start=1):
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")  # spreadsheets begin with a mark
            except UnicodeDecodeError as error:
                raise PtxError(f"{path}:{number}: not UTF-8 ({error.reason})", "save the file as UTF-8") from None
