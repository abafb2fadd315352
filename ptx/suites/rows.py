"""Rows of files of any form. Each knows the file and line that it begins at, for error messages."""

import ast
import contextlib
import json
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

from ptx.errors import PtxError, shown
from ptx.suites.lines import Bad

T = TypeVar("T")
HINTS: Mapping[type, str] = {
    list: "write one text; answers that are all right, as a list of texts",
    dict: "write a text; with pandas, `to_json(orient='records', lines=True)` writes a row for each fact",
}


class NoColumn(PtxError):
    """A row or header without a column that is needed: the file may be of another kind."""


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
        """A column's texts without blanks around them, each once: those of a list, or of JSON's or Python's in a
        table's field, or else the only one. Raises PtxError as `text` does, and for an empty list or text."""
        value, where = self.values[column], f"{self.where}: {column}"
        if isinstance(value, str) and value.lstrip().startswith(('["', "['")):
            value = _listed(value.strip())
        if value == []:
            raise PtxError(f"{where} is an empty list", "fill it in, or remove the line")
        found = [_text(each, where).strip() for each in (value if isinstance(value, list) else [value])]
        if not all(found):
            raise PtxError(f"{where} is empty", "fill it in, or remove the line")
        return list(dict.fromkeys(found))

    def optional(self, column: str) -> str | None:
        """A column's text, or None where it is absent, null or empty."""
        return self.text(column).strip() or None if self.values.get(column) is not None else None

    def any_texts(self, column: str) -> list[str]:
        """A column's texts as `texts` reads them; none where it is absent, null or empty."""
        return self.texts(column) if self.values.get(column) not in (None, "", []) else []


def _listed(text: str) -> Any:
    """A list in a table's field; a text that only looks like one as it is."""
    for read in (json.loads, ast.literal_eval):  # pandas writes Python's
        with contextlib.suppress(ValueError, RecursionError, SyntaxError, MemoryError):
            return read(text)
    return text


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        hint = HINTS.get(type(value), "put it in quotes")
        raise PtxError(f"{where} is {spelled(value)}, which is no text", hint)
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
