"""Rows of JSON (lines, an array, or the results of a SPARQL query) and of Parquet files."""

import io
import itertools
import json
import re
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from ptx.errors import PtxError, first_line, shown
from ptx.suites.lines import Bad, text_lines
from ptx.suites.rows import Row
from ptx.suites.tables import begin
from ptx.suites.watched import looked_at

WHOLE = 2**28  # characters of a file that has to be read whole
BLANK = re.compile(r"[ \t\r\n]*")
BINDINGS = re.compile(r'"bindings"\s*:\s*\[')
AS_LINES = "write JSON lines, one object a line (pandas: to_json(FILE, orient='records', lines=True)), or an array"


def json_rows(path: Path, form: str, hint: str, bad: Bad) -> Generator[Row, None, None]:
    """JSON lines, or where the file begins with a bracket its array's objects, or the rows of a query's results."""
    with closing(text_lines(path, bad)) as given:
        number, line = begin(given)
        lines: Iterator[str] = itertools.chain([line], given)
        if line.lstrip().startswith("[") or form == ".json" or BINDINGS.search(line):
            text = _whole(path, itertools.chain(["\n"] * (number - 1), lines))
            if (place := _array_in(text, path)) is not None:
                yield from _array(text, place, path, hint, bad)
                return
            number, lines = 1, io.StringIO(text, newline="\n")
        for place, line in enumerate(lines, start=number):
            if line.strip():
                where = f"{path}:{place}"
                try:
                    values = _object(line, where, hint)
                except PtxError as error:
                    bad(error)
                else:
                    yield Row(where, values)


def parquet_rows(path: Path, hint: str) -> Generator[Row, None, None]:
    """Raises PtxError without the library, which comes with an extra, or for a file that it cannot read."""
    try:
        import pyarrow.parquet
    except ImportError:
        hint = "run `pip install pyarrow`, or save it as CSV or JSON lines"
        raise PtxError(f"{path}: Parquet needs the pyarrow library", hint) from None
    number = 0
    looked_at(path)
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(f"{path}:{number}", values)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise PtxError(f"{path}: no Parquet file that can be read ({shown(first_line(error))})", hint) from None


def _whole(path: Path, lines: Iterator[str]) -> str:
    parts, length = [], 0
    for line in lines:
        parts.append(line)
        length += len(line)
        if length > WHOLE:
            raise PtxError(f"{path}: more than {WHOLE >> 20} MB that have to be read at once", AS_LINES)
    return "".join(parts)


def _array_in(text: str, path: Path) -> int | None:
    """Where the array of rows begins; None if the text may be JSON lines. Raises PtxError for one object only."""
    place = _skip(text, 0)
    if text.startswith("[", place):
        return place
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    results = document.get("results") if isinstance(document, dict) else None
    if isinstance(results, dict) and isinstance(results.get("bindings"), list) and (found := BINDINGS.search(text)):
        return found.end() - 1
    if isinstance(document, dict) and "\n" in text.strip():
        raise PtxError(f"{path}: one JSON object, where a list of rows is needed", AS_LINES)
    return None


def _array(text: str, place: int, path: Path, hint: str, bad: Bad) -> Generator[Row, None, None]:
    """The objects of the array that begins at a place. Where it is no JSON, the rest cannot be known."""
    decoder = json.JSONDecoder()
    line, counted = 1, 0
    whole = place == _skip(text, 0)  # nothing may follow then
    place = _skip(text, place + 1)
    closed = text.startswith("]", place)
    while not closed:
        line, counted = line + text.count("\n", counted, place), place
        where = f"{path}:{line}"
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            bad(_no_json(error, where, hint))
            return
        if isinstance(value, dict):
            yield Row(where, {name: _of_query(each) for name, each in value.items()})
        else:
            bad(PtxError(f"{where}: not a JSON object", hint))
        place = _skip(text, place)
        closed = text.startswith("]", place)
        if not closed and not text.startswith(",", place):
            bad(PtxError(f"{where}: neither a comma nor the array's end behind this object", hint))
            return
        if not closed:
            place = _skip(text, place + 1)
    if whole and _skip(text, place + 1) < len(text):
        bad(PtxError(f"{path}:{line}: text behind the end of the array", hint))


def _of_query(value: Any) -> Any:
    """SPARQL's results wrap each value, with its type and language."""
    return value["value"] if isinstance(value, dict) and {"type", "value"} <= value.keys() else value


def _skip(text: str, place: int) -> int:
    found = BLANK.match(text, place)
    return found.end() if found else place


def _object(line: str, where: str, hint: str) -> dict[str, Any]:
    try:
        values = json.loads(line.rstrip())
    except (ValueError, RecursionError) as error:
        raise _no_json(error, where, hint) from None
    if not isinstance(values, dict):
        raise PtxError(f"{where}: not a JSON object", hint)
    return values


def _no_json(error: Exception, where: str, hint: str) -> PtxError:
    if isinstance(error, json.JSONDecodeError):
        return PtxError(f"{where}: not JSON ({error.msg}, column {error.colno})", hint)
    if isinstance(error, RecursionError):
        return PtxError(f"{where}: JSON nested too deeply", hint)
    return PtxError(f"{where}: not JSON ({error})", hint)  # a number of thousands of digits
