"""The results table: rows of methods and sources, columns of targets, as in the paper's Table 3.

Evaluations that differ in any setting never share a table. The paper's words: *micro* is the mean of the tasks'
accuracies, *macro* the accuracy over pooled facts.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ptx.lms.models import STAND_INS
from ptx.media import counted
from ptx.results.collect import LEFT_OUT, Result, apart, comparable
from ptx.results.sheet import Item, Page, Sheet
from ptx.stages.methods import METHODS, method_named
from ptx.stages.search import spelled

Record = dict[str, Any]
ROWS = {"floor": "majority class", **{name: method_named(name).title or name for name in METHODS}}
HOW = {"agree": ", by agreement (unlabelled inputs)", "forecast": ", with a forecast (unlabelled inputs)"}
# Figures shown, each as a grid of its own: name, title, factor, decimals.
FIGURES = (
    ("micro", "P@1 in %, mean of tasks", 100.0, 1),
    ("macro", "P@1 in %, pooled facts", 100.0, 1),
    ("forecast", "P@1 in % that was to be expected, by agreement; mean of tasks", 100.0, 1),
    ("matching_loss", "Matching loss: 1 - cosine of relative representations", 1.0, 3),
    ("search_loss", "Matching loss that the search attained, before Eq. 6", 1.0, 3),
)
VARYING = tuple(name for name, *_ in FIGURES)  # over seeds
OPTIONAL = ("forecast", "forecast_std")  # columns of records where any has them
LABELLED = "the step or epoch was chosen on LABELLED TARGET dev facts; this is not zero-shot transfer"
LABELS = ("task", "method", "sources")  # the columns before the targets


def tables(
    results: Sequence[Result], *, by: str = "method", warn: Callable[[str], None] = lambda text: None,
    keys: bool = False,
) -> list[Page]:  # fmt: skip
    """One table for each differing setting; with `keys`, also which evaluations each cell is of."""
    groups = comparable(apart(results, warn))
    settings = [shared for shared, _ in groups]
    common = {n for n in settings[0] if all(s.get(n) == settings[0][n] for s in settings)} if settings else set()
    return [_table(of, shared, common, by, keys) for shared, of in groups]


def _table(results: Sequence[Result], settings: Mapping[str, Any], common: set[str], by: str, keys: bool) -> Page:
    names = source_names(results)
    evaluated = [_record(result, name) for result, name in zip(results, names, strict=True)]
    models = {name: result.place for result, name in zip(results, names, strict=True)} | {"": []}
    place = ["method", "sources", "target"] + (["task"] if by == "task" else [])
    cells = [_cell(key, rows) for key, rows in _grouped(evaluated, place)]
    records = sorted([*cells, *_floors(evaluated, place)], key=lambda row: _order(row, models[row["sources"]], by))
    if all(row["forecast"] is None for row in records):
        records = [{name: value for name, value in row.items() if name not in OPTIONAL} for row in records]
    once = {row["task"]: row["facts"] for row in reversed(evaluated)}
    tasks, facts = len(once), sum(once.values())
    title = f"{settings['suite']}, {settings['split']} split: {counted(tasks, 'task')}, {counted(facts, 'fact')}"
    own = {name: value for name, value in settings.items() if name not in common}
    notes = [f"with {_spell(own)}"] if own else []
    if settings.get("search.select") == "dev":
        notes.append(LABELLED)
    if any(row["tasks"] != tasks for row in records) and by == "method":
        notes.append(f"(n): the cell covers n of the {counted(tasks, 'task')}; compare it with care")
    if max(row["seeds"] or 1 for row in records) > 1:
        notes.append("mean and standard deviation over seeds")
    whole_tasks = tasks if by == "method" else 1
    sheets = [sheet for figure in FIGURES if (sheet := _sheet(records, figure, whole_tasks))]
    if keys:
        sheets.append(_keys(evaluated, models))
        of = {tuple(key.values()): [row["key"] for row in rows] for key, rows in _grouped(evaluated, place)}
        records = [{**row, "keys": of.get(tuple(row[name] for name in place), [])} for row in records]
    special = {n: v for n, v in settings.items() if (last := n.split(".")[-1]) not in LEFT_OUT or v != LEFT_OUT[last]}
    shown = {"suite": settings["suite"], "split": settings["split"], "settings": _spell(special)}
    return Page(title, notes, [{**shown, **row} for row in records], sheets)


def _grouped(rows: Sequence[Record], keys: Sequence[str]) -> list[tuple[Record, list[Record]]]:
    """Rows by the values of some columns, in the order of their first ones. (Not pandas': loading it takes longer than
    all else that a table from the cache needs.)"""
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return [(dict(zip(keys, values, strict=True)), of) for values, of in groups.items()]


def _cell(key: Record, rows: Sequence[Record]) -> Record:
    """Means over tasks, then mean and standard deviation over seeds."""
    seeds = [
        {
            "micro": _mean(row["accuracy"] for row in of),
            "macro": sum(row["correct"] for row in of) / sum(row["facts"] for row in of),
            "matching_loss": _mean(row["matching_loss"] for row in of),
            "search_loss": _mean(row["search_loss"] for row in of),
            "forecast": _mean(row["forecast"] for row in of),
            "floor": _mean(row["floor"] for row in of),
            "tasks": len({row["task"] for row in of}),
            "facts": sum(row["facts"] for row in of),
            "dropped": sum(row["dropped"] for row in of),
        }
        for _, of in _grouped(rows, ["seed"])
    ]
    means = {name: _mean(seed[name] for seed in seeds) for name in (*VARYING, "floor")}
    spread = {f"{name}_std": _std([seed[name] for seed in seeds]) for name in VARYING}
    whole = {name: max(seed[name] for seed in seeds) for name in ("tasks", "facts", "dropped")}
    return {**key, **means, **spread, **whole, "seeds": len(seeds)}


def _mean(values: Iterable[float | None]) -> float | None:
    """Of those that there are."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _std(values: Sequence[float | None]) -> float | None:
    """The sample's; None of fewer than two."""
    known = [value for value in values if value is not None]
    return statistics.stdev(known) if len(known) > 1 else None


def source_names(results: Sequence[Result]) -> list[str]:
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
        "method": "+".join(filter(None, [labels["method"], labels.get("how", "")])), "sources": sources,
        "target": labels["target"], "task": labels["task"], "seed": labels.get("seed", 0), "key": result.artifact.key,
        "matching_loss": None, "search_loss": None, "forecast": None,
        **{name: value for name, value in metrics.items() if not isinstance(value, list)},
    }  # fmt: skip


def _floors(rows: Sequence[Record], keys: Sequence[str]) -> list[Record]:
    """The majority-class floor of every column, as one more row."""
    known = [row for row in rows if row["floor"] is not None]  # a test set alone has no floor
    once = [of[0] for _, of in _grouped(known, ["target", "task"])]
    blank = dict.fromkeys([*VARYING, "floor", *(f"{name}_std" for name in VARYING)])
    return [
        {"method": "floor", "sources": "", **key, **blank}
        | dict.fromkeys(["micro", "floor"], _mean(row["floor"] for row in of))
        | {"macro": math.fsum(row["floor"] * row["facts"] for row in of) / sum(row["facts"] for row in of)}
        | {"tasks": len(of), "facts": sum(row["facts"] for row in of)}
        | {"dropped": sum(row["dropped"] for row in of), "seeds": 1}
        for key, of in _grouped(once, keys[2:])
    ]


def row_title(method: str) -> str:
    """A row's name, with a mark for what a choice among variants used."""
    name, _, how = method.partition("+")
    return ROWS[name] + HOW.get(how, "")


def _order(row: Mapping[str, Any], sources: Sequence[tuple[str, float | None]], by: str) -> tuple[Any, ...]:
    task = (len(row["task"]), row["task"]) if by == "task" else ()
    models = sorted(_model_order(name) for name, _ in sources), _model_order(row["target"])
    weights = [weight or 0.0 for _, weight in sources]
    method, _, how = row["method"].partition("+")
    return (task, [*ROWS].index(method), how, len(sources), *models, weights)


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
        label = tuple(row_title(row[n]) if n == "method" else str(row[n]) for n in lead)
        cell = f"{round(factor * row[name], decimals) + 0.0:.{decimals}f}"  # + 0.0: never "-0.0"
        if row.get(f"{name}_std") is not None:
            cell += f" ± {factor * row[f'{name}_std']:.{decimals}f}"
        if row["tasks"] != tasks:
            cell += f" ({row['tasks']})"
        rows.setdefault(label, {})[row["target"]] = cell
    body = [[*map(Item, label), *(Item(cells.get(target, "")) for target in targets)] for label, cells in rows.items()]
    return Sheet(name, title, [], len(lead), [*lead, *targets], body, [])


def _keys(evaluated: Sequence[Record], models: Mapping[str, Any]) -> Sheet:
    """The keys behind the cells, a row for each task; those of several seeds in one place."""
    rows: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for row in sorted(evaluated, key=lambda row: _order(row, models[row["sources"]], "task")):
        label = (row["task"], row_title(row["method"]), row["sources"])
        rows.setdefault(label, {}).setdefault(row["target"], []).append(row["key"][:12])
    targets = sorted({row["target"] for row in evaluated}, key=_model_order)
    body = [[*map(Item, label), *(Item(" ".join(of.get(t, []))) for t in targets)] for label, of in rows.items()]
    return Sheet("keys", "Keys, for `ptx why` and `ptx errors`", [], 3, [*LABELS, *targets], body, [])


def _spell(settings: Mapping[str, Any]) -> str:
    if settings.get("tune.dtype") == settings.get("eval.dtype"):
        settings = {name: value for name, value in settings.items() if name != "tune.dtype"}
    short = {name: str(value)[:12] if name == "words" else value for name, value in settings.items()}  # a key
    return ", ".join(f"{name.split('.')[-1]} {value}" for name, value in sorted(short.items()))
