from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ptx.errors import PtxError
from ptx.suites import EMBEDDED, Fact, Task, load_suite

LAMA = Path(__file__).parents[3] / "shared" / "lama"


def test_a_file_may_name_tasks_and_splits(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("task,sub_label,obj_label,split,template\nT,Rome,Italy,train,[X] in [Y] .\nT,Oslo,Norway,test,\n")
    (task,) = load_suite(str(path)).tasks
    assert (task.name, task.template, task.labels) == ("T", "[X] in [Y] .", ())
    assert [len(task.splits[s]) for s in ("train", "dev", "test")] == [1, 0, 1]
    assert task.splits["test"][0].where == f"{path}:3"


def test_a_file_without_splits_is_split_by_subject(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    facts = [{"sub_label": f"s{i}", "obj_label": "o"} for i in range(500)]
    path.write_text("\n".join(map(json.dumps, facts)))
    (task,) = load_suite(str(path)).tasks
    sizes = [len(task.splits[s]) for s in ("train", "dev", "test")]
    assert sum(sizes) == 500
    assert sizes == pytest.approx([300, 100, 100], abs=40)


def test_digests_of_facts_are_those_of_caches_in_use(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("sub_label,obj_label,split\nRome,Italy,train\nOslo,Norway,test\n")
    (task,) = load_suite(str(path)).tasks
    assert task.digest("train", "test") == "dc7a9870eb23d52ca79c540119d3997340baefb81f5519382144fde7fca09962"
    everything = "".join(task.digest("train", "dev", "test") for task in load_suite("facts").tasks)
    assert hashlib.sha256(everything.encode()).hexdigest() == (
        "fcc1bf9d49317583825021bd3cb425e9d10f4510a9a6ad5588c9a9fe83987c24"
    )


def test_labels_and_truncation_enter_the_digest_and_places_do_not() -> None:
    task = Task("t", "t", None, {"train": (Fact("a", "b", "x:1"),)})
    moved = dataclasses.replace(task, splits={"train": (Fact("a", "b", "y:9"),)})
    assert task.digest("train") == moved.digest("train")
    variants = [task, *(dataclasses.replace(task, labels=labels) for labels in (("b", "c"), ("b", "d")))]
    variants += [dataclasses.replace(variant, truncate=True) for variant in variants]
    assert len({variant.digest("train") for variant in variants}) == 6


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.jsonl",
            b'{"sub_label": "a", "obj_label": "b"}\n\n{"sub_label": "a"}\n',
            "a.jsonl:3: no column 'obj_label'",
        ),
        ("a.jsonl", b'{"sub_label": "a", "obj_label": 5}\n', "a.jsonl:1: obj_label is 5, which is no text"),
        ("a.jsonl", b'\n{"sub_label": \n', "a.jsonl:2: not JSON (Expecting value, column 14)"),
        ("a.jsonl", b"[1]\n", "a.jsonl:1: not a JSON object"),
        ("a.jsonl", b'{"sub_label": "\xe9"}\n', "a.jsonl:1: not UTF-8 (invalid continuation byte)"),
        ("a.csv", b"sub_label,object\na,b\n", "a.csv:1: no column 'obj_label' in sub_label, object"),
        ("a.csv", b'sub_label,obj_label\n"a\nb",c\nd\n', "a.csv:4: no column 'obj_label'"),
        (
            "a.csv",
            b"sub_label,obj_label\nParis, Texas,USA\n",
            "a.csv:2: 3 fields, but 2 columns (sub_label, obj_label)",
        ),
        ("a.csv", b'sub_label,obj_label\na,b\n"c,d\ne,f\n', "a.csv:3: unexpected end of data"),
        ("a.csv", b"sub_label,obj_label,split\na,b,train\nc,d,valid\n", "a.csv:3: unknown split 'valid'"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(PtxError) as raised:
        load_suite(str(path))
    assert raised.value.message == f"{tmp_path}/{message}"
    assert raised.value.hint


def test_a_spreadsheets_mark_is_no_part_of_a_column(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("sub_label,obj_label,split\nRome,Italy,train\n", encoding="utf-8-sig")
    assert load_suite(str(path)).tasks[0].splits["train"] == (Fact("Rome", "Italy"),)


def test_an_unknown_suite_and_an_unfit_folder(tmp_path: Path) -> None:
    with pytest.raises(PtxError, match="unknown suite 'nothing'") as raised:
        load_suite("nothing")
    assert raised.value.hint.startswith("use facts, topics, dbpedia, sst2, or the path of a folder or file of facts")
    with pytest.raises(PtxError, match=r"holds no <task>/train.jsonl"):
        load_suite(str(tmp_path))


def test_an_unknown_task_is_named() -> None:
    assert [task.name for task in load_suite("facts").choose(["P30", "P17", "P30"])] == ["P30", "P17"]
    with pytest.raises(PtxError, match="unknown task 'P0' in suite facts"):
        load_suite("facts").choose(["P0"])


def test_a_relative_name_follows_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.csv").write_text(f"sub_label,obj_label,split\n{name},o,train\n")
        monkeypatch.chdir(tmp_path / name)
        assert load_suite("mine.csv").tasks[0].splits["train"] == (Fact(name, "o"),)


def test_suites_are_read_without_the_heavy_libraries() -> None:
    program = "import sys; from ptx.suites import load_suite; load_suite('facts'); load_suite('topics'); "
    program += "print({'torch', 'transformers', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.skipif(not LAMA.is_dir(), reason="needs the field's data beside the project")
def test_real_lama_data_is_read() -> None:
    tasks = {task.name: task for task in load_suite(str(LAMA)).tasks}
    assert len(tasks) == 35
    assert tasks["P19"].template == "[X] was born in [Y] ."
    assert not tasks["P27"].splits["test"]


def test_embedded_facts_know_their_lines() -> None:
    task = load_suite("facts").tasks[0]
    path, _, line = task.splits["dev"][4].where.rpartition(":")
    assert Path(path) == EMBEDDED["facts"] / task.name / "dev.jsonl"
    assert json.loads(Path(path).read_text("utf-8").splitlines()[int(line) - 1]) == {
        "sub_label": task.splits["dev"][4].subject,
        "obj_label": task.splits["dev"][4].object,
    }
