"""The paper's own figures (Tables 1, 2, 3, 5 and 6), carried over number by number.

Wu, Wu and Mou, "Zero-Shot Continuous Prompt Transfer: Generalizing Task Semantics Across Language Models", ICLR 2024.
"""

import csv
import functools
from importlib import resources
from types import MappingProxyType
from typing import NamedTuple

FILE = "published.csv"
TABLES = (1, 2, 3, 5, 6)


class Place(NamedTuple):
    """A cell of a published table, by the paper's names of models. `sources` is () for random, manual and tuned."""

    method: str
    sources: tuple[str, ...]
    target: str
    metric: str  # "P@1", "sst2 accuracy" or "dbpedia accuracy"


@functools.cache
def published(table: int) -> MappingProxyType[Place, float]:
    """The percentages of one table, in the paper's order of rows and columns; empty for a table not carried over."""
    text = resources.files("ptx.paper").joinpath(FILE).read_text("utf-8")
    rows = [row for row in csv.DictReader(text.splitlines()) if int(row["table"]) == table]
    models = [tuple(filter(None, row["sources"].split("+"))) for row in rows]
    places = [Place(r["method"], m, r["target"], r["metric"]) for r, m in zip(rows, models, strict=True)]
    return MappingProxyType({p: float(r["percent"]) for p, r in zip(places, rows, strict=True)})
