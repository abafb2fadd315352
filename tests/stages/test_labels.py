"""Classification through the commands: predictions among the label words, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import make_model, write_topics

FAST = ["--epochs", "1", "--json"]


@pytest.fixture
def topics(tmp_path: Path) -> str:
    return str(write_topics(tmp_path / "moods"))


def test_predictions_are_label_words(ptx, tiny, topics) -> None:
    for args in (
        ["--sources", tiny["a"], "--target", tiny["narrow"]],
        ["--target", tiny["next"], "--method", "manual"],
    ):
        result = ptx("eval", *args, "--suite", topics, *FAST)
        assert result.code == 0, result.err
        (line,) = result.at("eval")
        assert (line["facts"], line["dropped"], line["floor"]) == (8, 0, 0.5)
        rows = [json.loads(row) for row in (Path(line["path"]) / "predictions.jsonl").read_text().splitlines()]
        assert {row["predicted"] for row in rows} <= {"France", "Japan"}
        assert sum(row["predicted"] == row["object"] for row in rows) == line["correct"]


def test_dev_accuracy_of_tuning_is_among_the_label_words(ptx, tiny, topics) -> None:
    """A random model finds one of two labels about half of the time, one of 130 words hardly ever."""
    (line,) = ptx("tune", "--model", tiny["a"], "--suite", topics, "--epochs", "1", "--lr", "1e-9", "--json").lines
    assert line["dev_accuracy"] >= 0.5


def test_another_word_for_a_label_is_another_key(ptx, tiny, topics, tmp_path) -> None:
    other = write_topics(tmp_path / "other", words='{ good = "Peru", bad = "Japan" }')
    keys = [ptx("tune", "--model", tiny["a"], "--suite", suite, *FAST).lines[0]["key"] for suite in (topics, other)]
    assert keys[0] != keys[1]


def test_a_label_word_of_several_tokens(ptx, tiny, tmp_path) -> None:
    suite = write_topics(tmp_path / "long", words='{ good = "Atlantis", bad = "Japan" }')
    result = ptx("tune", "--model", tiny["a"], "--suite", suite, *FAST)
    assert result.code == 1
    assert "task moods: the label word 'Atlantis' is 8 tokens" in result.err
    assert "suite's file" in result.err


def test_a_text_that_is_too_long(ptx, tiny, tmp_path) -> None:
    suite = write_topics(tmp_path / "wordy", text="name{i} word{j} " * 20)
    result = ptx("tune", "--model", tiny["a"], "--suite", suite, *FAST)
    assert result.code == 1
    assert f"{suite}/train.jsonl:1: a text of " in result.err
    assert "does not fit into the 32 positions" in result.err
    assert "--truncate" in result.err
    assert ptx("tune", "--model", tiny["a"], "--suite", suite, *FAST, "--truncate").code == 0


def test_labels_need_not_be_anchors(ptx, tiny, tmp_path) -> None:
    """The target lacks no label word, though the anchors (shared with a third model) do."""
    poor = make_model(tmp_path / "poor", words=[f"word{i}" for i in range(60)], seed=9)
    key = ptx("anchors", "--models", f"{tiny['a']},{tiny['b']},{poor}", "--json").lines[0]["key"]
    suite = write_topics(tmp_path / "moods2")
    result = ptx("eval", "--sources", tiny["a"], "--target", tiny["b"], "--suite", suite, "--anchors", key, *FAST)
    assert result.code == 0, result.err
    assert result.at("eval")[0]["dropped"] == 0
