"""The presets of published data sets: columns and labels as they are distributed, or as the hub has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ptx.suites import PRESETS, Fact, load_suite

# By preset: two rows with labels as the hub numbers them, what the labels are called, and the facts that they are.
ROWS: dict[str, Any] = {
    "imdb": (("text", "label"), [("a fine film", 1), ("dull", 0)], {0: "neg", 1: "pos"}, ["good", "bad"]),
    "ag_news": (
        ("text", "label"), [("shares fell", 2), ("a new chip", 3)], {2: "Business", 3: "Sci/Tech"},
        ["business", "technology"],
    ),
    "trec": (
        ("text", "coarse_label"), [("What does NATO stand for ?", 0), ("Who wrote Emma ?", 3)], {0: "ABBR", 3: "HUM"},
        ["expression", "human"],
    ),
    "rte": (
        ("sentence1", "sentence2", "label"), [("It rains.", "It is wet.", 0), ("It rains.", "It snows.", 1)],
        {0: "entailment", 1: "not_entailment"}, ["Yes", "No"],
    ),
    "qnli": (
        ("question", "sentence", "label"), [("Who?", "He did.", 0), ("Who?", "It rains.", 1)],
        {0: "entailment", 1: "not_entailment"}, ["Yes", "No"],
    ),
    "mnli": (
        ("premise", "hypothesis", "label"), [("It rains.", "It is wet.", 0), ("It rains.", "A dog barks.", 1)],
        {0: "entailment", 1: "neutral"}, ["Yes", "Maybe"],
    ),
    "cb": (
        ("premise", "hypothesis", "label"), [("It rains.", "It is dry.", 1), ("It may rain.", "It rains.", 2)],
        {1: "contradiction", 2: "neutral"}, ["no", "maybe"],
    ),
    "boolq": (("question", "passage", "label"), [("is it wet", "It rains.", 1), ("is it dry", "It rains.", 0)],
              {0: False, 1: True}, ["yes", "no"]),
}  # fmt: skip
SCORED = {"imdb": "test", "ag_news": "test", "trec": "test", "mnli": "validation_matched", "cb": "val", "boolq": "val"}


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("called", [False, True])
def test_a_preset_reads_what_is_distributed(tmp_path: Path, name: str, called: bool) -> None:
    columns, rows, names, words = ROWS[name]
    rows = [(*texts, names[label] if called else label) for *texts, label in rows]
    for split in ("train", SCORED.get(name, "dev")):
        lines = [json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows]
        (tmp_path / f"{split}.jsonl").write_text("".join(lines))
    (task,) = load_suite(f"{name}:{tmp_path}").tasks
    assert task.name == name
    texts = [" ".join(row[:-1]) for row in rows]
    assert task.splits["test"] == tuple(Fact(text, word) for text, word in zip(texts, words, strict=True))


def test_what_every_preset_says() -> None:
    """Whose words and template they are; the same limits."""
    assert {*PRESETS} == {*ROWS, "sst2", "dbpedia"}
    for path in PRESETS.values():
        text = path.read_text("utf-8")
        assert "limit = { train = 2000, dev = 500 }" in text, path
        assert "never cut" in text.replace("\n# ", " "), path
        assert "template is ours" in text or "the template is ours" in text.replace("\n# ", " "), path
        assert text.split('template = "')[1].split('"')[0].endswith("[Y] ."), path


def test_splits_of_the_hub_by_their_other_names(tmp_path: Path) -> None:
    """SuperGLUE's files are called val, the hub's split validation."""
    pytest.importorskip("datasets")
    columns, rows, _, words = ROWS["boolq"]
    for split in ("train", "validation"):
        lines = [json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows]
        (tmp_path / f"{split}.jsonl").write_text("".join(lines))
    (task,) = load_suite(f"boolq:hf:{tmp_path}").tasks
    assert [fact.object for fact in task.splits["test"]] == words
