"""Dev accuracy against gradient steps, with and without a warm start, from tuned prompts in the cache.

One table for each model and setting. It is about tuning with the target's own labels, so nothing in it is zero-shot.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ptx.cache import Artifact, Store, digest
from ptx.lms.names import named_in, written
from ptx.media import counted
from ptx.results.collect import NOT_SETTINGS, Result, of_today
from ptx.results.sheet import Item, Page, Sheet

# A curve does not depend on how much longer it goes on; the beginnings are what the columns differ in.
NOT_SHARED = {*NOT_SETTINGS, "init", "init_scale", "epochs"}
NOTE = (
    "dev facts of the model itself, answered among all its tokens; labels are used, so this is not zero-shot transfer"
)
Fact = tuple[str, str]  # a task's name and the digest of its facts
When = tuple[int, int]  # complete epochs, and within the first one the steps: tasks differ in steps per epoch


@dataclass(frozen=True)
class Column:
    """The curves of one beginning: for each task and seed the points of its history."""

    name: str
    curves: Mapping[tuple[Fact, int], Mapping[When, Mapping[str, Any]]]

    @property
    def tasks(self) -> set[Fact]:
        return {task for task, _ in self.curves}

    def at(self, when: When, tasks: set[Fact]) -> tuple[float, float] | None:
        """Mean steps and dev accuracy over the tasks (and seeds); None if one of them was not looked at then."""
        of = [points[when] for (task, _), points in self.curves.items() if task in tasks and when in points]
        if len(of) < sum(task in tasks for task, _ in self.curves):
            return None
        return sum(p["steps"] for p in of) / len(of), sum(p["dev_accuracy"] for p in of) / len(of)


def collect(store: Store) -> list[Result]:
    """The verified tuned prompts in a store; imported ones have no history."""
    artifacts = [store.read("tune", folder.name) for folder in store.entries("tune")]
    tuned = [a for a in artifacts if a is not None and "history" in a.meta["metrics"]]
    return [result_of(artifact) for artifact in of_today(tuned, "tuned prompt", store.warn)]


def result_of(artifact: Artifact) -> Result:
    return Result(artifact, artifact.meta["labels"], artifact.meta["metrics"], {})


def points(artifact: Artifact) -> dict[When, dict[str, Any]]:
    """An artifact's history. Artifacts of early versions have epochs from 1 on, without the steps they took."""
    metrics = artifact.meta["metrics"]
    each = math.ceil(metrics["facts"] / artifact.meta["config"]["tune"]["batch_size"])  # gradient steps an epoch
    history = [{"steps": point["epoch"] * each, **point} for point in metrics["history"]]
    return {(point["epoch"], 0 if point["epoch"] else point["steps"]): point for point in history}


def curves(results: Sequence[Result], *, warn: Callable[[str], None] = lambda text: None) -> list[Page]:
    """A table for each model and setting: rows are steps, columns ways to begin, cells means over the same tasks."""
    groups: dict[str, list[Artifact]] = defaultdict(list)
    for artifact in (result.artifact for result in results):
        meta = artifact.meta
        labels, config = meta["labels"], meta["config"]["tune"]
        scheduled = {"epochs"} if "schedule" in config else set()  # which end the schedule, and so shape the curve
        own = {n: v for n, v in config.items() if n not in NOT_SHARED - scheduled}
        groups[digest([labels["model"], meta["inputs"]["model"], labels["suite"], own])].append(artifact)
    settings = [artifact.meta["config"]["tune"] for of in groups.values() for artifact in of]
    same = {name for name in settings[0] if all(name in own and own[name] == settings[0][name] for own in settings)}
    ordered = sorted(groups.values(), key=lambda of: (of[0].meta["labels"]["model"], min(a.key for a in of)))
    names = named_in(result.artifact.meta["labels"] for result in results)
    return [_table(of, names, same, warn) for of in ordered]


def _table(
    artifacts: Sequence[Artifact], names: Mapping[str, str], same: set[str], warn: Callable[[str], None]
) -> Page:
    labels, config = written(artifacts[0].meta["labels"], names), artifacts[0].meta["config"]["tune"]
    columns, tasks = _comparable(_columns(artifacts), warn)
    records: list[dict[str, Any]] = []
    rows = []
    for when in sorted({when for column in columns for points in column.curves.values() for when in points}):
        cells = {column.name: found for column in columns if (found := column.at(when, tasks)) is not None}
        if not cells:
            continue
        steps = next(iter(cells.values()))[0]
        lead = {"suite": labels["suite"], "model": labels["model"], "tasks": len(tasks), "epoch": when[0]}
        records += [{**lead, "steps": steps, "init": n, "dev_accuracy": score} for n, (_, score) in cells.items()]
        shown = [f"{100 * cells[column.name][1]:.1f}" if column.name in cells else "" for column in columns]
        rows.append([Item(text) for text in (str(when[0]), f"{steps:.0f}", *shown)])
    spelled = ", ".join(f"{name} {value}" for name, value in config.items() if name not in NOT_SHARED | same)
    header = ["epoch", "steps", *(column.name for column in columns)]
    title = f"{labels['suite']}, dev split: tuning on {labels['model']}, {counted(len(tasks), 'task')}"
    sheet = Sheet("curve", "Dev accuracy in % against gradient steps, mean of tasks", [], 2, header, rows, records)
    return Page(title, [NOTE, *([f"with {spelled}"] if spelled else [])], records, [sheet])


def _columns(artifacts: Sequence[Artifact]) -> list[Column]:
    """One column for each way to begin, the cold ones first. Of several runs of one curve, the longest counts."""
    begun: dict[str, dict[tuple[Fact, int], Artifact]] = defaultdict(dict)
    settings: dict[str, tuple[str, dict[str, Any]]] = {}
    for artifact in sorted(artifacts, key=lambda a: (a.meta["config"]["tune"]["epochs"], a.meta["created"], a.key)):
        config, labels = artifact.meta["config"], artifact.meta["labels"]
        own = config["tune"]
        cold = " ".join(str(own[name]) for name in ("init", "init_scale") if name in own)
        name = f"warm: {labels['init']}" if "init" in labels else f"cold: {cold}"
        origins = {stage: of for stage, of in config.items() if stage.startswith("init.")}
        more = {f"{stage}.{n}": v for stage, of in origins.items() for n, v in of.items() if n not in NOT_SETTINGS}
        column = digest([name, more])
        settings[column] = (name, more)
        begun[column][(labels["task"], artifact.meta["inputs"]["facts"]), labels["seed"]] = artifact
    named = {column: _spell(name, more, list(settings.values())) for column, (name, more) in settings.items()}
    return [
        Column(named[column], {key: points(artifact) for key, artifact in begun[column].items()})
        for column in sorted(begun, key=named.__getitem__)
    ]


def _spell(name: str, settings: Mapping[str, Any], others: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """A column's name, with the settings in which it differs from others of the same name."""
    alike = [more for other, more in others if other == name]
    differing = [n for n in settings if any(more.get(n) != settings[n] for more in alike)]
    return ", ".join([name, *(f"{n.split('.')[-1]} {settings[n]}" for n in differing)])


def _comparable(columns: Sequence[Column], warn: Callable[[str], None]) -> tuple[list[Column], set[Fact]]:
    """The tasks that all columns share; a column that has none of those before it is left out with a warning."""
    kept: list[Column] = []
    tasks: set[Fact] = set()
    for column in columns:
        if kept and not tasks & column.tasks:
            warn(f"{column.name} is left out: it has no task in common with {kept[0].name}")
            continue
        tasks = tasks & column.tasks if kept else column.tasks
        kept.append(column)
    return kept, tasks
