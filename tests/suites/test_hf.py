"""Data sets through the `datasets` library: local folders of files, since no hub is in reach of tests."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from conftest import COUNTRIES, SUBJECTS

from ptx import files
from ptx.errors import PtxError
from ptx.suites import load_suite, read_suite

datasets = pytest.importorskip("datasets")
TOML = """
text = "sentence"
label = "label"
words = ["Japan", "France"]
template = "[X] word1 [Y] ."
files = { train = "train", dev = "dev", test = "test" }
dataset = "%s"
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def write(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = datasets.Dataset.from_list(rows)
    {".parquet": table.to_parquet, ".csv": table.to_csv, ".jsonl": table.to_json}[path.suffix](str(path))


def texts(count: int) -> list[dict]:
    return [{"sentence": f"name{i % 40} word{i % 60} {count}", "label": i % 2} for i in range(count)]


def facts(*, columns: dict) -> list[dict]:
    return [
        {"sub_label": s, "obj_label": COUNTRIES[i % 5], **{k: v.format(i % 2) for k, v in columns.items()}}
        for i, s in enumerate(SUBJECTS)
    ]


def error_of(name: str) -> PtxError:
    with pytest.raises(PtxError) as raised:
        load_suite(name)
    assert raised.value.hint
    return raised.value


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_facts_of_several_tasks(tmp_path: Path, form: str) -> None:
    """As LAMA's T-REx on the hub: one split, and the relation in predicate_id."""
    write(tmp_path / "trex" / f"train.{form}", facts(columns={"predicate_id": "P{}", "template": "[X] is {} [Y] ."}))
    tasks = load_suite(f"hf:{tmp_path}/trex").tasks
    assert [(task.name, task.template) for task in tasks] == [("P0", "[X] is 0 [Y] ."), ("P1", "[X] is 1 [Y] .")]
    assert sum(len(of) for task in tasks for of in task.splits.values()) == 40
    assert all(task.splits[split] for task in tasks for split in ("train", "dev"))
    fact = tasks[0].splits["train"][0]
    assert fact.where == f"hf:{tmp_path}/trex:train:{SUBJECTS.index(fact.subject) + 1}"


def test_splits_keep_their_facts_and_the_key_is_that_of_the_records(tmp_path: Path) -> None:
    rows = facts(columns={})
    for name, part in (("train", rows[:20]), ("validation", rows[20:30]), ("test", rows[30:])):
        write(tmp_path / "mine" / f"{name}.parquet", part)
    (task,) = load_suite(f"hf:{tmp_path}/mine").tasks
    assert (task.name, [len(task.splits[s]) for s in ("train", "dev", "test")]) == ("mine", [20, 10, 10])
    lines = [
        row | {"split": split} for row, split in zip(rows, ["train"] * 20 + ["dev"] * 10 + ["test"] * 10, strict=True)
    ]
    (tmp_path / "same.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (same,) = load_suite(str(tmp_path / "same.jsonl")).tasks
    assert task.digest("train", "dev", "test") == same.digest("train", "dev", "test")


def test_texts_as_a_suite_toml_describes_them(ptx, tiny, tmp_path: Path) -> None:
    for name, count in (("train", 24), ("validation", 8), ("test", 8)):
        write(tmp_path / "moods" / "data" / f"{name}.csv", texts(count))
    (tmp_path / "moods" / "suite.toml").write_text(TOML % "data")
    result = ptx("eval", "--target", tiny["a"], "--suite", tmp_path / "moods", "--epochs", "1", "--json")
    assert result.code == 0, result.err
    (line,) = result.at("eval")
    assert (line["facts"], line["floor"], line["task"]) == (8, 0.5, "moods")


def test_presets_read_data_sets_too(tmp_path: Path) -> None:
    for name, count in (("train", 60), ("validation", 8)):  # GLUE's test split has no labels
        write(tmp_path / "glue" / f"{name}.parquet", texts(count))
    (task,) = load_suite(f"sst2:hf:{tmp_path}/glue").tasks
    assert (task.name, task.labels, len(task.splits["test"])) == ("sst2", ("terrible", "great"), 8)
    assert task.splits["test"][1].object == "great"


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    write(tmp_path / "d" / "train.jsonl", [{"subject": "a", "obj_label": "b"}])
    error = error_of(f"hf:{tmp_path}/d")
    assert error.message == f"hf:{tmp_path}/d: no column 'sub_label' in subject, obj_label"
    assert "suite.toml" in error.hint
    error = error_of(f"sst2:hf:{tmp_path}/d")
    assert error.message == f"hf:{tmp_path}/d: no column 'sentence' in subject, obj_label"


def test_a_null_and_a_text_of_another_type_are_named(tmp_path: Path) -> None:
    write(
        tmp_path / "d" / "train.parquet", [{"sub_label": "a", "obj_label": "b"}, {"sub_label": "a", "obj_label": None}]
    )
    assert error_of(f"hf:{tmp_path}/d").message == f"hf:{tmp_path}/d:train:2: obj_label is null"
    write(tmp_path / "e" / "train.parquet", [{"sub_label": ["a"], "obj_label": "b"}])
    assert 'sub_label is ["a"], which is no text' in error_of(f"hf:{tmp_path}/e").message


def test_splits_of_unknown_names_and_missing_ones(tmp_path: Path) -> None:
    loaded = {
        "easy": datasets.Dataset.from_list(facts(columns={})),
        "hard": datasets.Dataset.from_list(facts(columns={})),
    }
    from ptx.suites import hub

    data = hub.Dataset("hf:x", loaded)
    assert data.find("dev") is None
    with pytest.raises(PtxError, match="no split 'test'") as raised:
        next(data.rows("test", ["sub_label"], ""))
    assert raised.value.hint == "its splits are easy, hard; name one of them in files"


def test_what_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = error_of("hf:nobody/nothing")
    assert error.message.startswith("cannot load the data set 'nobody/nothing': ")
    assert "network" in error.hint
    (tmp_path / "script").mkdir()
    (tmp_path / "script" / "script.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    assert "cannot load the data set" in error_of(f"hf:{tmp_path}/script").message
    assert not (tmp_path / "ran").exists()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "train.jsonl").write_text('{"sub_label": \n')
    assert "cannot load the data set" in error_of(f"hf:{tmp_path}/bad").message
    assert "cannot load the data set" in error_of(f"hf:{tmp_path}/bad:config").message


def test_a_folder_is_read_as_it_is_now(tmp_path: Path) -> None:
    """The library knows files by name, size and time."""
    file = tmp_path / "d" / "train.csv"
    file.parent.mkdir()
    for subject in ("a", "b"):
        file.write_text(f"sub_label,obj_label\n{subject},France\n")
        os.utime(file, ns=(10**18, 10**18))
        (task,) = read_suite(f"hf:{tmp_path}/d").tasks
        assert [fact.subject for of in task.splits.values() for fact in of] == [subject]


CARDS = {"README.md": "---\n{}\n---\n# Facts\n", ".huggingface.yaml": "{}\n"}


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize(
    "said",
    [
        "data_files: ../other.csv",
        "data_files: [train.csv, /etc/facts.csv]",
        "data_files: [{split: train, path: [train.csv, TMP/other.csv]}]",
        "data_files: [{split: train, path: 'http://127.0.0.1:9/facts.csv'}]",
        "data_files: 'zip://facts.csv::http://127.0.0.1:9/facts.zip'",
        "data_dir: ../elsewhere",
    ],
)
def test_a_folder_made_of_files_elsewhere_is_refused(tmp_path: Path, card: str, said: str) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    for file in (folder / "train.csv", tmp_path / "other.csv"):
        file.write_text("sub_label,obj_label\na,France\n")
    text = f"configs: [{{config_name: default, {said.replace('TMP', str(tmp_path))}}}]"
    (folder / card).write_text(CARDS[card].format(text))
    with pytest.raises(PtxError, match="names files that are not in its folder") as raised:
        read_suite(f"hf:{folder}")
    assert card in raised.value.message


@pytest.mark.parametrize("card", CARDS)
def test_a_folder_whose_card_changes_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, card: str) -> None:
    monkeypatch.setattr(files, "SETTLED", 0)  # what was written a moment ago is remembered
    folder = tmp_path / "d"
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.csv").write_text(f"sub_label,obj_label\n{name},France\n")
    for name in "ab":
        text = f"configs: [{{config_name: default, data_files: [{{split: train, path: {name}.csv}}]}}]"
        (folder / card).write_text(CARDS[card].format(text))
        (task,) = load_suite(f"hf:{folder}").tasks
        assert [fact.subject for of in task.splits.values() for fact in of] == [name]


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    error = error_of("hf:one/more")
    assert (error.message, error.hint) == ("hf:one/more needs the datasets library", "run `pip install datasets`")
