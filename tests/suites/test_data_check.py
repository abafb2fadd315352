"""`ptx data check`: what would be used, what dropped, and why, before anything runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import write_suite, write_topics


@pytest.fixture
def models(tiny) -> list[str]:
    return ["--models", f"{tiny['a']},{tiny['b']}"]


@pytest.fixture
def messy(tmp_path: Path) -> Path:
    """Of 24 train facts: 2 repeated lines more, one object unknown; a test fact that is also in train."""
    suite = write_suite(tmp_path / "messy", tasks=["R1", "R2"])
    train = suite / "R1" / "train.jsonl"
    lines = train.read_text().splitlines()
    lines[3] = '{"sub_label": "name3", "obj_label": "Atlantis"}'
    train.write_text("\n".join([*lines, lines[0], lines[0]]) + "\n")
    with (suite / "R1" / "test.jsonl").open("a") as file:
        file.write(lines[1] + "\n")
    return suite


def test_counts_and_examples(ptx, messy, models) -> None:
    result = ptx("data", "check", messy, *models, "--json")
    assert result.code == 0, result.err
    rows = {(row["task"], row["split"]): row for row in result.lines}
    assert len(rows) == 6
    train, test = rows["R1", "train"], rows["R1", "test"]
    assert [train[name] for name in ("facts", "used", "dropped", "repeated", "in_train")] == [26, 23, 1, 2, 0]
    assert train["dropped_objects"] == [{"value": "Atlantis", "count": 1, "where": f"{messy}/R1/train.jsonl:4"}]
    assert [test[name] for name in ("facts", "used", "dropped", "in_train")] == [9, 9, 0, 1]
    assert test["in_train_facts"][0]["where"] == f"{messy}/R1/test.jsonl:9"
    assert train["template"] == "[X] word1 word2 [Y] ."


def test_what_it_says_is_what_tuning_and_scoring_do(ptx, messy, tiny, models) -> None:
    rows = {(row["task"], row["split"]): row for row in ptx("data", "check", messy, *models, "--json").lines}
    done = ptx("eval", "--sources", tiny["a"], "--target", tiny["b"], "--suite", messy, "--epochs", "1", "--json")
    for stage, split in (("tune", "train"), ("eval", "test")):
        for line in done.at(stage):
            row = rows[line["task"], split]
            assert (line["facts"], line["dropped"]) == (row["used"], row["dropped"])


def test_a_table_for_people(ptx, messy, models) -> None:
    result = ptx("data", "check", messy, *models)
    header, first, second = (line.split() for line in result.out.splitlines())
    assert header == ["task", "template", "train", "dev", "test", "dropped", "repeated", "in_train"]
    assert first == ["R1", "yes", "23", "8", "9", "1", "2", "1"]
    assert second == ["R2", "yes", "24", "8", "8", "0", "0", "0"]
    assert "R1 train: 1 fact dropped, since the object is not one shared word: 'Atlantis'" in result.err
    names = ", ".join(Path(model).name for model in models[1].split(","))
    assert f"words shared by {names}" in result.err


def test_templates_that_are_missing_or_wrong(ptx, suite, tmp_path, models) -> None:
    mine = write_suite(tmp_path / "mine", tasks=["R1", "R2", "R3"])
    lines = ['{"relation": "R1", "template": "[X] is ."}', '{"relation": "R2", "template": "[X] is [Y] ."}']
    (mine / "relations.jsonl").write_text("\n".join(lines))
    rows = [line.split()[:2] for line in ptx("data", "check", mine, *models).out.splitlines()[1:]]
    assert rows == [["R1", "wrong"], ["R2", "yes"], ["R3", "no"]]


def test_strictly_a_drop_is_an_error(ptx, messy, models) -> None:
    result = ptx("data", "check", messy, *models, "--strict")
    assert result.code == 1
    assert "1 fact would be dropped" in result.err
    (messy / "R1" / "train.jsonl").write_text("")
    assert ptx("data", "check", messy, *models, "--strict").code == 0


def test_every_bad_line_is_named_at_once(ptx, messy, models) -> None:
    with (messy / "R1" / "dev.jsonl").open("ab") as file:
        file.write(b'{"sub_label": 5, "obj_label": "Peru"}\n\xff\n{"obj_label": "Peru"}\nnot json\n')
    result = ptx("data", "check", messy, *models)
    assert result.code == 1
    for number, what in enumerate(["sub_label is 5", "not UTF-8", "no column 'sub_label'", "not JSON"], start=9):
        assert f"{messy}/R1/dev.jsonl:{number}: {what}" in result.err
    assert f"{messy}: 4 problems" in result.err
    assert "R1" in result.out  # the rest is counted all the same
    problems = [line for line in ptx("data", "check", messy, *models, "--json").lines if "error" in line]
    assert len(problems) == 4
    assert all(problem["hint"] for problem in problems)


def test_texts_with_labels(ptx, tmp_path, models) -> None:
    suite = write_topics(tmp_path / "moods")
    assert [row["used"] for row in ptx("data", "check", suite, *models, "--json").lines] == [24, 8, 8]
    bad = write_topics(tmp_path / "bad", words='{ good = "Atlantis", bad = "Japan" }')
    with (bad / "dev.jsonl").open("a") as file:
        file.write('{"text": "x", "label": "ugly"}\n')
    result = ptx("data", "check", bad, *models)
    assert result.code == 1
    assert "the label word 'Atlantis' is not one word of all models" in result.err
    assert "dev.jsonl:9: label 'ugly' has no label word" in result.err


def test_facts_with_several_right_answers(ptx, tiny, tmp_path, models) -> None:
    """Dropped only if none of them is known; tuning takes the first that is, and so does --strict."""
    answers = [["Atlantis", "France"], ["Japan"], ["Atlantis", "Nowhere"], ["Peru", "Japan"]]
    for split in ("train", "dev", "test"):
        path = tmp_path / "s" / "P1" / f"{split}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [{"sub_label": f"name{i}", "obj_label": value} for i, value in enumerate(answers)]
        lines += [{"sub_label": "name3", "obj_label": "Japan"}] if split == "test" else []
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = {row["split"]: row for row in ptx("data", "check", tmp_path / "s", *models, "--json").lines}
    assert [(row["used"], row["dropped"]) for row in rows.values()] == [(3, 1), (3, 1), (4, 1)]
    assert rows["test"]["in_train"] == 5
    command = ("tune", "--model", tiny["a"], "--suite", tmp_path / "s", "--epochs", "1", "--json")
    (tuned,) = ptx(*command).at("tune")
    assert (tuned["facts"], tuned["dropped"]) == (3, 1)
    strict = ptx(*command, "--strict")
    assert strict.code == 1
    assert "1 of 4 objects of train are not one token" in strict.err
    assert "'Atlantis'" in strict.err


def test_templates_of_facts_of_their_own(ptx, tmp_path, models) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "sub_label,obj_label,template\nname1,Japan,[X] a [Y] .\nname2,Japan,[X] b [Y] .\nname3,Peru,[X] c .\n"
    )
    rows = ptx("data", "check", path, *models, "--json").lines
    assert sum(row["own_templates"] for row in rows) == 2
    assert sum(row["wrong_templates"] for row in rows) == 1
    assert ptx("data", "check", path, *models).out.splitlines()[1].split()[:2] == ["a", "wrong"]


def test_a_file_of_words_narrows_what_is_used(ptx, suite, tmp_path, tiny, models) -> None:
    (tmp_path / "words.txt").write_text("  France\n  Atlantis\n")
    rows = ptx("data", "check", suite, *models, "--anchors", "words.txt", "--json").lines
    for row in rows:
        path = Path(suite) / row["task"] / f"{row['split']}.jsonl"
        objects = [json.loads(line)["obj_label"] for line in path.read_text().splitlines()]
        assert row["used"] == objects.count("France")


def test_the_embedded_facts_are_all_used_by_the_zoo(ptx) -> None:
    result = ptx("data", "check", "facts", "--strict", "--json")
    assert result.code == 0, result.err
    assert sum(row["used"] for row in result.lines) == 10_021
    assert not any(row["repeated"] or row["in_train"] for row in result.lines)
