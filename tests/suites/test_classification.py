from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ptx.errors import PtxError
from ptx.suites import PRESETS, Fact, Task, load_suite
from ptx.suites.task import spread

SST2 = [("a quietly moving film . ", 1), ('it is "long" , and dull', 0), ("one more line", 1), ("never again", 0)]
DBPEDIA = [("Abbott", "A maker of drugs, and\nof devices.", 0), ("Emma", 'A novel, also "a comedy of manners".', 13)]
SUITE: dict[str, Any] = {
    "template": "[X] It was [Y] .", "text": "text", "label": "kind", "words": {"1": "bad", "5": "good"},
    "files": {"train": "train", "test": "test"},
}  # fmt: skip


def one_task(name: str | Path) -> Task:
    (task,) = load_suite(str(name)).tasks
    return task


def write_json(path: Path, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    path.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows))


def write_csv(path: Path, rows: Sequence[Sequence[Any]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def write_suite(folder: Path, texts: Sequence[tuple[str, Any]] = (("fine", "5"), ("poor", "1")), **keys: Any) -> Path:
    """A folder with a suite.toml (SUITE and `keys`; a key that is None is left out) and a file for each split."""
    folder.mkdir(exist_ok=True)
    values = {key: value for key, value in (SUITE | keys).items() if value is not None}
    tables = {key: "{ " + ", ".join(f"{k} = {json.dumps(v)}" for k, v in value.items()) + " }"
              for key, value in values.items() if isinstance(value, dict)}  # fmt: skip
    lines = [f"{key} = {tables.get(key) or json.dumps(value)}\n" for key, value in values.items()]
    (folder / "suite.toml").write_text("".join(lines))
    for split in ("train", "test"):
        write_json(folder / f"{split}.jsonl", ("text", "kind"), texts)
    return folder


def error_of(name: str | Path) -> PtxError:
    with pytest.raises(PtxError) as raised:
        load_suite(str(name))
    return raised.value


@pytest.mark.parametrize("form", ["tsv", "csv", "jsonl", "named"])
def test_sst2_in_every_format(tmp_path: Path, form: str) -> None:
    for split, rows in (("train", [(f"{text} {i}", label) for i in range(50) for text, label in SST2]), ("dev", SST2)):
        path = tmp_path / f"{split}.{'jsonl' if form == 'named' else form}"
        if form == "tsv":  # as distributed: nothing is quoted
            path.write_text("sentence\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows))
        elif form == "csv":
            write_csv(path, [("label", "sentence"), *((label, text) for text, label in rows)])
        else:
            called = ("negative", "positive") if form == "named" else (0, 1)
            write_json(path, ("idx", "sentence", "label"), [(0, text, called[label]) for text, label in rows])
    task = one_task(f"sst2:{tmp_path}")
    assert (task.name, task.labels) == ("sst2", ("terrible", "great"))
    assert task.splits["test"] == (
        Fact("a quietly moving film .", "great"),
        Fact('it is "long" , and dull', "terrible"),
        Fact("one more line", "great"),
        Fact("never again", "terrible"),
    )
    first = 1 if path.suffix == ".jsonl" else 2
    assert [fact.where for fact in task.splits["test"]] == [f"{path}:{i}" for i in range(first, first + 4)]
    sizes = {split: len(facts) for split, facts in task.splits.items()}
    assert sizes["train"] + sizes["dev"] == 200
    assert 1 <= sizes["dev"] <= 30
    assert not {f.subject for f in task.splits["train"]} & {f.subject for f in task.splits["dev"]}


@pytest.mark.parametrize("form", ["bare", "header", "jsonl", "named"])
def test_dbpedia_in_every_format(tmp_path: Path, form: str) -> None:
    for split in ("train", "test"):
        if form == "bare":  # as distributed: no header, classes counted from 1
            write_csv(tmp_path / f"{split}.csv", [(label + 1, title, text) for title, text, label in DBPEDIA])
        elif form == "header":
            rows = [(title, text, label) for title, text, label in DBPEDIA]
            write_csv(tmp_path / f"{split}.csv", [("title", "content", "label"), *rows])
        else:
            called = {0: "Company", 13: "WrittenWork"} if form == "named" else {0: 0, 13: 13}
            lines = [(called[label], title, text) for title, text, label in DBPEDIA]
            write_json(tmp_path / f"{split}.jsonl", ("label", "title", "content"), lines)
    task = one_task(f"dbpedia:{tmp_path}")
    assert len(task.labels) == 14
    assert task.splits["test"] == (
        Fact("Abbott A maker of drugs, and of devices.", "company"),
        Fact('Emma A novel, also "a comedy of manners".', "book"),
    )
    numbers = [int(fact.where.rpartition(":")[2]) for fact in task.splits["test"]]
    assert numbers == {"bare": [1, 3], "header": [2, 4]}.get(form, [1, 2])  # a text may run over two lines


def test_dbpedias_two_ways_to_count_are_not_mistaken(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_json(tmp_path / f"{split}.jsonl", ("label", "title", "content"), [(14, "Emma", "A novel.")])
    wrong = [f"{tmp_path}/{split}.jsonl:1: label '14' has no label word" for split in ("train", "test")]
    assert error_of(f"dbpedia:{tmp_path}").__notes__ == wrong


def test_a_preset_looks_under_its_distributed_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    error = error_of("sst2")
    assert error.message == "the suite sst2 needs its data, and there is no folder SST-2 here"
    assert error.hint == (
        "put the data set into the working directory as SST-2/, or say where it is: --suite sst2:FOLDER"
    )
    assert "dbpedia_csv" in error_of("dbpedia").message
    assert "needs a folder" in error_of("sst2:nowhere").message
    (tmp_path / "SST-2").mkdir()
    for split in ("train", "dev"):
        (tmp_path / "SST-2" / f"{split}.tsv").write_text("sentence\tlabel\nfine\t1\n")
    assert one_task("sst2").splits["test"] == (Fact("fine", "great"),)


@pytest.mark.parametrize("preset", ["sst2", "dbpedia"])
def test_presets_cut_train_and_dev_and_never_test(preset: str, tmp_path: Path) -> None:
    text = PRESETS[preset].read_text("utf-8")
    assert "limit = { train = 2000, dev = 500 }" in text
    assert "never" in text
    assert text.split('template = "')[1].split('"')[0].endswith("[Y] .")


def test_a_suite_is_a_folder_or_its_toml_file(tmp_path: Path) -> None:
    folder = write_suite(tmp_path / "reviews", title="stars")
    task = one_task(folder)
    assert (task.name, task.label, task.template, task.labels) == (
        "reviews",
        "stars",
        "[X] It was [Y] .",
        ("bad", "good"),
    )
    assert task.splits["test"] == (Fact("fine", "good"), Fact("poor", "bad"))
    (folder / "suite.toml").rename(folder / "other.toml")
    assert one_task(folder / "other.toml").digest("test") == task.digest("test")


def test_a_dev_file_stands_for_itself_and_test_may_be_absent(tmp_path: Path) -> None:
    task = one_task(write_suite(tmp_path, files={"train": "train.jsonl", "dev": "test.jsonl"}))
    assert [len(task.splits[split]) for split in ("train", "dev", "test")] == [2, 2, 0]


def test_the_held_out_share_does_not_move_with_the_files_order(tmp_path: Path) -> None:
    texts = [(f"text {i}", "15"[i % 2]) for i in range(1000)]
    one = one_task(write_suite(tmp_path / "one", texts, dev_share=0.3, name="t", limit={"train": 100}))
    two = one_task(write_suite(tmp_path / "two", texts[::-1], dev_share=0.3, name="t", limit={"train": 100}))
    assert one.splits["train"] == two.splits["train"]
    assert set(one.splits["dev"]) == set(two.splits["dev"])
    assert len(one.splits["dev"]) == pytest.approx(300, abs=50)


def test_a_limit_is_spread_over_the_labels(tmp_path: Path) -> None:
    texts = [(f"text {i}", "5" if i % 10 else "1") for i in range(2000)]
    task = one_task(write_suite(tmp_path, texts, limit={"train": 40}))
    assert Counter(fact.object for fact in task.splits["train"]) == {"good": 20, "bad": 20}
    assert len(task.splits["test"]) == 2000
    everything = [Fact(text, {"1": "bad", "5": "good"}[label]) for text, label in texts]
    held_out = set(task.splits["dev"])
    # Reading cuts as it goes; the outcome is that of one cut of everything.
    assert list(task.splits["train"]) == spread([fact for fact in everything if fact not in held_out], 40)


def test_a_rare_label_leaves_its_room_to_others() -> None:
    facts = [Fact(f"text {i}", "b" if i else "a") for i in range(30)]
    assert Counter(fact.object for fact in spread(facts, 10)) == {"a": 1, "b": 9}


@pytest.mark.parametrize(
    ("keys", "message", "hint"),
    [
        ({"tempalte": "x"}, "unknown key 'tempalte'", "did you mean 'template'?"),
        ({"files": {"train": "train", "tset": "a"}}, "files: unknown key 'tset'", "did you mean 'test'?"),
        ({"zzz": 1}, "unknown key 'zzz'", "choose among template, text, "),
        ({"label": None}, "no label", "needs template, text, label, words, files"),
        ({"template": "It was [Y] ."}, "the template 'It was [Y] .' needs one [X] and one [Y]", "write it like"),
        ({"template": "[X] was"}, "the template '[X] was' needs one [X] and one [Y]", "write it like"),
        ({"words": {"1": "bad", "5": "bad"}}, "labels 1 and 5 have one word, 'bad'", "give each its own"),
        ({"words": {"1": "bad", "5": "very good"}}, "the label word 'very good' is not one word", "one word"),
        ({"words": {"1": "bad"}}, "words has fewer than two labels", "every label"),
        ({"words": {"1": [5]}}, "words.1: [5] will not do", "give a text"),
        ({"words": ["a", "b"], "names": ["x"]}, "1 names for 2 words", "each label once"),
        ({"names": ["x", "y"]}, "names goes with a list of words", "make it a list"),
        ({"text": []}, "text: [] will not do", "give one or more"),
        ({"text": True}, "text: True will not do", "give a text or a list"),
        ({"files": "train"}, "files: 'train' will not do", "give a table"),
        ({"limit": {"train": 0}}, "limit.train: 0 will not do", "give a number above 0"),
        ({"dev_share": 1}, "dev_share: 1 will not do", "give a number below 1"),
        ({"dev_share": "a"}, "dev_share: 'a' will not do", "give a number"),
        ({"dev_share": 0.1, "files": {"train": "train", "dev": "test"}}, "both dev_share and files.dev", "leave one"),
        ({"files": {"test": "test"}}, "no files.train", "files needs train"),
        ({"columns": ["text", "label"]}, "columns lacks 'kind'", "all columns"),
    ],
)
def test_a_wrong_description_is_named(tmp_path: Path, keys: dict[str, Any], message: str, hint: str) -> None:
    error = error_of(write_suite(tmp_path, **keys))
    assert error.message == f"{tmp_path}/suite.toml: {message}"
    assert hint in error.hint


def test_toml_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "suite.toml"
    path.write_text("template = \n")
    assert error_of(path).message.startswith(f"{path}: Invalid value (at line 1")


@pytest.mark.parametrize(
    ("name", "content", "message", "hint"),
    [
        ("train.jsonl", '{"text": "a", "kind": 7}\n', "train.jsonl:1: label '7' has no label word", "extend words in "),
        ("train.tsv", "text\tkind\na\t1\nb\t\n", "train.tsv:3: label '' has no label word", "which knows 1, 5"),
        ("train.tsv", "text\tlabel\na\t1\n", "train.tsv:1: no column 'kind' in text, label", "keys text and label"),
        ("train.jsonl", '{"text": "a"}\n', "train.jsonl:1: no column 'kind'", "name the columns text and kind"),
        ("train.jsonl", '{"text": 3, "kind": 1}\n', "train.jsonl:1: text is 3, which is no text", "in quotes"),
        ("train.csv", 'text,kind\na,1\n"  ",5\n', "train.csv:3: the text is empty", "fill in text"),
        ("train.jsonl", "\n", "train.jsonl: no texts", "complete"),
        ("train.jsonl", "{\n", "train.jsonl:1: not JSON", "name the columns"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, name: str, content: str, message: str, hint: str) -> None:
    folder = write_suite(tmp_path)
    (folder / "train.jsonl").unlink()
    (folder / name).write_text(content)
    error = error_of(folder)
    assert error.message.startswith(f"{tmp_path}/{message}")
    assert hint in error.hint


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder = write_suite(tmp_path)
    (folder / "test.jsonl").unlink()
    error = error_of(folder)
    assert error.message == f"{tmp_path}: no test.tsv or test.csv or test.jsonl for the split test"
    assert error.hint == f"put it there, or name the file in files.test of {tmp_path}/suite.toml"
    (folder / "train.jsonl").unlink()
    hint = error_of(f"sst2:{folder}").hint
    assert f"a copy of {PRESETS['sst2']}, put beside the data as suite.toml" in hint


def test_a_file_that_no_split_names_is_not_passed_over_silently(tmp_path: Path) -> None:
    folder = write_suite(tmp_path / "mine")
    for name in ("valid.jsonl", "old.csv", ".hidden.jsonl", "notes.md"):
        (folder / name).write_text("")
    said = [(Path(remark.where).name, remark.what) for remark in load_suite(str(folder)).remarks]
    why = f"left out, since {folder}/suite.toml does not name it in files"
    assert said == [("old.csv", why), ("valid.jsonl", why)]
    (folder / "suite.toml").rename(folder / "other.toml")  # one of several descriptions in a folder, perhaps
    assert load_suite(str(folder / "other.toml")).remarks == ()
