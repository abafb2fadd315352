"""Results as pandas frames: rows with what matters first, and tables as a terminal shows them, but of numbers."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ptx.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from ptx.results.sheet import Page, Sheet

FIRST = ("model", "sources", "target", "method", "suite", "task")  # of rows for which nobody says what matters
LAST = ("stage", "reused", "cache", "seconds", "path")  # how a row came about
# A number in a sheet, and what may stand behind it: its deviation, how many tasks it covers, the paper's number.
NUMBER = re.compile(r"(-?[\d,]*\.?\d+)( ± .*)?( ?†)?( \(\d+\))?( ?\[.*\])?")


def frame(rows: Sequence[Mapping[str, Any]], first: Sequence[str] = FIRST) -> "pd.DataFrame":
    """Rows, of several stages perhaps, with the columns `first` and the key in front: whole numbers stay whole where
    some rows have none."""
    import pandas as pd

    made = pd.DataFrame(rows)
    for name in made.columns:
        values = [row[name] for row in rows if row.get(name) is not None]
        if 0 < len(values) < len(rows) and all(type(value) is int for value in values):
            made[name] = made[name].astype("Int64")
    front = [name for name in (*first, "key") if name in made.columns]
    back = [name for name in LAST if name in made.columns and name not in front]
    return made[[*front, *(name for name in made.columns if name not in (*front, *back)), *back]]


def grid(pages: Sequence["Page"], figure: str = "") -> "pd.DataFrame":
    """One figure of tables as they are shown, the first by default: what names a row is the index. Of several tables
    the title is one more level of it; titles and notes are in `attrs`.

    Raises UsageError if no table has that figure.
    """
    import pandas as pd

    figures = list(dict.fromkeys(sheet.name for page in pages for sheet in page.sheets))
    asked = figure or figures[0]
    found = [(page, sheet) for page in pages for sheet in page.sheets if sheet.name == asked]
    if not found:
        raise UsageError(f"no figure {figure!r} in these tables", f"there are {', '.join(figures)}")
    titles = [": ".join(filter(None, ["; ".join(page.head), sheet.title])) for page, sheet in found]
    frames = [_of_sheet(sheet) for _, sheet in found]
    whole = frames[0] if len(frames) == 1 else pd.concat(frames, keys=titles, names=["table", *frames[0].index.names])
    whole.attrs = {"titles": titles, "notes": [note for _, sheet in found for note in sheet.notes]}
    return whole


def _of_sheet(sheet: "Sheet") -> "pd.DataFrame":
    import pandas as pd

    columns = [_column([row[n].text for row in sheet.rows]) for n in range(len(sheet.header))]
    rows = pd.MultiIndex.from_arrays(columns[: sheet.labels], names=[*sheet.header[: sheet.labels]])
    values = dict(enumerate(columns[sheet.labels :]))  # two models may have one name
    made = pd.DataFrame(values, index=rows if sheet.labels > 1 else rows.get_level_values(0))
    return made.set_axis(list(sheet.header[sheet.labels :]), axis="columns")


def _column(texts: Sequence[str]) -> list[Any]:
    """Numbers, without one where nothing stands, if there are no other texts; whole ones if all are."""
    found = [NUMBER.fullmatch(text.strip()) for text in texts]
    if any(text.strip() and not number for text, number in zip(texts, found, strict=True)) or not any(found):
        return [*texts]
    plain = [number[1].replace(",", "") if number else "nan" for number in found]
    return [int(text) for text in plain] if all(map(str.isdecimal, plain)) else [float(text) for text in plain]
