"""What `ptx suites` says of suites: their tasks, with counts and templates."""

from collections.abc import Sequence
from typing import Any

from ptx.config import ReadingConfig
from ptx.suites import EMBEDDED, load_suite, together
from ptx.suites.asked import named


def listing(suite: str, reading: ReadingConfig) -> tuple[list[dict[str, Any]], Sequence[str]]:
    """A row for each task of a suite, or (empty) of all embedded ones; and what its readers remark."""
    rows: list[dict[str, Any]] = []
    remarks: list[str] = []
    for name in [suite] if suite else EMBEDDED:
        found = load_suite(named(name, reading))
        remarks += together(found.remarks)
        for task in found.tasks:
            own = {fact.template for facts in task.splits.values() for fact in facts if fact.template}
            counts = {split: len(facts) for split, facts in task.splits.items()}
            more = {"title": task.label, "own_templates": len(own), "labels": [*task.labels]}
            more |= {"paraphrases": [*task.paraphrases]}
            rows.append({"suite": found.name, "task": task.name, **counts, "template": task.template or "", **more})
    return rows, remarks
