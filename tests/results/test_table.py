from __future__ import annotations

from pathlib import Path

import pytest

from ptx.cache import Artifact
from ptx.results.collect import Result
from ptx.results.table import tables

BASE = {"suite": "facts", "split": "test", "words": "w"}
TUNED = {**BASE, "tune.lr": 0.01}
SEARCHED = {**TUNED, "search.mask": "both"}


def result(method: str, target: str, task: str, accuracy: float, facts: int, settings: dict, **more) -> Result:
    labels = {"method": method, "target": target, "task": task, "sources": more.pop("sources", []), "suite": "facts"}
    labels |= {"split": "test", "seed": more.pop("seed", 0)}
    metrics = {"accuracy": accuracy, "correct": accuracy * facts, "facts": facts, "dropped": 0, "floor": 0.1, **more}
    key = f"{method}{target}{task}{labels['seed']}"
    artifact = Artifact(Path(), {"key": key, "created": "2026-01-01T00:00:00+00:00", "config": {}})
    return Result(artifact, labels, metrics, settings)


def test_micro_is_the_mean_of_tasks_and_macro_is_pooled() -> None:
    (table,) = tables([result("tuned", "m", "A", 0.5, 10, TUNED), result("tuned", "m", "B", 1.0, 30, TUNED)])
    (row,) = [row for row in table.records if row["method"] == "tuned"]
    assert row["micro"] == pytest.approx(0.75)
    assert row["macro"] == pytest.approx(35 / 40)
    assert (row["tasks"], row["facts"]) == (2, 40)


def test_settings_never_mix_but_manual_prompts_join_every_table() -> None:
    made = tables(
        [
            result("relative", "m", "A", 0.5, 10, SEARCHED, sources=["s"], matching_loss=0.2),
            result("relative", "m", "A", 0.7, 10, {**SEARCHED, "search.mask": "source"}, sources=["s"]),
            result("tuned", "m", "A", 0.9, 10, TUNED),
            result("manual", "m", "A", 0.3, 10, BASE),
        ]
    )
    assert len(made) == 2
    for table in made:
        assert sorted(row["method"] for row in table.records) == ["floor", "manual", "relative", "tuned"]
    assert {table.notes[0] for table in made} == {"with mask both", "with mask source"}


def test_seeds_become_mean_and_standard_deviation() -> None:
    (table,) = tables([result("tuned", "m", "A", x, 10, TUNED, seed=i) for i, x in enumerate((0.4, 0.6))])
    (row,) = [row for row in table.records if row["method"] == "tuned"]
    assert (row["micro"], row["seeds"]) == (pytest.approx(0.5), 2)
    assert row["micro_std"] == pytest.approx(0.1414, abs=1e-4)


def test_a_cell_over_fewer_tasks_is_marked() -> None:
    (table,) = tables(
        [
            result("tuned", "m", "A", 0.5, 10, TUNED),
            result("tuned", "m", "B", 0.5, 10, TUNED),
            result("manual", "m", "A", 0.5, 10, BASE),
        ]
    )
    sheet = table.sheets[0]
    shown = {row[0].text: row[sheet.header.index("m")].text for row in sheet.rows}
    assert shown["manual"] == "50.0 (1)"
    assert any("covers n of the 2 tasks" in note for note in table.notes)
