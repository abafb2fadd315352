"""--strict: an object that is not one allowed word is an error, whatever is in the cache."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import write_suite


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    return write_suite(tmp_path / "mixed", tasks=["R1"], objects=["France", "Japan", "Atlantis"])


@pytest.mark.parametrize("built", [False, True], ids=["empty cache", "all in the cache"])
def test_tuning_strictly(ptx, tiny, mixed, built) -> None:
    args = ["tune", "--model", tiny["a"], "--suite", mixed, "--epochs", "1"]
    if built:
        assert ptx(*args).code == 0
    result = ptx(*args, "--strict")
    assert result.code == 1
    assert "objects of train are not one token in" in result.err
    assert f"'Atlantis' ({mixed}/R1/train.jsonl:" in result.err
    assert "leave out --strict" in result.err


@pytest.mark.parametrize("built", [False, True], ids=["empty cache", "all in the cache"])
def test_scoring_strictly(ptx, tiny, mixed, built) -> None:
    """Tuning drops nothing here, and scoring must not either."""
    for split in ("train", "dev"):
        path = mixed / "R1" / f"{split}.jsonl"
        path.write_text(path.read_text().replace("Atlantis", "Peru"))
    args = ["eval", "--target", tiny["a"], "--suite", mixed, "--epochs", "1"]
    if built:
        assert ptx(*args).code == 0
    result = ptx(*args, "--strict")
    assert result.code == 1
    assert "objects are not words that all models share: 'Atlantis'" in result.err
    assert ptx("tune", "--model", tiny["a"], "--suite", mixed, "--epochs", "1", "--strict").code == 0


@pytest.mark.parametrize("built", [False, True], ids=["empty cache", "all in the cache"])
def test_facts_that_differ_only_in_template_or_answers(ptx, tiny, tmp_path, built) -> None:
    facts: list[dict[str, Any]] = [
        {"sub_label": "name1", "obj_label": "France", "template": "[X] word1 [Y] ."},
        {"sub_label": "name1", "obj_label": "France", "template": "[Y] word2 [X]"},
        {"sub_label": "name1", "obj_label": ["Atlantis", "Japan"], "template": "[Y] word2 [X]"},
        {"sub_label": "name1", "obj_label": "Atlantis", "template": "[X] word1 [Y] ."},
    ]
    suite = tmp_path / "rows.jsonl"
    suite.write_text("".join(json.dumps({**fact, "split": "test"}) + "\n" for fact in facts))
    args = ["eval", "--target", tiny["a"], "--suite", suite, "--method", "manual", "--json"]
    if built:
        (row,) = ptx(*args).at("eval")
        lines = (Path(row["path"]) / "predictions.jsonl").read_text().splitlines()
        named = [(fact["object"], fact.get("others"), fact.get("template")) for fact in map(json.loads, lines)]
        own = "[Y] word2 [X]"
        assert named == [("France", None, None), ("France", None, own), ("Atlantis", ["Japan"], own)]
    result = ptx(*args, "--strict")
    assert result.code == 1
    assert "1 of 4 objects are not words that all models share: 'Atlantis'" in result.err
    assert f"({suite}:4)" in result.err


def test_strictness_is_no_part_of_keys(ptx, tiny, suite) -> None:
    args = ["eval", "--sources", tiny["a"], "--target", tiny["b"], "--suite", suite, "--epochs", "1", "--json"]
    strict = ptx(*args, "--strict")
    assert strict.code == 0, strict.err
    assert all(line["reused"] for line in ptx(*args).lines)
