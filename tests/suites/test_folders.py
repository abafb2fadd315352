"""Folders as people have them: linked, mixed, with parts that are no facts. What is not read is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import COUNTRIES, SUBJECTS, write_suite

from ptx.errors import PtxError
from ptx.suites import Suite, folders, read_suite
from ptx.suites.lines import refuse


def write(path: Path, count: int = 8, **more: object) -> Path:
    """Facts as JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [{"sub_label": SUBJECTS[i], "obj_label": COUNTRIES[i % 5], **more} for i in range(count)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def left_out(suite: Suite, folder: Path) -> dict[str, str]:
    return {str(Path(remark.where).relative_to(folder)): remark.what for remark in suite.remarks}


def names(suite: Suite) -> list[str]:
    return [task.name for task in suite.tasks]


def test_linked_task_folders_are_entered(tmp_path: Path) -> None:
    store = write_suite(tmp_path / "store", tasks=["R1", "R2", "R3"])
    suite = tmp_path / "suite"
    suite.mkdir()
    (suite / "R1").symlink_to(store / "R1")
    (suite / "R2").symlink_to("../store/R2", target_is_directory=True)
    write(suite / "R4" / "test.jsonl")
    found = read_suite(str(suite))
    assert names(found) == ["R1", "R2", "R4"]
    assert found.tasks[0].digest("train") == read_suite(str(store)).tasks[0].digest("train")
    assert not found.remarks


def test_links_in_a_circle_and_to_nowhere_end(tmp_path: Path) -> None:
    suite = tmp_path / "all" / "suite"
    write(tmp_path / "all" / "beside" / "P9.jsonl")
    write(suite / "P1.jsonl")
    write(suite / "P2" / "test.jsonl")
    links = {"up": "..", "here": ".", "again": "P2", "gone": "nowhere", "P2/back": "..", "self": "self"}
    for name, target in links.items():
        (suite / name).symlink_to(target)
    found = read_suite(str(suite))
    assert names(found) == ["P1", "P2"]
    said = left_out(found, suite)
    assert set(said) == set(links)
    assert said["gone"] == said["self"] == "left out, since it is a broken link"
    assert said["again"].startswith("left out, since it leads to a folder above it or one that is read already")


def test_every_part_of_lamas_data_is_read_or_named(tmp_path: Path) -> None:
    write(tmp_path / "TREx" / "P1.jsonl")
    write(tmp_path / "TREx" / "P2.jsonl")
    write(tmp_path / "Google_RE" / "place_of_birth_test.jsonl")
    write(tmp_path / "Squad" / "test.jsonl", sub_label="Squad")
    (tmp_path / "ConceptNet").mkdir()
    (tmp_path / "ConceptNet" / "test.jsonl").write_text('{"sub": "a", "obj": "b", "obj_label": "b"}\n' * 3)
    (tmp_path / "relations.jsonl").write_text('{"relation": "P1", "template": "[X] in [Y] ."}\n')
    (tmp_path / "__MACOSX" / "TREx").mkdir(parents=True)
    (tmp_path / "__MACOSX" / "TREx" / "P1.jsonl").write_bytes(b"\0")
    found = read_suite(str(tmp_path))
    assert names(found) == ["P1", "P2", "place_of_birth_test"]
    said = left_out(found, tmp_path)
    assert set(said) == {"ConceptNet", "Squad/test.jsonl"}
    assert "no row of it has sub_label and obj_label" in said["ConceptNet"]
    assert "the subject of all 5 facts is 'Squad'" in said["Squad/test.jsonl"]


def test_other_files_of_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "P1" / "train.jsonl")
    write(tmp_path / "P1" / "valid.jsonl", 4)
    write(tmp_path / "P1" / "old_train.jsonl")
    (tmp_path / "P2.CSV").write_text("sub_label,obj_label,split\na,b,train\nc,d,\n")
    (tmp_path / "words.txt").write_text("one\ntwo\n")
    (tmp_path / "config.json").write_text('{\n"a": 1}\n')
    (tmp_path / "README.md").write_text("facts\n")
    found = read_suite(str(tmp_path))
    sizes = {task.name: [len(task.splits[s]) for s in ("train", "dev", "test")] for task in found.tasks}
    assert sizes == {"P1": [8, 4, 0], "P2": [1, 0, 1]}
    said = left_out(found, tmp_path)
    assert set(said) == {"P1/old_train.jsonl", "words.txt", "config.json", "README.md"}
    assert said["README.md"].startswith("left out, by its ending")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["P1/dev.jsonl", "P1/valid.jsonl"], "two files of the split dev: "),
        (["P1/train.jsonl", "P1/train.jsonl.gz"], "two files of the split train: "),
        (["P1.jsonl", "P1.json"], "task P1 is there twice: "),
        (["P1/train.jsonl", "P1.jsonl"], "task P1 is there twice: "),
    ],
)
def test_the_same_twice(tmp_path: Path, files: list[str], message: str) -> None:
    for file in files:
        write(tmp_path / file)
    with pytest.raises(PtxError) as raised:
        read_suite(str(tmp_path))
    assert raised.value.message.startswith(message)
    assert raised.value.hint


def test_a_folder_without_any_facts_says_what_is_wrong_with_the_first(tmp_path: Path) -> None:
    (tmp_path / "P1.csv").write_text("item,capital\na,b\n")
    with pytest.raises(PtxError) as raised:
        read_suite(str(tmp_path))
    assert raised.value.message == f"{tmp_path}/P1.csv:1: no column 'sub_label' in item, capital"


def test_columns_of_a_folders_files(tmp_path: Path) -> None:
    """Tasks and splits that rows name count there too; a split that contradicts its file's is an error."""
    write(tmp_path / "train.jsonl", 8, task="P1", split="train")
    write(tmp_path / "test.jsonl", 4, task="P2")
    found = read_suite(str(tmp_path))
    assert [(t.name, len(t.splits["train"]), len(t.splits["test"])) for t in found.tasks] == [
        ("P1", 8, 0),
        ("P2", 0, 4),
    ]
    write(tmp_path / "test.jsonl", 1, split="train")
    with pytest.raises(PtxError) as raised:
        read_suite(str(tmp_path))
    assert raised.value.message == f"{tmp_path}/test.jsonl:1: split 'train' in a file of test"


def test_the_nearest_templates_are_a_tasks(tmp_path: Path) -> None:
    """As mLAMA's, a folder a language: each brings templates.jsonl, and none of them is a task."""
    for language, task in (("de", "P1"), ("en", "P2")):
        write(tmp_path / language / f"{task}.jsonl")
        lines = [{"relation": each, "template": f"[X] {language} [Y] ."} for each in ("P1", "P2")]
        (tmp_path / language / "templates.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = read_suite(str(tmp_path))
    assert {task.name: task.template for task in found.tasks} == {"P1": "[X] de [Y] .", "P2": "[X] en [Y] ."}
    (single,) = read_suite(str(tmp_path / "en" / "P2.jsonl")).tasks
    assert single.template == "[X] en [Y] ."


def test_templates_that_are_not_taken_are_named(tmp_path: Path) -> None:
    write(tmp_path / "P1.jsonl")
    for name, template in (("relations", "[X] a [Y] ."), ("LPAQA_relations", "[X] b [Y] .")):
        lines = [{"relation": "P1", "template": template}, {"relation": "P1", "template": template + "."}]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = read_suite(str(tmp_path))
    assert found.tasks[0].template == "[X] a [Y] .."
    assert left_out(found, tmp_path) == {
        "relations.jsonl": "P1 stands there more than once: the last is taken",
        "LPAQA_relations.jsonl": "left out, since templates are taken from relations",
    }


def test_a_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "P1.jsonl")

    def denied(folder: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", denied)
    with pytest.raises(PtxError, match=r"cannot read .*: Permission denied"):
        folders.files_in(tmp_path, refuse)


def test_remarks_are_told_once_a_command_and_again_by_the_next(ptx, tiny, tmp_path: Path) -> None:
    suite = write_suite(tmp_path / "s", tasks=["R1"])
    (suite / "README.md").write_text("facts")
    for _ in range(2):
        for more in ((), ("--json",)):
            done = ptx("tune", "--model", tiny["a"], "--suite", suite, "--epochs", "1", *more)
            assert done.code == 0, done.err
            assert done.err.count("README.md: left out, by its ending") == 1
    assert "README.md: left out" in ptx("data", "check", suite, "--models", tiny["a"]).err
    (line,) = [row for row in ptx("data", "check", suite, "--models", tiny["a"], "--json").lines if "remark" in row]
    assert line["where"] == f"{suite}/README.md"


def test_remarks_are_told_before_an_error(ptx, tiny, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("sub_label;obj_label\na;b;c\n")
    failed = ptx("tune", "--model", tiny["a"], "--suite", tmp_path / "a.csv")
    assert failed.code == 1
    assert failed.err.index("a.csv: semicolons separate its columns") < failed.err.index("a.csv:2: 3 fields")


def test_manual_prompts_of_a_suite_in_which_some_tasks_have_none(ptx, tiny, tmp_path: Path) -> None:
    """LAMA's relations.jsonl has no templates for its Google_RE part."""
    for task in ("P1", "P2"):
        write(tmp_path / "s" / f"{task}.jsonl")
    (tmp_path / "s" / "relations.jsonl").write_text('{"relation": "P1", "template": "[X] word1 [Y] ."}\n')
    command = ("eval", "--target", tiny["a"], "--method", "manual", "--suite", tmp_path / "s")
    done = ptx(*command, "--json")
    assert done.code == 0, done.err
    assert [line["task"] for line in done.at("eval")] == ["P1"]
    assert "skipped P2" in done.err
    assert "task P2 has no manual template" in ptx(*command, "--tasks", "P1,P2").err
