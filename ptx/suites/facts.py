"""Readers of factual suites: a folder in LAMA's layout, or one file.

A task is a relation with (subject, object) facts in a train, dev and test split, and a manual template. A folder is
read in LAMA's layout (`<relation>/{train,dev,test}.jsonl`, templates in `relations.jsonl` or `LAMA_relations.jsonl`),
a file as JSON lines, CSV or TSV with the columns sub_label, obj_label and optionally task, split and template.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ptx.errors import PtxError
from ptx.suites.rows import Row, read_rows
from ptx.suites.task import SPLITS, Fact, Task, share

COLUMNS = ("sub_label", "obj_label")
DEFAULT_SPLIT = ((0.6, "train"), (0.8, "dev"), (1.0, "test"))


def read_folder(folder: Path) -> Iterator[Task]:
    """One task a relation. Raises PtxError if there is none or a line cannot be read."""
    relations: dict[str, Any] = {}
    for file in sorted(folder.rglob("*relations.jsonl")):
        relations |= {row.text("relation"): row.values for row in read_rows(file, ["relation"])}
    found = {file.parent for split in SPLITS for file in folder.rglob(f"{split}.jsonl")}
    if not found:
        raise PtxError(
            f"{folder} holds no <task>/train.jsonl",
            "arrange it as LAMA's data, one folder per relation, or describe texts to classify in a suite.toml there",
        )
    for task in sorted(found, key=lambda path: (len(path.name), path.name)):
        meta = relations.get(task.name, {})
        splits = {split: tuple(_facts(task / f"{split}.jsonl")) for split in SPLITS}
        yield Task(task.name, meta.get("label", task.name), meta.get("template"), splits)


def read_file(path: Path) -> Iterator[Task]:
    """The tasks of one file. Raises PtxError naming the line that cannot be read."""
    tasks: dict[str, list[Row]] = {}
    for row in read_rows(path, COLUMNS):
        tasks.setdefault(row.values.get("task") or path.stem, []).append(row)
    for name, rows in tasks.items():
        splits: dict[str, list[Fact]] = {split: [] for split in SPLITS}
        for row in rows:
            split = row.values.get("split") or _split_of(row.text("sub_label"))
            if split not in splits:
                raise PtxError(f"{row.where}: unknown split {split!r}", f"use {', '.join(SPLITS)}")
            splits[split].append(_fact(row))
        template = next((row.values["template"] for row in rows if row.values.get("template")), None)
        yield Task(name, name, template, {split: tuple(facts) for split, facts in splits.items()})


def _facts(file: Path) -> Iterator[Fact]:
    return map(_fact, read_rows(file, COLUMNS)) if file.is_file() else iter(())


def _fact(row: Row) -> Fact:
    return Fact(row.text("sub_label"), row.text("obj_label"), row.where)


def _split_of(subject: str) -> str:
    """60/20/20 by a hash of the subject: stable, and no subject is in two splits."""
    return next(split for bound, split in DEFAULT_SPLIT if share(subject) < bound)
