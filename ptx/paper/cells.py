"""A measured cell of the paper's tables and figures, and the models that stand in for the paper's."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ptx.errors import PtxError

Standins = Mapping[str, str | None]  # the paper's model -> the model actually run; None where there is none
Key = tuple[str, tuple[str, ...], str, str]  # method, sources, target, suite
Rows = tuple[tuple[float, ...], ...]  # [seeds][units]

CLASSIFICATION = {"topics": "topics", "sst2": "SST-2", "dbpedia": "DBpedia"}  # suite -> as printed
FACTUAL = "facts"  # in a Key, every suite that is not one of classification


@dataclass(frozen=True)
class Cell:
    """One number of a table or figure: a method, its sources and target as run, and the mean over tasks and seeds.

    `accuracy` (micro: mean over tasks) and `floor` (majority class) are fractions between 0 and 1. `settings` has
    what varies within an ablation, such as `{"encode.top_k": 512}` or `{"search.normalize": False}`.
    `scores`, `floors`, `losses` and `forecasts` are what these are means of, by seed and unit: a relation, or a text
    where there is one task of classification, which has no more to draw from. The published cells have none.
    """

    method: str  # random manual direct discretize projector relative tuned
    sources: tuple[str, ...]  # () for random, manual and tuned
    target: str
    suite: str
    accuracy: float
    tasks: int
    facts: int
    floor: float
    matching_loss: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    unit: Literal["relation", "text"] = "relation"
    units: tuple[str, ...] = ()
    scores: Rows = ()
    floors: Rows = ()
    losses: Rows = ()
    forecasts: Rows = ()  # what was to be expected, nan where nothing was
    seconds: float = 0.0  # of searching, for one prompt
    to_itself: bool = False  # the target is among the sources, under another name perhaps

    @property
    def self_transfer(self) -> bool:
        """Whether the prompt goes back to a model that it came from."""
        return self.to_itself or self.target in self.sources

    @property
    def deviation(self) -> float | None:
        """The sample deviation over seeds of the mean over units; None of one seed, and where none is drawn."""
        means = [math.fsum(row) / len(row) for row in self.scores]
        return statistics.stdev(means) if len(means) > 1 and self.method != "manual" else None

    @property
    def pair(self) -> str:
        return f"{' + '.join(map(short, self.sources))} → {short(self.target)}"


def short(model: str) -> str:
    """A model as it fits into a label: of a folder or a GGUF file, its name."""
    if model.endswith(".gguf"):
        return Path(model).stem.rpartition(":")[2]
    return Path(model).name if Path(model).is_absolute() or model.startswith(".") else model


def key(method: str, sources: Iterable[str], target: str, suite: str) -> Key:
    """A cell's place. The order of sources means nothing: they are combined by a sum (Eq. 7)."""
    return method, tuple(sorted(sources)), target, suite if suite in CLASSIFICATION else FACTUAL


def by_place(cells: Sequence[Cell]) -> dict[Key, Cell]:
    """Cells by method, sources, target and kind of suite. Raises PtxError if two claim one place."""
    places: dict[Key, Cell] = {}
    for cell in cells:
        place = key(cell.method, cell.sources, cell.target, cell.suite)
        if places.setdefault(place, cell) != cell:
            what = f"{cell.method} {cell.pair}" if cell.sources else f"{cell.method} on {cell.target}"
            hint = "compare them with `ptx table`: settings never share a table"
            raise PtxError(f"two results for one cell: {what}", hint)
    return places


def seeds_note(cells: Iterable[Cell]) -> list[str]:
    """That cells are means over several seeds, and over which."""
    seeds = sorted({seed for cell in cells for seed in cell.seeds})
    return [f"means over seeds {', '.join(map(str, seeds))}"] if len(seeds) > 1 else []


def deviation_note(cells: Sequence[Cell]) -> list[str]:
    """What ± means, where cells have it."""
    drawn = [len(cell.scores) for cell in cells if cell.deviation is not None]
    what = f"± is the sample standard deviation over n = {max(drawn, default=0)} seeds of the mean over tasks"
    return [f"{what}, and no interval over tasks"] if drawn else []


def is_miniature(standins: Standins) -> bool:
    """Whether other models were run than the paper's."""
    return any(run not in (None, name) for name, run in standins.items())


def named(model: str, standins: Standins) -> str:
    """The paper's model as it is printed: what was run and whom it stands for, "bert-micro (for bert-base)"."""
    run = standins.get(model)
    if run is None:
        return f"none (for {model})"
    return run if run == model else f"{short(run)} (for {model})"


def title(name: str, text: str, standins: Standins) -> str:
    """The title of "table1" or "figure4"."""
    return f"{name[:-1].title()} {name[-1]}{' in miniature' if is_miniature(standins) else ''}: {text}"
