"""LAMA's relations, cut to facts whose object both models have as one token, as a suite folder that ptx reads.

192 train, 48 dev and 128 test facts a relation, fewer where there are fewer, drawn with seed 0: the same data and the
same words give the same files.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from benchmarks.real.models import Unavailable
from ptx.errors import PtxError
from ptx.suites import SPLITS, Suite, read_suite

SIZES = {"train": 192, "dev": 48, "test": 128}
LEAST = 100  # usable train facts
ARCHIVES = (("optiprompt-lists", ""), ("optiprompt", "data"))  # of `ptx data fetch`: templates, then facts
FOLDER = "autoprompt_data"


@dataclass(frozen=True)
class Cut:
    """The relations of a suite that was written, with their numbers of facts by split, and those left out with their
    numbers of usable train facts."""

    counts: dict[str, dict[str, int]]
    left_out: dict[str, int]


def fetch(folder: Path, run: Callable[[list[str]], int]) -> None:
    """Bring LAMA's data into a folder, by ptx's own command, unless they are there. Raises Unavailable."""
    if find(folder) is not None:
        return
    for name, below in ARCHIVES:
        if run(["data", "fetch", name, "--output", str(folder / below)]):
            raise Unavailable(f"LAMA's data cannot be fetched into {folder}", "name a folder that has them: --lama")


def find(folder: Path) -> Path | None:
    """Where the train, dev and test facts are, in a folder of LAMA's data or below it."""
    found = (path for path in [folder, *sorted(folder.rglob(FOLDER))] if path.name == FOLDER and path.is_dir())
    return next(found, None)


def read(folder: Path) -> Suite:
    """The suite of these facts. Raises PtxError."""
    found = find(folder)
    if found is None:
        raise PtxError(f"{folder} has no {FOLDER}/", "name a folder of LAMA's data as OptiPrompt lays them out")
    return read_suite(str(found))


def cut(suite: Suite, words: Collection[str], folder: Path) -> Cut:
    """Write the suite cut to facts whose object is among `words`."""
    counts: dict[str, dict[str, int]] = {}
    left_out: dict[str, int] = {}
    relations = []
    for task in suite.tasks:
        usable = {split: [fact for fact in task.splits[split] if fact.known(words)] for split in SPLITS}
        if len(usable["train"]) < LEAST:
            left_out[task.name] = len(usable["train"])
            continue
        counts[task.name] = {}
        for split in SPLITS:
            facts = usable[split]
            drawn = random.Random(0).sample(facts, min(SIZES[split], len(facts)))
            lines = [{"sub_label": fact.subject, "obj_label": fact.known(words)[0]} for fact in drawn]
            write_lines(folder / task.name / f"{split}.jsonl", lines)
            counts[task.name][split] = len(drawn)
        relations.append({"relation": task.name, "label": task.label, "template": task.template})
    if not counts:
        raise PtxError(f"no relation has {LEAST} train facts whose object both models know", "give other data")
    write_lines(folder / "relations.jsonl", relations)
    return Cut(counts, left_out)


def write_lines(file: Path, lines: list[dict[str, str]] | list[dict[str, str | None]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
