"""Suites of tasks: `facts`, which ships with the package, and a user's own folder or file.

A task is a relation with (subject, object) facts in a train, dev and test split, and a manual template. A folder is
read in LAMA's layout (`<relation>/{train,dev,test}.jsonl`, templates in `relations.jsonl` or `LAMA_relations.jsonl`),
a file as JSON lines or CSV with the columns sub_label, obj_label and optionally task, split and template.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptx.cache import digest
from ptx.errors import PtxError

EMBEDDED = {"facts": Path(__file__).parent / "zoo" / "facts"}
SPLITS = ("train", "dev", "test")
DEFAULT_SPLIT = ((0.6, "train"), (0.8, "dev"), (1.0, "test"))


@dataclass(frozen=True)
class Fact:
    subject: str
    object: str


@dataclass(frozen=True)
class Task:
    """One relation. `template` is the manual prompt, None if the user gave none."""

    name: str
    label: str
    template: str | None
    splits: Mapping[str, tuple[Fact, ...]]

    def digest(self, *splits: str) -> str:
        """Identifies the records of some splits; the task's name and label do not matter."""
        return digest({split: [[f.subject, f.object] for f in self.splits[split]] for split in splits})


@dataclass(frozen=True)
class Suite:
    name: str
    tasks: tuple[Task, ...]

    def choose(self, names: Sequence[str] | None) -> list[Task]:
        """The named tasks in the order given, all by default. Raises PtxError for an unknown one."""
        by_name = {task.name: task for task in self.tasks}
        for name in names or ():
            if name not in by_name:
                known = ", ".join(list(by_name)[:8])
                raise PtxError(f"unknown task {name!r} in suite {self.name}", f"its {len(by_name)} tasks: {known}, ...")
        return [by_name[name] for name in dict.fromkeys(names)] if names else list(self.tasks)


@functools.lru_cache(maxsize=8)
def load_suite(name: str) -> Suite:
    """A suite by embedded name or path. Raises PtxError for an unknown one or records that cannot be read."""
    path = EMBEDDED.get(name, Path(name))
    if path.is_dir():
        return Suite(name, tuple(_read_folder(path)))
    if path.is_file():
        return Suite(name, tuple(_read_file(path)))
    raise PtxError(f"unknown suite {name!r}", f"use {', '.join(EMBEDDED)}, or the path of a folder or file of facts")


def _read_folder(folder: Path) -> Iterator[Task]:
    relations: dict[str, dict[str, Any]] = {}
    for file in sorted(folder.rglob("*relations.jsonl")):
        relations |= {row["relation"]: row for row in read_rows(file, ["relation"])}
    found = {file.parent for split in SPLITS for file in folder.rglob(f"{split}.jsonl")}
    if not found:
        raise PtxError(f"{folder} holds no <task>/train.jsonl", "arrange it as LAMA's data: one folder per relation")
    for task in sorted(found, key=lambda path: (len(path.name), path.name)):
        meta = relations.get(task.name, {})
        splits = {split: _facts(task / f"{split}.jsonl") for split in SPLITS}
        yield Task(task.name, meta.get("label", task.name), meta.get("template"), splits)


def _facts(file: Path) -> tuple[Fact, ...]:
    if not file.is_file():
        return ()
    return tuple(Fact(row["sub_label"], row["obj_label"]) for row in read_rows(file, ["sub_label", "obj_label"]))


def _read_file(path: Path) -> Iterator[Task]:
    tasks: dict[str, list[dict[str, Any]]] = {}
    for row in read_rows(path, ["sub_label", "obj_label"]):
        tasks.setdefault(row.get("task") or path.stem, []).append(row)
    for name, records in tasks.items():
        splits: dict[str, list[Fact]] = {split: [] for split in SPLITS}
        for row in records:
            split = row.get("split") or _split_of(row["sub_label"])
            if split not in splits:
                raise PtxError(f"{path}: unknown split {split!r}", f"use {', '.join(SPLITS)}")
            splits[split].append(Fact(row["sub_label"], row["obj_label"]))
        template = next((row["template"] for row in records if row.get("template")), None)
        yield Task(name, name, template, {split: tuple(facts) for split, facts in splits.items()})


def _split_of(subject: str) -> str:
    """60/20/20 by a hash of the subject: stable, and no subject is in two splits."""
    share = int.from_bytes(hashlib.sha256(subject.encode()).digest()[:8]) / 2**64
    return next(split for bound, split in DEFAULT_SPLIT if share < bound)


def read_rows(path: Path, required: Iterable[str]) -> list[dict[str, Any]]:
    """Rows of a JSON-lines or CSV file. Raises PtxError naming the line that is not valid or lacks a column."""
    required = list(required)
    hint = f"each line needs {' and '.join(required)}"
    rows: list[dict[str, Any]] = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.DictReader(file) if path.suffix == ".csv" else (json.loads(x) for x in file if x.strip())
            for number, row in enumerate(lines, start=1):
                if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in required):
                    raise PtxError(f"{path}, record {number}: no {' or '.join(required)}", hint)
                rows.append(row)
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise PtxError(f"{path}, record {len(rows) + 1}: {error}", hint) from None
    return rows
