"""What a suite would give before anything runs: the facts used and dropped, and what is odd about them."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from ptx.suites import SPLITS, Fact, Suite
from ptx.suites.task import is_template

EXAMPLES = 3


def examine(suite: Suite, allowed: Collection[str]) -> Iterator[dict[str, Any]]:
    """One row for each task and split: its facts, how many of them are used, dropped (no right answer is an allowed
    word), repeated (left out) and also in train with one of their answers (used, but known to tuning).

    A task with label words has no objects to drop; its repeated texts are used, as they are distributed.
    """
    for task in suite.tasks:
        train = {pair for fact in task.splits["train"] for pair in _pairs(fact)}
        for split in SPLITS:
            facts = task.splits[split]
            dropped = [] if task.labels else [fact for fact in facts if not fact.known(allowed)]
            seen = [fact for fact in facts if not train.isdisjoint(_pairs(fact))] if split != "train" else []
            left_out = task.repeated.get(split, 0)
            again = len(facts) - len(set(facts)) if task.labels else 0  # texts with a label: used, as distributed
            yield {
                "task": task.name,
                "split": split,
                "template": task.template,
                "own_templates": len(own := {fact.template for fact in facts if fact.template}),
                "wrong_templates": len([text for text in own if not is_template(text)]),
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
        if row["wrong_templates"]:
            of["template"] = "wrong"
        for name in summed:
            of[name] += row[name]
    return list(tasks.values())


def _pairs(fact: Fact) -> set[tuple[str, str]]:
    return {(fact.subject, answer) for answer in fact.answers}


def _template(template: str | None) -> str:
    if not template:
        return "no"
    return "yes" if is_template(template) else "wrong"  # manual prompts refuse it


def _examples(facts: Sequence[Fact], of: Callable[[Fact], str]) -> list[dict[str, Any]]:
    """The most frequent values, how often each occurs, and where first."""
    counts = Counter(map(of, facts))
    first = {of(fact): fact.where for fact in reversed(facts)}
    return [{"value": value, "count": n, "where": first[value]} for value, n in counts.most_common(EXAMPLES)]
