"""Prompts of one suite scored on the facts of another: LAMA's easy, hard and UHN parts, without tuning again."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from conftest import COUNTRIES, SUBJECTS

FAST = ["--epochs", "1", "--json"]


@pytest.fixture
def hard(tmp_path: Path, suite: str) -> Path:
    """Half of each task's test facts, in LAMA's layout: a file for each task, no train facts, no templates."""
    folder = tmp_path / "parts" / "Hard"
    folder.mkdir(parents=True)
    for task in ("R1", "R2"):
        lines = (Path(suite) / task / "test.jsonl").read_text().splitlines()[:4]
        (folder / f"{task}.jsonl").write_text("".join(line + "\n" for line in lines))
    return folder


def predictions(line: dict) -> dict[str, str]:
    rows = (Path(line["path"]) / "predictions.jsonl").read_text().splitlines()
    return {row["subject"]: row["predicted"] for row in map(json.loads, rows)}


def floor(suite: str, task: str, part: Path) -> float:
    """The share of a part's facts with the most frequent train object, counted anew."""
    train = [json.loads(line)["obj_label"] for line in (Path(suite) / task / "train.jsonl").read_text().splitlines()]
    counts = Counter(train)
    usual = min(counts, key=lambda obj: (-counts[obj], obj))
    objects = [json.loads(line)["obj_label"] for line in (part / f"{task}.jsonl").read_text().splitlines()]
    return objects.count(usual) / len(objects)


@pytest.mark.parametrize("method", ["relative", "tuned", "manual", "direct"])
def test_a_part_is_scored_with_the_whole_suites_prompts(ptx, tiny, suite, hard, method) -> None:
    how = ["--target", tiny["b"], "--suite", suite, "--method", method, *FAST]
    how += ["--sources", tiny["a"]] if method in ("relative", "direct") else []
    whole = ptx("eval", *how)
    part = ptx("eval", *how, "--on", hard)
    assert part.code == 0, part.err
    assert all(line["reused"] for line in part.lines if line["stage"] != "eval")
    assert {line["task"] for line in part.at("eval")} == {"R1", "R2"}
    for one, two in zip(whole.at("eval"), part.at("eval"), strict=True):
        assert (one["facts"], two["facts"], two["suite"]) == (8, 4, str(hard))
        assert one["key"] != two["key"]
        assert two["floor"] == floor(suite, two["task"], hard)
        assert predictions(two).items() <= predictions(one).items()


def test_a_key_is_scored_on_another_suites_task(ptx, tiny, suite, hard) -> None:
    source = ["--sources", tiny["a"], "--target", tiny["b"], "--suite", suite, *FAST]
    keys = {line["task"]: line["key"] for line in ptx("search", *source).at("search")}
    grid = {line["task"]: line for line in ptx("eval", *source, "--on", hard).at("eval")}
    own = ptx("eval", "--target", tiny["b"], "--prompt", keys["R1"], "--json")
    assert own.at("eval")[0]["facts"] == 8
    assert "skipped" not in own.err
    one = ptx("eval", "--target", tiny["b"], "--prompt", keys["R1"], "--suite", hard, "--tasks", "R1", "--json")
    assert one.code == 0, one.err
    (line,) = one.at("eval")
    assert line["facts"] == 4
    assert line["accuracy"] == grid["R1"]["accuracy"]
    assert line["floor"] == grid["R1"]["floor"]
    without = ptx("eval", "--target", tiny["b"], "--prompt", keys["R1"], "--on", hard, "--json")
    assert without.at("eval")[0]["key"] == line["key"]
    crossed = ptx("eval", "--target", tiny["b"], "--prompt", keys["R1"], "--suite", hard, "--tasks", "R2")
    assert crossed.code == 2
    assert "the prompts are for R1 too" in crossed.err


def test_a_general_setting_of_the_suite_does_not_move_a_prompt(ptx, tiny, suite, hard, monkeypatch) -> None:
    source = ["--sources", tiny["a"], "--target", tiny["b"], "--suite", suite, *FAST]
    key = ptx("search", *source).at("search")[0]["key"]
    monkeypatch.setenv("PTX_SUITE", str(hard))
    assert ptx("eval", "--target", tiny["b"], "--prompt", key, "--json").at("eval")[0]["facts"] == 8


def test_parts_and_the_whole_are_tables_of_their_own(ptx, tiny, suite, hard) -> None:
    how = ["--target", tiny["b"], "--suite", suite, "--epochs", "1"]
    for more in ([], ["--on", hard]):
        ptx("eval", *how, *more)
        ptx("eval", *how, *more, "--method", "manual")
    out = ptx("table").out
    assert out.count("test split: 2 tasks, 16 facts") == 1
    assert out.count("test split: 2 tasks, 8 facts") == 1
    assert out.count("manual") == 4  # two figures of each
    assert f"tuned on {Path(suite).name}" in out


def test_a_test_set_alone_has_no_floor_and_cannot_be_tuned_on(ptx, tiny, hard, suite) -> None:
    relations = (Path(suite) / "relations.jsonl").read_text()
    (hard.parent / "relations.jsonl").write_text(relations)
    manual = ptx("eval", "--target", tiny["b"], "--suite", hard, "--method", "manual", "--json")
    assert manual.code == 0, manual.err
    assert [line["floor"] for line in manual.at("eval")] == [None, None]
    shown = ptx("eval", "--target", tiny["b"], "--suite", hard, "--method", "manual")
    assert "majority-class floor" not in shown.out
    table = ptx("table")
    assert table.code == 0, table.err
    assert "majority class" not in table.out
    failed = ptx("tune", "--model", tiny["a"], "--suite", hard)
    assert failed.code == 1
    assert "no facts in train or dev" in failed.err
    assert f"--on {hard}" in failed.err.replace("\n", " ")
    assert f"split:{hard}" in failed.err.replace("\n", " ")


def test_lamas_files_split_by_hash_go_all_the_way(ptx, tiny, tmp_path) -> None:
    folder = tmp_path / "TREx"
    folder.mkdir()
    facts = [{"sub_label": s, "obj_label": COUNTRIES[i % 5]} for i, s in enumerate(SUBJECTS)]
    (folder / "P17.jsonl").write_text("".join(json.dumps(fact) + "\n" for fact in facts))
    suite = f"split:{folder}"
    found = ptx("eval", "--sources", tiny["a"], "--target", tiny["b"], "--suite", suite, *FAST)
    assert found.code == 0, found.err
    key = found.at("search")[0]["key"]
    again = ptx("eval", "--target", tiny["b"], "--prompt", key, "--json").at("eval")[0]
    assert again["facts"] == found.at("eval")[0]["facts"]
    assert ptx("predict", "--target", tiny["b"], "--prompt", key, "name1").code == 0


def test_a_task_that_the_part_lacks(ptx, tiny, suite, hard) -> None:
    (hard / "R2.jsonl").unlink()
    args = ["eval", "--target", tiny["b"], "--suite", suite, "--on", hard, "--epochs", "1", "--json"]
    assert [line["task"] for line in ptx(*args).at("eval")] == ["R1"]
    named = ptx(*args, "--tasks", "R1,R2")
    assert named.code == 1
    assert f"R2 of suite {hard}: no facts in test" in named.err


def test_a_common_vocabulary_as_it_is_distributed(ptx, tiny, suite, tmp_path) -> None:
    """OptiPrompt's files have blanks before the words; facts whose object is not among them are dropped."""
    file = tmp_path / "common_vocab_cased.txt"
    file.write_bytes(b"\xef\xbb\xbf  France\r\n  Japan\r\n  Oslo\r\n  word1\r\n  word2\r\n")
    result = ptx("eval", "--target", tiny["b"], "--suite", suite, "--anchors", file, *FAST)
    assert result.code == 0, result.err
    for line in result.at("eval"):
        facts = [json.loads(x) for x in (Path(suite) / line["task"] / "test.jsonl").read_text().splitlines()]
        assert line["facts"] == sum(fact["obj_label"] in ("France", "Japan") for fact in facts)
        assert line["dropped"] == 8 - line["facts"]
        assert set(predictions(line).values()) <= {"France", "Japan", "word1", "word2"}
