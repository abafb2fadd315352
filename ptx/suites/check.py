"""What a suite would give before anything runs: the facts used and dropped, and what is odd about them."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ptx.errors import PtxError
from ptx.suites import SPLITS, Fact, Suite

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


def examine(suite: Suite, allowed: Collection[str]) -> Iterator[dict[str, Any]]:
    """One row for each task and split: its facts, how many of them are used, dropped (the object is no allowed word),
    repeated (left out) and also in train (used, but known to tuning).

    A task with label words has no objects to drop; its repeated texts are used, as they are distributed.
    """
    for task in suite.tasks:
        train = set(task.splits["train"])
        for split in SPLITS:
            facts = task.splits[split]
            dropped = [] if task.labels else [fact for fact in facts if fact.object not in allowed]
            seen = [fact for fact in facts if fact in train] if split != "train" else []
            left_out = task.repeated.get(split, 0)
            again = len(facts) - len(set(facts)) if task.labels else 0  # texts with a label: used, as distributed
            yield {
                "task": task.name,
                "split": split,
                "template": task.template,
                "facts": len(facts) + left_out,
                "used": len(facts) - len(dropped),
                "dropped": len(dropped),
                "repeated": left_out + again,
                "in_train": len(seen),
                "dropped_objects": _examples(dropped, lambda fact: fact.object),
                "in_train_facts": _examples(seen, lambda fact: f"{fact.subject} / {fact.object}"),
            }


def summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each task, for people: facts used of each split, and the rest in all."""
    summed = ("dropped", "repeated", "in_train")
    tasks: dict[str, dict[str, Any]] = {}
    for row in rows:
        none = dict.fromkeys((*SPLITS, *summed), 0)
        of = tasks.setdefault(row["task"], {"task": row["task"], "template": _template(row["template"]), **none})
        of[row["split"]] = row["used"]
        for name in summed:
            of[name] += row[name]
    return list(tasks.values())


def _template(template: str | None) -> str:
    if not template:
        return "no"
    return "yes" if template.count("[X]") == template.count("[Y]") == 1 else "wrong"  # manual prompts refuse it


def _examples(facts: Sequence[Fact], of: Callable[[Fact], str]) -> list[dict[str, Any]]:
    """The most frequent values, how often each occurs, and where first."""
    counts = Counter(map(of, facts))
    first = {of(fact): fact.where for fact in reversed(facts)}
    return [{"value": value, "count": n, "where": first[value]} for value, n in counts.most_common(EXAMPLES)]
