"""The results table: rows of methods and sources, columns of targets, as in the paper's Table 3.

Evaluations that differ in any setting never share a table. The paper's words: *micro* is the mean of the tasks'
accuracies, *macro* the accuracy over pooled facts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ptx.lms.models import STAND_INS
from ptx.results.collect import LEFT_OUT, Result, comparable, newest
from ptx.results.sheet import Item, Page, Sheet
from ptx.stages.methods import METHODS, method_named
from ptx.stages.search import spelled

if TYPE_CHECKING:
    import pandas as pd

ROWS = {"floor": "majority class", **{name: method_named(name).title or name for name in METHODS}}
# Figures shown, each as a grid of its own: name, title, factor, decimals.
FIGURES = (
    ("micro", "P@1 in %, mean over tasks (micro)", 100.0, 1),
    ("macro", "P@1 in %, over pooled facts (macro)", 100.0, 1),
    ("matching_loss", "Matching loss: 1 - cosine of relative representations", 1.0, 3),
    ("search_loss", "Matching loss that the search attained, before Eq. 6", 1.0, 3),
)
LABELLED = "the step or epoch was chosen on LABELLED TARGET dev facts; this is not zero-shot transfer"
LABELS = ("task", "method", "sources")  # the columns before the targets


def tables(
    results: Sequence[Result], *, by: str = "method", warn: Callable[[str], None] = lambda text: None
) -> list[Page]:
    """One table for each differing setting."""
    groups = comparable(newest(results, warn))
    settings = [shared for shared, _ in groups]
    common = {n for n in settings[0] if all(s.get(n) == settings[0][n] for s in settings)} if settings else set()
    return [_table(of, shared, common, by) for shared, of in groups]


def _table(results: Sequence[Result], settings: Mapping[str, Any], common: set[str], by: str) -> Page:
    import pandas as pd

    names = _source_names(results)
    frame = pd.DataFrame([_record(result, name) for result, name in zip(results, names, strict=True)])
    models = {name: result.place for result, name in zip(results, names, strict=True)} | {"": []}
    keys = ["method", "sources", "target"] + (["task"] if by == "task" else [])
    per_seed = frame.groupby([*keys, "seed"], sort=False).agg(
        micro=("accuracy", "mean"), correct=("correct", "sum"), facts=("facts", "sum"), dropped=("dropped", "sum"),
        tasks=("task", "nunique"), floor=("floor", "mean"),
        matching_loss=("matching_loss", "mean"), search_loss=("search_loss", "mean"),
    )  # fmt: skip
    per_seed["macro"] = per_seed["correct"] / per_seed["facts"]
    varying = ("micro", "macro", "matching_loss", "search_loss")
    figures = {name: (name, "mean") for name in (*varying, "floor")}
    spread = {f"{name}_std": (name, "std") for name in varying}
    whole = {name: (name, "max") for name in ("tasks", "facts", "dropped")}
    cells = per_seed.groupby(keys, sort=False).agg(**figures, **spread, **whole, seeds=("micro", "size")).reset_index()
    cells = pd.concat([cells, _floors(frame, keys)], ignore_index=True)
    records = sorted(rows_of(cells), key=lambda row: _order(row, models[row["sources"]], by))
    tasks, facts = frame["task"].nunique(), int(frame.drop_duplicates(["task"])["facts"].sum())
    title = f"{settings['suite']}, {settings['split']} split: {tasks} tasks, {facts} facts"
    own = {name: value for name, value in settings.items() if name not in common}
    notes = [f"with {_spell(own)}"] if own else []
    if settings.get("search.select") == "dev":
        notes.append(LABELLED)
    if any(row["tasks"] != tasks for row in records) and by == "method":
        notes.append(f"(n): the cell covers n of the {tasks} tasks; compare it with care")
    if max(row["seeds"] or 1 for row in records) > 1:
        notes.append("mean and standard deviation over seeds")
    whole_tasks = tasks if by == "method" else 1
    sheets = [sheet for figure in FIGURES if (sheet := _sheet(records, figure, whole_tasks))]
    special = {n: v for n, v in settings.items() if (last := n.split(".")[-1]) not in LEFT_OUT or v != LEFT_OUT[last]}
    shown = {"suite": settings["suite"], "split": settings["split"], "settings": _spell(special)}
    return Page(title, notes, [{**shown, **row} for row in records], sheets)


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A frame's rows by the names of columns, None where a value is missing."""
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def _source_names(results: Sequence[Result]) -> list[str]:
    """How the sources of every result are written: in the order in which they were first named, and with as many digits
    of unequal weights as tell the rows apart."""
    places = [tuple(result.place) for result in results]
    first = {place: result.labels for place, result in zip(places[::-1], results[::-1], strict=True)}
    names: dict[Any, str] = {}
    for digits in range(2, 18):
        names = {place: spelled(of["sources"], of.get("weights", ()), digits) for place, of in first.items()}
        if len(set(names.values())) == len(names):
            break
    return [names[place] for place in places]


def _record(result: Result, sources: str) -> dict[str, Any]:
    labels, metrics = result.labels, result.metrics
    return {
        "method": labels["method"], "sources": sources, "target": labels["target"],
        "task": labels["task"], "seed": labels.get("seed", 0), "matching_loss": None, "search_loss": None,
        **{name: value for name, value in metrics.items() if not isinstance(value, list)},
        "floor": math.nan if metrics["floor"] is None else metrics["floor"],
    }  # fmt: skip


def _floors(frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """The majority-class floor of every column, as one more row."""
    import pandas as pd

    once = frame[frame["floor"].notna()].drop_duplicates(["target", "task"])  # a test set alone has no floor
    rows = []
    for key, of in once.groupby(list(keys[2:]), sort=False):
        values = key if isinstance(key, tuple) else (key,)
        rows.append(
            dict(zip(keys[2:], values, strict=True))
            | {"method": "floor", "sources": "", "micro": of["floor"].mean(), "floor": of["floor"].mean()}
            | {"macro": (of["floor"] * of["facts"]).sum() / of["facts"].sum()}
            | {"tasks": len(of), "facts": of["facts"].sum(), "dropped": of["dropped"].sum(), "seeds": 1}
        )
    return pd.DataFrame(rows)


def _order(row: Mapping[str, Any], sources: Sequence[tuple[str, float | None]], by: str) -> tuple[Any, ...]:
    task = (len(row["task"]), row["task"]) if by == "task" else ()
    models = sorted(_model_order(name) for name, _ in sources), _model_order(row["target"])
    weights = [weight or 0.0 for _, weight in sources]
    return (task, [*ROWS].index(row["method"]), len(sources), *models, weights)


def _model_order(name: str) -> tuple[int, str]:
    """The paper's order of models: BERT, RoBERTa, ALBERT, GPT-2, the smaller first; others by name."""
    known = [*STAND_INS, *(run for run in STAND_INS.values() if run)]
    return (known.index(name), name) if name in known else (len(known), name)


def _sheet(records: Sequence[Mapping[str, Any]], figure: tuple[str, str, float, int], tasks: int) -> Sheet | None:
    """One figure as text cells; None if no record has it."""
    name, title, factor, decimals = figure
    present = [row for row in records if row.get(name) is not None]
    if not present:
        return None
    targets = sorted({row["target"] for row in present}, key=_model_order)
    lead = [label for label in LABELS if label in present[0]]
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for row in present:
        label = tuple(ROWS[row[n]] if n == "method" else str(row[n]) for n in lead)
        cell = f"{round(factor * row[name], decimals) + 0.0:.{decimals}f}"  # + 0.0: never "-0.0"
        if row.get(f"{name}_std") is not None:
            cell += f" ± {factor * row[f'{name}_std']:.{decimals}f}"
        if row["tasks"] != tasks:
            cell += f" ({row['tasks']})"
        rows.setdefault(label, {})[row["target"]] = cell
    body = [[*map(Item, label), *(Item(cells.get(target, "")) for target in targets)] for label, cells in rows.items()]
    return Sheet(name, title, [], len(lead), [*lead, *targets], body, [])


def _spell(settings: Mapping[str, Any]) -> str:
    if settings.get("tune.dtype") == settings.get("eval.dtype"):
        settings = {name: value for name, value in settings.items() if name != "tune.dtype"}
    short = {name: str(value)[:12] if name == "words" else value for name, value in settings.items()}  # a key
    return ", ".join(f"{name.split('.')[-1]} {value}" for name, value in sorted(short.items()))
