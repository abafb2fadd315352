"""The results table: rows of methods and sources, columns of targets, as in the paper's Table 3.

Evaluations that differ in any setting never share a table. The paper's words: *micro* is the mean of the tasks'
accuracies, *macro* the accuracy over pooled facts.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ptx.cache import Store
from ptx.lms.known import STAND_INS
from ptx.media import counted
from ptx.results.alike import Group, grouped
from ptx.results.collect import LEFT_OUT, Result
from ptx.results.sets import joining, titles
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
    ("forecast", "P@1 in % that was to be expected, without labels; mean of tasks", 100.0, 1),
    ("matching_loss", "Matching loss: 1 - cosine of relative representations", 1.0, 3),
    ("search_loss", "Matching loss that the search attained, before Eq. 6", 1.0, 3),
)
VARYING = tuple(name for name, *_ in FIGURES)  # over seeds
OPTIONAL = ("forecast", "forecast_std")  # columns of records where any has them
LABELLED = "the step or epoch was chosen on LABELLED TARGET dev facts; this is not zero-shot transfer"
LABELS = ("task", "method", "sources")  # the columns before the targets


def tables(
    results: Sequence[Result], *, by: str = "method", warn: Callable[[str], None] = lambda text: None,
    keys: bool = False, store: Store | None = None,
) -> list[Page]:  # fmt: skip
    """One table for each differing setting; with the `store` that they are from, those that differ in nothing but whose
    words answer say how to join them."""
    return pages(grouped(results, warn, store), by=by, warn=warn, keys=keys, store=store)


def pages(
    groups: Sequence[Group], *, by: str = "method", warn: Callable[[str], None] = lambda text: None,
    keys: bool = False, store: Store | None = None,
) -> list[Page]:  # fmt: skip
    """The same of results that are grouped already."""
    settings = [shared for shared, _ in groups]
    common = {n for n in settings[0] if all(s.get(n) == settings[0][n] for s in settings)} if settings else set()
    made = [_table(of if by == "task" else _whole(of, warn), shared, common, by, keys) for shared, of in groups]
    if store is None or "words" in common:
        return made
    named, notes = titles(groups), joining(groups, store)
    return [
        replace(page, notes=[_with_title(text, own["words"], named) for text in (*page.notes, note) if text])
        for page, own, note in zip(made, settings, notes, strict=True)
    ]


def _with_title(note: str, words: str, named: Mapping[str, str]) -> str:
    """A note that says whose words answer in place of their key."""
    return note.replace(f"words {words[:12]}", f"words {named[words]}")


def _whole(results: Sequence[Result], warn: Callable[[str], None]) -> list[Result]:
    """Without those of seeds that have fewer tasks of a row than another seed: a deviation over seeds is none over
    tasks."""
    rows: dict[Any, dict[int, list[Result]]] = {}
    for result in results:
        labels = result.labels
        row = labels["method"], labels.get("how"), str(result.place), labels["target"]
        rows.setdefault(row, {}).setdefault(labels.get("seed", 0), []).append(result)
    kept: list[Result] = []
    for (method, _, _, target), seeds in rows.items():
        tasks = {seed: {result.labels["task"] for result in of} for seed, of in seeds.items()}
        most = max(tasks.values(), key=len)
        for seed, of in seeds.items():
            if tasks[seed] == most:
                kept += of
            else:
                has = f"seed {seed} has other tasks than another one ({len(tasks[seed])}, and not {len(most)})"
                warn(f"{method} on {target}: {has}, and is left out of means over seeds")
    return kept


def _table(results: Sequence[Result], settings: Mapping[str, Any], common: set[str], by: str, keys: bool) -> Page:
    names = source_names(results)
    evaluated = [record(result, name) for result, name in zip(results, names, strict=True)]
    models = {name: result.place for result, name in zip(results, names, strict=True)} | {"": []}
    place = ["method", "sources", "target"] + (["task"] if by == "task" else [])
    cells = [cell(key, rows) for key, rows in _grouped(evaluated, place)]
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
    drawn = [row["seeds"] for row in records if row["drawn"]]
    several = [n for n in drawn if n > 1]
    usual = max(several, key=lambda n: (several.count(n), n), default=1)
    if several:
        what = "of the mean over tasks" if by == "method" else "of a task's accuracy"
        notes.append(f"± is the sample standard deviation over n = {usual} seeds {what}, and no interval over tasks")
        if {*drawn} != {usual}:
            notes.append("n=N: the cell is of N seeds; those without ± or n draw nothing at random")
    whole_tasks = tasks if by == "method" else 1
    sheets = [sheet for figure in FIGURES if (sheet := _sheet(records, figure, whole_tasks, usual))]
    records = [{name: value for name, value in row.items() if name != "drawn"} for row in records]
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


def cell(key: Record, rows: Sequence[Record]) -> Record:
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
    return {**key, **means, **spread, **whole, "seeds": len(seeds), "drawn": any(row["drawn"] for row in rows)}


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


def record(result: Result, sources: str) -> Record:
    """One evaluation, of which `cell` is the mean."""
    labels, metrics = result.labels, result.metrics
    return {
        "method": result.method, "sources": sources,
        "target": labels["target"], "task": labels["task"], "seed": labels.get("seed", 0), "drawn": "seed" in labels,
        "key": result.artifact.key,
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
        | {"dropped": sum(row["dropped"] for row in of), "seeds": 1, "drawn": False}
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


def _sheet(
    records: Sequence[Mapping[str, Any]], figure: tuple[str, str, float, int], tasks: int, seeds: int
) -> Sheet | None:
    """One figure as text cells, of which those of fewer or more `seeds` say so; None if no record has it."""
    name, title, factor, decimals = figure
    present = [row for row in records if row.get(name) is not None]
    if not present:
        return None
    targets = sorted({row["target"] for row in present}, key=_model_order)
    lead = [label for label in LABELS if label in present[0]]
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for row in present:
        label = tuple(row_title(row[n]) if n == "method" else str(row[n]) for n in lead)
        shown = f"{round(factor * row[name], decimals) + 0.0:.{decimals}f}"  # + 0.0: never "-0.0"
        if row.get(f"{name}_std") is not None:
            shown += f" ± {factor * row[f'{name}_std']:.{decimals}f}"
        if row["drawn"] and row["seeds"] != seeds:
            shown += f" n={row['seeds']}"
        if row["tasks"] != tasks:
            shown += f" ({row['tasks']})"
        rows.setdefault(label, {})[row["target"]] = shown
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
