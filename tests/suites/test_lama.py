"""Folders of facts in the layouts that LAMA, AutoPrompt and OptiPrompt distribute."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import COUNTRIES, SUBJECTS, write_suite

from ptx.errors import PtxError
from ptx.suites import load_suite
from ptx.suites.lama import suites_in

LAMA = Path(__file__).parents[3] / "shared" / "lama"
LINE = {
    "uuid": "1", "obj_uri": "Q142", "obj_label": "France", "sub_uri": "Q90", "sub_label": "Paris",
    "predicate_id": "P17", "evidences": [{"masked_sentence": "Paris is in [MASK].", "sub_surface": "Paris"}],
}  # fmt: skip


def write_lama(folder: Path, tasks: Sequence[str] = ("P17", "P19"), count: int = 40) -> Path:
    """LAMA's own layout: a file for each relation, with evidence, and templates one folder up."""
    folder.mkdir(parents=True)
    for task in tasks:
        lines = [{**LINE, "sub_label": SUBJECTS[i], "obj_label": COUNTRIES[i % 5]} for i in range(count)]
        (folder / f"{task}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_relations(folder.parent / "relations.jsonl", "[X] is in [Y] .")
    return folder


def write_relations(path: Path, template: str) -> None:
    path.parent.mkdir(exist_ok=True)
    lines = [
        {"relation": task, "template": template, "label": f"label {task}", "type": "N-1"} for task in ("P17", "P19")
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def sizes(name: str | Path) -> dict[str, list[int]]:
    return {t.name: [len(t.splits[s]) for s in ("train", "dev", "test")] for t in load_suite(str(name)).tasks}


def error_of(name: str | Path) -> PtxError:
    with pytest.raises(PtxError) as raised:
        load_suite(str(name))
    return raised.value


def test_lamas_files_are_a_test_set(tmp_path: Path) -> None:
    folder = write_lama(tmp_path / "data" / "TREx")
    assert sizes(folder) == {"P17": [0, 0, 40], "P19": [0, 0, 40]}
    task = load_suite(str(folder)).tasks[0]
    assert (task.template, task.label) == ("[X] is in [Y] .", "label P17")
    assert task.splits["test"][7].where == f"{folder}/P17.jsonl:8"


def test_split_makes_the_same_train_facts_as_reading_one_file(tmp_path: Path) -> None:
    folder = write_lama(tmp_path / "TREx")
    whole, single = load_suite(f"split:{folder}").tasks[0], load_suite(str(folder / "P17.jsonl")).tasks[0]
    assert sum(sizes(f"split:{folder}")["P17"]) == 40
    assert whole.digest("train", "dev", "test") == single.digest("train", "dev", "test")
    assert whole.template == single.template == "[X] is in [Y] ."
    assert len(whole.splits["train"]) > len(whole.splits["test"]) > 0


def test_split_is_for_files_without_splits(tmp_path: Path) -> None:
    error = error_of(f"split:{write_suite(tmp_path / 's')}")
    assert error.message == f"{tmp_path}/s has train, dev and test files already"
    assert error_of("split:nowhere").message == "the suite 'split:nowhere' needs a folder, and nowhere is none"


@pytest.mark.parametrize(
    "where", ["data/s/relations.jsonl", "data/relations.jsonl", "data/relation_metainfo", "relation_metainfo"]
)
def test_templates_are_found_in_the_folder_and_near_it(tmp_path: Path, where: str) -> None:
    suite = write_suite(tmp_path / "data" / "s", tasks=["P17"])
    (suite / "relations.jsonl").unlink()
    path = tmp_path / where
    write_relations(path if path.suffix else path / "LAMA_relations.jsonl", "[X] near [Y] .")
    assert load_suite(str(suite)).tasks[0].template == "[X] near [Y] ."


def test_lamas_templates_go_before_other_peoples(tmp_path: Path) -> None:
    suite = write_suite(tmp_path / "s", tasks=["P17"])
    (suite / "relations.jsonl").unlink()
    for name in ("AutoPrompt", "LPAQA", "LAMA"):
        write_relations(tmp_path / "relation_metainfo" / f"{name}_relations.jsonl", f"[X] {name} [Y] .")
    assert load_suite(str(suite)).tasks[0].template == "[X] LAMA [Y] ."
    (tmp_path / "relation_metainfo" / "LAMA_relations.jsonl").unlink()
    error = error_of(suite)
    assert "several files of templates" in error.message
    assert error.hint == "name the one to use relations.jsonl"


def test_hidden_files_of_a_mac_are_no_tasks(tmp_path: Path) -> None:
    folder = write_lama(tmp_path / "TREx")
    (folder / "._P17.jsonl").write_bytes(b"\x00\x05\x16\x07")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "train.jsonl").write_bytes(b"\x00")
    assert list(sizes(folder)) == ["P17", "P19"]


def test_a_task_that_is_there_twice(tmp_path: Path) -> None:
    """OptiPrompt's data has autoprompt_data/P17 and cmp_lms_data/P17."""
    for name in ("autoprompt_data", "cmp_lms_data"):
        write_suite(tmp_path / "data" / name, tasks=["P17"])
    error = error_of(tmp_path / "data")
    assert error.message.startswith("task P17 is there twice: ")
    assert error.hint == f"choose one of the folders: {tmp_path}/data/autoprompt_data, {tmp_path}/data/cmp_lms_data"


def test_a_folder_of_parts_names_them(tmp_path: Path) -> None:
    for name in ("Easy", "Hard"):
        write_lama(tmp_path / "parts" / name)
    (tmp_path / "parts" / "relations.jsonl").unlink()
    assert error_of(tmp_path / "parts").hint == (
        f"choose one of the folders: {tmp_path}/parts/Easy, {tmp_path}/parts/Hard"
    )
    assert list(suites_in(tmp_path)) == [(tmp_path / "parts" / "Easy", 2), (tmp_path / "parts" / "Hard", 2)]


def test_suites_in_an_unpacked_archive(tmp_path: Path) -> None:
    """Texts without subjects (ConceptNet's in LAMA's archive) are not offered."""
    write_lama(tmp_path / "TREx")
    write_suite(tmp_path / "autoprompt_data")
    (tmp_path / "ConceptNet").mkdir()
    (tmp_path / "ConceptNet" / "test.jsonl").write_text('{"sub": "a", "obj_label": "b"}\n')
    assert list(suites_in(tmp_path)) == [(tmp_path / "TREx", 2), (tmp_path / "autoprompt_data", 2)]


def test_a_repeated_fact_is_kept_once(tmp_path: Path) -> None:
    folder = write_lama(tmp_path / "TREx", tasks=["P17"])
    file = folder / "P17.jsonl"
    first = file.read_text().splitlines()[0]
    file.write_text(file.read_text() + first + "\n" + first.replace("name0", " name0 ") + "\n")
    (task,) = load_suite(str(folder)).tasks
    assert len(task.splits["test"]) == 40
    assert task.repeated["test"] == 2


@pytest.mark.skipif(not LAMA.is_dir(), reason="needs the field's data beside the project")
@pytest.mark.parametrize("folder", ["", "data", "data/autoprompt_data"])
def test_real_data_from_each_of_its_folders(folder: str) -> None:
    tasks = {task.name: task for task in load_suite(str(LAMA / folder)).tasks}
    assert len(tasks) == 35
    assert tasks["P19"].template == "[X] was born in [Y] ."
    assert [len(tasks["P17"].splits[split]) for split in ("train", "dev", "test")] == [799, 200, 255]
