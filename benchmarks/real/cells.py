"""What is measured, as cells, and asking ptx for one: `ptx.eval` with the defaults of this checkout."""

from __future__ import annotations

import contextlib
import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ptx.errors import PtxError

# The relations of the first trials on these models, which transfers are compared on.
TWELVE = ("P103", "P1412", "P159", "P17", "P19", "P20", "P30", "P364", "P37", "P407", "P495", "P740")
# Further settings under which a method is tried, beside its defaults.
VARIANTS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "relative": ({"mask": "source"}, {"top_k": "all"}, {"ridge": "gcv"}),
    "auto": ({"refine": 0},),
}
EXPECTED = ("auto", "distil")  # on dev facts, too: what is to be expected of them is told by inputs of that kind
OWN = ("tuned", "manual")  # on dev and test facts of every relation; all else on test facts, where transfers are shown


@dataclass(frozen=True)
class Place:
    """Where things are: the folders of the models by name, the suite, the cache, the key of the shared words; and what
    is not left at its default."""

    models: Mapping[str, str]
    suite: str
    cache: str
    anchors: str
    options: Mapping[str, Any] = field(default_factory=dict)
    device: str = "cpu"


@dataclass(frozen=True)
class Cell:
    """One evaluation of a method on a target, from a source or (empty) none."""

    target: str
    method: str
    task: str
    split: str
    source: str = ""
    options: tuple[tuple[str, str], ...] = ()

    @property
    def row(self) -> str:
        """The method as tables name it."""
        return ", ".join([self.method, *(f"{name.replace('_', '-')} {value}" for name, value in self.options)])

    def __str__(self) -> str:
        return f"{self.source} > {self.target}" * bool(self.source) or self.target


@dataclass(frozen=True)
class Score:
    """What a cell came to: P@1 as a fraction, and what always answering with the most frequent train object gives.

    `tuning` are the folders of the tunings behind it; `expected` is the forecast, None where there is none.
    """

    accuracy: float
    floor: float
    facts: int
    folder: Path
    tuning: tuple[Path, ...]
    expected: float | None = None


def home(target: str, counts: Mapping[str, Mapping[str, int]]) -> Iterator[Cell]:
    """The prompt tuned on a model, and the manual template, on dev and test facts: relation by relation."""
    for task, numbers in counts.items():
        for method in OWN:
            for split in ("dev", "test"):
                if numbers[split]:
                    yield Cell(target, method, task, split)


def moved(target: str, source: str, tasks: Sequence[str], place: Place) -> Iterator[Cell]:
    """Every other method that ptx offers, those with sources from `source`."""
    from ptx.stages.methods import method_named, offered

    for name in offered():
        method = method_named(name)
        if name in OWN or not method.exists(
            [place.models[source]] if method.sources != 0 else [], place.models[target]
        ):
            continue
        for options in ({}, *VARIANTS.get(name, ())):
            given = tuple(sorted(options.items()))
            for split, task in itertools.product(("test", "dev") if name in EXPECTED else ("test",), tasks):
                yield Cell(target, name, task, split, source if method.sources != 0 else "", given)


def ask(cell: Cell, place: Place, tell: Callable[[str], None], *, dry_run: bool = False) -> Score | None:
    """A cell's score; in a dry run None if it is not in the cache. Raises PtxError."""
    rows = _evaluated([cell], place, tell, dry_run)
    own = next(row for row in rows if row["stage"] == "eval")
    if math.isnan(own.get("accuracy", math.nan)):
        return None
    tuning = tuple(Path(row["path"]) for row in rows if row["stage"] == "tune")
    forecast = own.get("forecast", math.nan)
    expected = None if math.isnan(forecast) else forecast
    return Score(own["accuracy"], own["floor"], int(own["facts"]), Path(own["path"]), tuning, expected)


def build(cells: Sequence[Cell], place: Place) -> None:
    """Put cells that differ in their relation alone into the cache, in one command: what serves all relations of a pair
    of models is then done once. What fails is left to be asked for by itself."""
    with contextlib.suppress(PtxError):
        _evaluated(cells, place, lambda text: None)


def _evaluated(
    cells: Sequence[Cell], place: Place, tell: Callable[[str], None], dry_run: bool = False
) -> list[dict[str, Any]]:
    import ptx

    cell = cells[0]
    options: dict[str, Any] = {**place.options, **dict(cell.options)}
    if cell.source:
        options["sources"] = [place.models[cell.source]]
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        frame = ptx.eval(
            target=place.models[cell.target], method=cell.method, suite=place.suite, tasks=[c.task for c in cells],
            split=cell.split, anchors=place.anchors, cache_dir=place.cache, device=place.device, dry_run=dry_run,
            upstream=True, **options,
        )  # fmt: skip
    for text in dict.fromkeys(str(warning.message) for warning in warned):
        tell(f"{cell} {cell.row} {cell.task}: {text}")
    rows: list[dict[str, Any]] = frame.to_dict("records")
    return rows


def halves(tasks: Sequence[str]) -> tuple[list[str], list[str]]:
    """The half of the relations on which settings are chosen, and the one they are reported on: in sorted order, those
    at even places and those at odd ones."""
    ordered = sorted(tasks)
    return ordered[0::2], ordered[1::2]
