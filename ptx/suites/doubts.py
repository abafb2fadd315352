"""What is odd about the facts of a suite that can be read: columns that hold something else than their names say."""

import re
from collections.abc import Iterable

from ptx.errors import PtxError
from ptx.suites.folders import LEFT_OUT
from ptx.suites.lines import Bad, Remark
from ptx.suites.task import SPLITS, Fact, Task

FEW = 3
NUMBER = re.compile(r"(wd:|https?://(www\.)?wikidata\.org/(entity|wiki)/)?Q[1-9][0-9]*")


def sensible(tasks: Iterable[Task], bad: Bad) -> tuple[Task, ...]:
    """The tasks whose subjects are some; subjects that are bare numbers of Wikidata are pointed out.

    Raises PtxError if the only task has none: all of its facts, which are more than a few, have the same subject (all
    of LAMA's SQuAD are about "Squad"). Among others it is left out.
    """
    found = list(tasks)
    kept = []
    for task in found:
        facts = _facts(task)
        if task.labels or not _one_subject(facts):
            kept.append(task)
            continue
        file = facts[0].where.rpartition(":")[0]
        what = f"the subject of all {len(facts)} facts is {facts[0].subject!r}, which is then none"
        if len(found) == 1:
            hint = (
                "name the column of subjects sub_label; whole sentences without a subject (LAMA's SQuAD) are no facts"
            )
            raise PtxError(f"{file}: {what}", hint)
        bad(Remark(file, f"{LEFT_OUT}, since {what}; name the column of subjects sub_label, or remove the file"))
    facts = [fact for task in kept if not task.labels for fact in _facts(task)]
    for name, texts in (("subjects", lambda fact: [fact.subject]), ("answers", lambda fact: fact.answers)):
        numbers = [(fact.where, text) for fact in facts for text in texts(fact)[:1] if NUMBER.fullmatch(text)]
        if numbers:
            where, example = numbers[0]
            what = f"{len(numbers)} of {len(facts)} {name} are Wikidata's numbers, such as {example}, which are names"
            bad(Remark(where, f"{what} to no model: put labels there, or remove these facts"))
    return tuple(kept)


def _facts(task: Task) -> list[Fact]:
    return [fact for split in SPLITS for fact in task.splits[split]]


def _one_subject(facts: list[Fact]) -> bool:
    """A template of its own for each fact can ask something of one subject."""
    subjects, objects = {fact.subject for fact in facts}, {fact.object for fact in facts}
    same = len(facts) > FEW and len(subjects) == 1 and len(objects) > 1
    return same and not any(fact.template for fact in facts)
