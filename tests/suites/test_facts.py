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


def test_a_facts_own_template_and_further_answers_enter_the_digest() -> None:
    fact = Fact("a", "b", "x:1")
    assert fact.answers == ("b",)
    variants = [
        fact,
        dataclasses.replace(fact, template="[X] is [Y] ."),
        dataclasses.replace(fact, template="[X] was [Y] ."),
        dataclasses.replace(fact, others=("c",)),
        dataclasses.replace(fact, others=("c", "d")),
        dataclasses.replace(fact, others=("d", "c")),
        dataclasses.replace(fact, template="[X] is [Y] .", others=("c",)),
    ]
    assert variants[4].answers == ("b", "c", "d")
    assert len(set(variants)) == 7
    assert len({Task("t", "t", None, {"train": (variant,)}).digest("train") for variant in variants}) == 7


def test_rows_of_a_task_keep_their_own_template(tmp_path: Path) -> None:
    """The task has the first; a row without one is asked as the task is."""
    path = tmp_path / "mine.csv"
    path.write_text(
        "sub_label,obj_label,split,template\nRome,Italy,test,[X] in [Y] .\nOslo,Norway,test,[X] near [Y] .\n"
        "Bern,Switzerland,test,\nKiev,Ukraine,test,[X] in [Y] .\n"
    )
    (task,) = load_suite(str(path)).tasks
    assert task.template == "[X] in [Y] ."
    assert [fact.template for fact in task.splits["test"]] == [None, "[X] near [Y] .", None, None]


def test_rows_with_and_without_a_template_beside_relations(tmp_path: Path) -> None:
    """A row that brings none is asked with the template of relations.jsonl."""
    path = tmp_path / "P1.jsonl"
    path.write_text(
        '{"sub_label": "Rome", "obj_label": "Italy", "split": "test", "template": "[X] in [Y] ."}\n'
        '{"sub_label": "Oslo", "obj_label": "Norway", "split": "test"}\n'
    )
    (tmp_path / "relations.jsonl").write_text('{"relation": "P1", "template": "[X] of [Y] ."}\n')
    (task,) = load_suite(str(path)).tasks
    assert task.template == "[X] in [Y] ."
    assert [fact.template for fact in task.splits["test"]] == [None, "[X] of [Y] ."]


def test_templates_in_the_rows_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "P1").mkdir()
    for split, templates in (("train", ["[X] in [Y] ."]), ("test", ["[X] in [Y] .", "[X] by [Y] ."])):
        lines = [{"sub_label": "Rome", "obj_label": "Italy", "template": template} for template in templates]
        (tmp_path / "P1" / f"{split}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (task,) = load_suite(str(tmp_path)).tasks
    assert task.template == "[X] in [Y] ."
    assert task.splits["train"] == (Fact("Rome", "Italy"),)
    assert task.splits["test"] == (Fact("Rome", "Italy"), Fact("Rome", "Italy", template="[X] by [Y] ."))


def test_lists_of_right_answers(tmp_path: Path) -> None:
    """As KAMEL's, in JSON lines or as the JSON of a list in a table's field."""
    answers = [["Paris", " Lyon ", "Paris"], ["Rome"], "Oslo"]
    lines = [{"sub_label": f"s{i}", "obj_label": value, "split": "test"} for i, value in enumerate(answers)]
    (tmp_path / "P1.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (task,) = load_suite(str(tmp_path / "P1.jsonl")).tasks
    assert [fact.answers for fact in task.splits["test"]] == [("Paris", "Lyon"), ("Rome",), ("Oslo",)]
    fields = "".join(
        f"s{i}\t{value if isinstance(value, str) else json.dumps(value)}\ttest\n" for i, value in enumerate(answers)
    )
    (tmp_path / "P1.tsv").write_text("sub_label\tobj_label\tsplit\n" + fields)
    (table,) = load_suite(str(tmp_path / "P1.tsv")).tasks
    assert table.digest("test") == task.digest("test")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("[]", "obj_label is an empty list"),
        ('["a", 5]', "obj_label is 5, which is no text"),
        ('["a", ["b"]]', 'obj_label is ["b"], which is no text'),
        ('["a", " "]', "obj_label is empty"),
        ('{"a": 1}', 'obj_label is {"a": 1}, which is no text'),
    ],
)
def test_bad_lists_of_answers(tmp_path: Path, value: str, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"sub_label": "x", "obj_label": {value}}}\n')
    with pytest.raises(PtxError) as raised:
        load_suite(str(path))
    assert raised.value.message == f"{path}:1: {message}"


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
    assert raised.value.hint.startswith("use facts, topics, ag_news, boolq, cb, dbpedia, ")
    assert ", or the path of a folder or file of facts or texts, or hf:NAME of the hub" in raised.value.hint
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
