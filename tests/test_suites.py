from __future__ import annotations

import json
from pathlib import Path

import pytest

from ptx.errors import PtxError
from ptx.suites import load_suite

LAMA = Path(__file__).parents[2] / "shared" / "lama"


def test_a_file_may_name_tasks_and_splits(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("task,sub_label,obj_label,split,template\nT,Rome,Italy,train,[X] in [Y] .\nT,Oslo,Norway,test,\n")
    (task,) = load_suite(str(path)).tasks
    assert (task.name, task.template) == ("T", "[X] in [Y] .")
    assert [len(task.splits[s]) for s in ("train", "dev", "test")] == [1, 0, 1]


def test_a_file_without_splits_is_split_by_subject(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    facts = [{"sub_label": f"s{i}", "obj_label": "o"} for i in range(500)]
    path.write_text("\n".join(map(json.dumps, facts)))
    (task,) = load_suite(str(path)).tasks
    sizes = [len(task.splits[s]) for s in ("train", "dev", "test")]
    assert sum(sizes) == 500
    assert sizes == pytest.approx([300, 100, 100], abs=40)


def test_a_bad_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"sub_label": "a", "obj_label": "b"}\n{"sub_label": "a"}\n')
    with pytest.raises(PtxError, match="record 2"):
        load_suite(str(path))


@pytest.mark.skipif(not LAMA.is_dir(), reason="needs the field's data beside the project")
def test_real_lama_data_is_read() -> None:
    tasks = {task.name: task for task in load_suite(str(LAMA)).tasks}
    assert len(tasks) == 35
    assert tasks["P19"].template == "[X] was born in [Y] ."
    assert not tasks["P27"].splits["test"]
