"""What a suite would give before anything runs: the facts used and dropped, and what is odd about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ptx.errors import PtxError
from ptx.suites import SPLITS, Fact, Suite, Task

EXAMPLES = 3
KEPT = 100  # problems that are remembered; the rest is counted


@dataclass
class Problems:
    """Lines that cannot be read, as the readers report them (see suites/lines.py)."""

    count: int = 0
    first: list[PtxError] = field(default_factory=list)

    def add(self, error: PtxError) -> None:
        self.count += 1
        if len(self.first) < KEPT:
            self.first.append(error)


def allowed_words(models: Sequence[str], words: Sequence[str] = ()) -> tuple[set[str], str]:
    """The words that predictions would be restricted to in commands that name these models, and whose they are."""
    from ptx.lms.embeddings import load_tokenizer
    from ptx.lms.models import anchor_models, resolve
    from ptx.stages.anchors import shared_words

    names, description = anchor_models(models)
    if words:  # as --anchors FILE does, for the models of the command alone
        names, description = (list(models) or names), "the word file and " + ("the models" if models else description)
    tokenizers = [load_tokenizer(resolve(name, tokenizer_only=True).path) for name in names]
    return set(shared_words(tokenizers, list(words))), description


def examine(suite: Suite, allowed: Collection[str]) -> Iterator[dict[str, Any]]:
    """One row for each task and split: its facts, how many of them are used, dropped (the object is no allowed word),
    repeated (left out) and also in train (used, but known to tuning).

    A task with label words has no objects to drop.
    """
    for task in suite.tasks:
        train = set(task.splits["train"])
        for split in SPLITS:
            facts = task.splits[split]
            dropped = [] if task.labels else [fact for fact in facts if fact.object not in allowed]
            seen = [fact for fact in facts if fact in train] if split != "train" else []
            yield {
                "task": task.name,
                "split": split,
                "template": task.template,
                "facts": len(facts) + task.repeated.get(split, 0),
                "used": len(facts) - len(dropped),
                "dropped": len(dropped),
                "repeated": task.repeated.get(split, 0) + (_repeated(facts) if task.labels else 0),
                "in_train": len(seen),
                "dropped_objects": _examples(dropped, lambda fact: fact.object),
                "in_train_facts": _examples(seen, lambda fact: f"{fact.subject} / {fact.object}"),
            }


def summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each task, for people: facts used of each split, and the rest in all."""
    tasks: dict[str, dict[str, Any]] = {}
    for row in rows:
        of = tasks.setdefault(row["task"], {"task": row["task"], "template": _template(row["template"])})
        of[row["split"]] = row["used"]
        for name in ("dropped", "repeated", "in_train"):
            of[name] = of.get(name, 0) + row[name]
    order = ("task", "template", *SPLITS, "dropped", "repeated", "in_train")
    return [{name: of[name] for name in order} for of in tasks.values()]


def label_problems(task: Task, allowed: Collection[str]) -> list[str]:
    """The label words that are not one word of all models."""
    return [word for word in task.labels if word not in allowed]


def _template(template: str | None) -> str:
    if not template:
        return "no"
    return "yes" if template.count("[X]") == template.count("[Y]") == 1 else "wrong"  # manual prompts refuse it


def _repeated(facts: Sequence[Fact]) -> int:
    """Texts with a label that occur more than once; they are used, as they are distributed."""
    return len(facts) - len(set(facts))


def _examples(facts: Sequence[Fact], of: Callable[[Fact], str]) -> list[dict[str, Any]]:
    """The most frequent values, how often each occurs, and where first."""
    counts = Counter(map(of, facts))
    first = {of(fact): fact.where for fact in reversed(facts)}
    return [{"value": value, "count": n, "where": first[value]} for value, n in counts.most_common(EXAMPLES)]
