"""The data behind the paper's Figures 2, 3 and 4, in long form and as a table of text. No drawing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ptx.errors import PtxError, UsageError
from ptx.paper.cells import Cell, Standins, named, seeds_note, short, title
from ptx.results.sheet import Item, Sheet

if TYPE_CHECKING:
    import pandas as pd

STEPS, NORMALIZE = "search.steps", "search.normalize"
TOP_K, COUNT, LENGTH = "encode.top_k", "anchors.count", "tune.prompt_length"
BY_TOP_K, BY_COUNT, BY_LENGTH = "top-k of all anchors", "anchors drawn at random", "prompt length"
TITLES = {
    "figure2": "accuracy against matching loss along Adam's path",
    "figure3": "mapping mean and standard deviation (Eq. 6), with and without",
    "figure4": "the number of anchors and the length of the prompt",
}


def frame(name: str, cells: Sequence[Cell], *, anchors: int | None = None) -> pd.DataFrame:
    """One row per cell, pairs in the order given: sources, target, suite, self_transfer, series, x, percent and more.

    `x` is the matching loss of the prompts that are scored, so after Eq. 6 (figure2), 1 or 0 for with or without Eq. 6
    (figure3), or the number that varies (figure4), where "all" counts as `anchors`, or as infinite without it. Raises
    PtxError where there are no cells, UsageError for another name.
    """
    import pandas as pd

    if name not in TITLES:
        raise UsageError(f"no figure named {name!r}", f"choose one of {', '.join(TITLES)}")
    rows = [row for cell in cells for row in _rows(name, cell, math.inf if anchors is None else anchors)]
    if not rows:
        raise PtxError(f"no cells of {name} are in the cache", f"run `ptx run {name}`")
    pairs = list(dict.fromkeys((row["sources"], row["target"]) for row in rows))
    rows.sort(key=lambda row: (pairs.index((row["sources"], row["target"])), row["series"], row.get("steps", row["x"])))
    data = pd.DataFrame(rows)
    if name == "figure4":  # more than there are is all of them
        data = data.drop_duplicates(["sources", "target", "suite", "series", "x"], keep="last", ignore_index=True)
    return data


def ordered(cells: Sequence[Cell], standins: Standins) -> list[Cell]:
    """Cells in the order in which `standins` names the models: sources first, single ones before several."""
    runs = list(standins.values())

    def rank(model: str) -> tuple[int, str]:
        return (runs.index(model) if model in runs else len(runs), model)

    return sorted(cells, key=lambda cell: (len(cell.sources), [*map(rank, cell.sources)], rank(cell.target)))


def points(name: str, cell: Cell, anchors: float) -> list[tuple[str, float]]:
    """Where a cell stands in a figure, as (series, x)."""
    if name == "figure2" and STEPS in cell.settings and cell.matching_loss is not None:
        return [(cell.pair, cell.matching_loss)]
    if name == "figure3" and NORMALIZE in cell.settings:
        return [("with Eq. 6" if cell.settings[NORMALIZE] else "without", float(cell.settings[NORMALIZE]))]
    return [(series, min(x, anchors)) for series, x in _ablations(cell.settings)] if name == "figure4" else []


def _rows(name: str, cell: Cell, anchors: float) -> list[dict[str, Any]]:
    steps = {"steps": int(cell.settings[STEPS])} if name == "figure2" and STEPS in cell.settings else {}
    return [
        {
            "figure": name, "sources": "+".join(map(short, cell.sources)), "target": short(cell.target),
            "suite": cell.suite, "self_transfer": cell.self_transfer, "series": series, **steps, "x": x,
            "percent": round(100 * cell.accuracy, 4), "floor": round(100 * cell.floor, 4),
            "matching_loss": math.nan if cell.matching_loss is None else cell.matching_loss,
            "tasks": cell.tasks, "facts": cell.facts,
        }
        for series, x in points(name, cell, anchors)
    ]  # fmt: skip


def _ablations(settings: Mapping[str, Any]) -> list[tuple[str, float]]:
    """The curves of Figure 4 that a cell is on. All anchors, none cut: the point where the two curves meet."""

    def number(value: Any) -> float:
        return math.inf if value in ("all", None) else float(value)

    if not math.isinf(number(settings.get(COUNT))):
        return [(BY_COUNT, number(settings[COUNT]))]
    if TOP_K in settings:
        both = [BY_COUNT] if math.isinf(number(settings[TOP_K])) else []
        return [(series, number(settings[TOP_K])) for series in [BY_TOP_K, *both]]
    return [(BY_LENGTH, float(settings[LENGTH]))] if LENGTH in settings else []


def models_note(cells: Sequence[Cell], standins: Standins) -> str:
    """Every model of the cells as run, with whom it stands for, in the order given; and the seeds, if several."""
    paper = {run: name for name, run in standins.items() if run is not None}
    models = dict.fromkeys(model for cell in cells for model in (*cell.sources, cell.target))
    names = "Models: " + ", ".join(named(paper[run], standins) if run in paper else short(run) for run in models)
    return "; ".join([names, *seeds_note(cells)])


def figure_table(name: str, cells: Sequence[Cell], standins: Standins, *, anchors: int | None = None) -> Sheet:
    """A figure as a table: means over all pairs, over self-transfer and across models; figure3 also pair by pair."""
    cells = ordered(cells, standins)
    data = frame(name, cells, anchors=anchors)
    labels, header, rows = {"figure2": _by_steps, "figure3": _by_pair, "figure4": _by_x}[name](data)
    body = [[Item(text) for text in row] for row in rows]
    note = models_note(cells, standins)
    return Sheet(name, title(name, TITLES[name], standins), [note], labels, header, body, rows_of(data))


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A frame's rows by the names of columns, None where a value is missing."""
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def _groups(data: pd.DataFrame) -> list[pd.DataFrame]:
    return [data, data[data["self_transfer"]], data[~data["self_transfer"]]]


def _mean(values: pd.Series[float], decimals: int = 1) -> str:
    return f"{values.mean():.{decimals}f}" if len(values) else ""


def _by_steps(data: pd.DataFrame) -> tuple[int, list[str], list[list[str]]]:
    header = ["steps", "loss, self-transfer", "%, self-transfer", "loss, across models", "%, across models"]
    rows = []
    for steps, at in data.groupby("steps"):
        figures = [text for g in _groups(at)[1:] for text in (_mean(g["x"], 3), _mean(g["percent"]))]
        rows.append([str(steps), *figures])
    return 1, header, rows


def _by_pair(data: pd.DataFrame) -> tuple[int, list[str], list[list[str]]]:
    wide = data.pivot_table(index=["self_transfer", "sources", "target"], columns="x", values="percent", sort=False)
    wide = wide.reindex(columns=[0.0, 1.0]).dropna().reset_index()  # a pair counts when both bars are there
    rows = []
    for own, name in ((True, "mean of self-transfer"), (False, "mean across models")):
        part = wide[wide["self_transfer"] == own]
        pairs = [(f"{r['sources']} → {r['target']}", r[0.0], r[1.0]) for _, r in part.iterrows()]
        if len(part):
            pairs.append((name, part[0.0].mean(), part[1.0].mean()))
        rows += [[pair, f"{off:.1f}", f"{on:.1f}", f"{on - off:+.1f}"] for pair, off, on in pairs]
    return 1, ["pair", "% without", "% with Eq. 6", "difference"], rows


def _by_x(data: pd.DataFrame) -> tuple[int, list[str], list[list[str]]]:
    rows = []
    for (series, x), at in data.groupby(["series", "x"]):
        value = "all" if x == math.inf else f"{x:,.0f}"
        rows.append([str(series), value, *(_mean(group["percent"]) for group in _groups(at))])
    return 2, ["varied", "value", "%, all pairs", "%, self-transfer", "%, across models"], rows
