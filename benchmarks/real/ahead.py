"""What is still to be done, and about how long it will take, by a step that was measured on each model."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.real.cells import Cell, Place, ask
from benchmarks.real.data import write_lines
from benchmarks.real.work import Each, Job, say
from ptx.config.tune import TuneConfig
from ptx.suites import load_suite

PROBES = {"warm": 1, "few": 1, "many": 4}  # tasks by their number of batches; the first is for what happens once


@dataclass(frozen=True)
class Ahead:
    """Of one model: prompts to tune, and their steps; facts to answer in all evaluations; seconds of a step."""

    model: str
    tunings: int
    steps: int
    answers: int
    step: float

    @property
    def hours(self) -> float:
        """An answer is counted as a fact's share of a step, though it needs no gradient: it is rather less. What
        searches take is not counted."""
        return self.step * (self.steps + self.answers / TuneConfig().batch_size) / 3600

    def __str__(self) -> str:
        what = f"{self.model}: {self.tunings} prompts to tune in {self.steps:,} steps, {self.answers:,} answers"
        return f"{what}; {self.step:.3g} s a step: {self.hours:.1f} hours"


def ahead(
    model: str, cells: Sequence[Cell], counts: Mapping[str, Mapping[str, int]], place: Place, step: float
) -> Ahead:
    """What these cells of a model, all missing, ask for."""
    import ptx

    tasks = sorted({cell.task for cell in cells if cell.method == "tuned"})
    missing: list[str] = []
    if tasks:
        asked: dict[str, Any] = {"suite": place.suite, "tasks": tasks, "cache_dir": place.cache, **place.options}
        rows = ptx.tune(model=place.models[model], dry_run=True, device=place.device, **asked).to_dict("records")
        missing = [row["task"] for row in rows if row["stage"] == "tune" and not row["reused"]]
    config = TuneConfig(**place.options)
    steps = sum(config.epochs * math.ceil(counts[task]["train"] / config.batch_size) for task in missing)
    return Ahead(model, len(missing), steps, sum(counts[cell.task][cell.split] for cell in cells), step)


def measured_step(model: str, place: Place, folder: Path, each: Each) -> float:
    """Seconds of one gradient step with the defaults: the difference between two short tunings, in ptx's cache. Their
    facts are the first of the suite's, in `folder`."""
    suite = load_suite(place.suite)
    size = TuneConfig().batch_size
    facts = [(task, fact) for task in suite.tasks for fact in task.splits["train"]]
    relations = []
    for number, (name, batches) in enumerate(PROBES.items()):
        drawn = [facts[i % len(facts)] for i in range(number * 7, number * 7 + batches * size + 4)]
        lines = [{"sub_label": f"{i} {fact.subject}", "obj_label": fact.object} for i, (_, fact) in enumerate(drawn)]
        write_lines(folder / name / "train.jsonl", lines[4:])
        write_lines(folder / name / "dev.jsonl", lines[:4])
        relations.append({"relation": name, "label": name, "template": suite.tasks[0].template})
    write_lines(folder / "relations.jsonl", relations)
    probing = dataclasses.replace(place, suite=str(folder), options={**place.options, "epochs": 1})
    cells = tuple(Cell(model, "tuned", name, "dev") for name in PROBES)
    if failed := each(Job(f"measuring a step on {model}", cells, probing, folder.with_name("probe.peak"))):
        say(failed[0])
        return math.nan
    seconds = {}
    for cell in cells:
        score = ask(cell, probing, say, dry_run=True)
        seconds[cell.task] = _seconds(score.tuning[0]) if score else math.nan
    longer = (seconds["many"] - seconds["few"]) / (PROBES["many"] - PROBES["few"])
    return longer if longer > 0 else seconds["many"] / PROBES["many"]


def _seconds(folder: Path) -> float:
    taken: float = json.loads((folder / "meta.json").read_text("utf-8"))["seconds"]
    return taken
