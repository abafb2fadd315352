"""Tables with a separator: CSV and its dialects. The separator is the ending's, or else the one that the header shows.

Spreadsheets write semicolons where the comma is the decimal sign, tabs into .txt, and `sep=;` above a header.
"""

import csv
import itertools
import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from ptx.errors import PtxError, shown
from ptx.suites.lines import Bad, Remark, text_lines
from ptx.suites.rows import NoColumn, Row

Dialect = Mapping[str, Any]
NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
COMMA, SEMICOLON, TAB, BAR = ({"delimiter": sign} for sign in NAMES)
BARE_TAB: Dialect = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
# By ending: the usual dialect, and others, of which the first is taken whose header has the required columns.
TABLES: Mapping[str, Sequence[Dialect]] = {
    ".csv": (COMMA, SEMICOLON, TAB, BAR), ".tsv": (BARE_TAB, TAB, SEMICOLON, COMMA, BAR),
}  # fmt: skip
OTHERS: Sequence[Dialect] = (TAB, SEMICOLON, COMMA, BAR)


def table_rows(
    path: Path, form: str, required: Sequence[str], optional: Sequence[str], hint: str, columns: Sequence[str], bad: Bad
) -> Generator[Row, None, None]:
    """The rows below a header, or with `columns` perhaps without one. See reading.py."""
    names = list(columns)
    with closing(text_lines(path, bad)) as lines:
        above, line = begin(lines)
        choices = TABLES.get(form, OTHERS)
        if said := re.fullmatch(r'"?sep=([^\w\s"]|\t)"?[\r\n]*', line):  # Excel's own way to name the separator
            choices = [{"delimiter": said[1]}]
            more, line = begin(lines)
            above += more
        dialect = next((each for each in choices if _has(_fields(line, each), required)), choices[0])
        if dialect is not choices[0]:
            bad(Remark(str(path), f"{NAMES[dialect['delimiter']]} separate its columns{_quoted(dialect, choices[0])}"))
        blanks = bool(re.search(rf"{re.escape(dialect['delimiter'])} ", line)) and not columns
        reader = csv.reader(itertools.chain([line], lines), strict=True, skipinitialspace=blanks, **dialect)
        start = above  # where the next row begins: a quoted field may run over several lines
        first = True
        try:
            for fields in reader:
                where, start = f"{path}:{start}", reader.line_num + above
                if not "".join(fields).strip():  # spreadsheets write separators for empty rows, too
                    continue
                if first and (not columns or _has(fields, required)):
                    names, columns = [field.strip() for field in fields], ()
                    _check_header(names, required, optional, where, hint)
                elif len(fields) > len(names):
                    named = shown(", ".join(names))
                    bad(PtxError(f"{where}: {len(fields)} fields, but {len(names)} columns ({named})", hint))
                else:
                    yield Row(where, dict(zip(names, fields, strict=False)), named=not columns)
                first = False
        except csv.Error as error:
            what = f"{error}; is a quote not closed?" if "field limit" in str(error) else str(error)
            if what.startswith("new-line"):  # Excel's CSV for the Macintosh
                what, hint = what.partition(" - ")[0], f"end lines otherwise: tr '\\r' '\\n' < {path} > NEW"
            bad(PtxError(f"{path}:{start}: {what}", hint))


def begin(lines: Iterator[str]) -> tuple[int, str]:
    """The first line that is not blank, and the lines up to it; without one, an empty line."""
    number = 0
    for number, line in enumerate(lines, start=1):
        if line.strip():
            return number, line
    return number + 1, ""


def folded(fields: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """Which fields stand for names that are not there: those that differ from one in letter case or blanks only."""
    fields = list(fields)
    missing = {name.casefold(): name for name in names if name not in fields}
    return {field: missing.pop(meant) for field in fields if (meant := field.strip().casefold()) in missing}


def _fields(line: str, dialect: Dialect) -> list[str]:
    try:
        return next(csv.reader([line], strict=True, skipinitialspace=True, **dialect), [])
    except csv.Error:
        return []


def _has(fields: Sequence[str], required: Sequence[str]) -> bool:
    return set(required) <= {*fields, *folded(fields, required).values()}


def _quoted(dialect: Dialect, usual: Dialect) -> str:
    return ", and quotes are read as in CSV" if dialect is TAB and usual is BARE_TAB else ""


def _check_header(
    fields: Sequence[str], required: Sequence[str], optional: Sequence[str], where: str, hint: str
) -> None:
    if not _has(fields, required):
        name = next(name for name in required if name not in {*fields, *folded(fields, required).values()})
        labels = [field for field in fields if field.endswith("Label")]  # Wikidata's query service calls them so
        if fields[0].startswith("?"):
            hint = f"this is SPARQL's TSV, which marks texts: fetch the results as CSV or JSON, and {hint}"
        hint += f" (perhaps {shown(' and '.join(labels))})" if labels else ""
        raise NoColumn(f"{where}: no column {name!r} in {shown(', '.join(fields))}", hint)
    for name in (*required, *optional):
        if fields.count(name) > 1:
            raise PtxError(f"{where}: {fields.count(name)} columns {name!r}", "give each column a name of its own")
