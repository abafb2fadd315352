"""Tasks of the lm-evaluation-harness: what its YAML files say is read as it reads them, or refused by its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import COUNTRIES
from families import make

from ptx import files
from ptx.errors import PtxError
from ptx.lms.embeddings import load_embeddings
from ptx.lms.inputs import rows
from ptx.lms.models import resolve
from ptx.suites import Fact, Task, load_suite

KEYS: dict[str, Any] = {
    "task": "moods", "dataset_path": "json", "dataset_kwargs": {"data_files": {"train": "a.jsonl", "test": "b.jsonl"}},
    "output_type": "multiple_choice", "training_split": "train", "test_split": "test",
    "doc_to_text": "{{text}}\nMood:", "doc_to_target": "label", "doc_to_choice": ["Peru", "Japan"],
    "metric_list": [{"metric": "acc"}], "metadata": {"version": 1.0},
}  # fmt: skip
ROWS: list[dict[str, Any]] = [
    {"text": f"name{i} word{i}", "label": i % 2, "mood": COUNTRIES[2 - i % 2]} for i in range(20)
]


def write(folder: Path, rows: list[dict[str, Any]] = ROWS, **keys: Any) -> str:
    """JSON is YAML. A key that is None is left out."""
    for name in ("a", "b"):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = {key: value for key, value in (KEYS | keys).items() if value is not None}
    (folder / "task.yaml").write_text(json.dumps(said))
    return f"lmeval:{folder}/task.yaml"


def one(suite: str) -> Task:
    (task,) = load_suite(suite).tasks
    return task


def error_of(suite: str) -> PtxError:
    with pytest.raises(PtxError) as raised:
        load_suite(suite)
    return raised.value


def test_a_task(tmp_path: Path) -> None:
    """Texts are kept to the letter, and dev is held out of train where there is no third split."""
    task = one(write(tmp_path, ROWS * 2, task_alias="moods of people"))
    assert (task.name, task.label, task.template, task.labels) == (
        "moods", "moods of people", "[X] [Y]", ("Peru", "Japan"),
    )  # fmt: skip
    assert task.splits["test"][:2] == (Fact("name0 word0\nMood:", "Peru"), Fact("name1 word1\nMood:", "Japan"))
    assert task.splits["test"][1].where == f"{tmp_path}/b.jsonl:2"
    assert len(task.splits["test"]) == 40
    assert len(task.splits["train"]) + len(task.splits["dev"]) == 40
    assert 1 <= len(task.splits["dev"]) <= 10
    assert [len(facts) for facts in one(write(tmp_path) + "?limit=4").splits.values()][2] == 4


def test_a_file_that_comes_to_stand_before_another_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness looks in the working directory first."""
    monkeypatch.setattr(files, "SETTLED", 0)  # what was written a moment ago is remembered
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    suite = write(tmp_path)
    assert len(one(suite).splits["test"]) == 20
    Path("b.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS[:6]))
    assert len(one(suite).splits["test"]) == 6


def test_the_splits_of_the_harness(tmp_path: Path) -> None:
    files = {"train": "a.jsonl", "valid": "b.jsonl", "test": ["b.jsonl", "a.jsonl"]}
    kwargs = {"data_files": files, "trust_remote_code": True}
    both = one(write(tmp_path, dataset_kwargs=kwargs, validation_split="valid"))
    assert {split: len(facts) for split, facts in both.splits.items()} == {"train": 20, "dev": 20, "test": 40}
    scored = one(write(tmp_path, dataset_kwargs=kwargs, validation_split="valid", test_split=None))
    assert len(scored.splits["test"]) == 20
    assert 0 < len(scored.splits["dev"]) < 20
    alone = one(write(tmp_path, training_split=None))
    assert {split: len(facts) for split, facts in alone.splits.items()} == {"train": 0, "dev": 0, "test": 20}


@pytest.mark.parametrize(
    "keys",
    [
        {"doc_to_text": "text", "doc_to_target": "mood"},
        {"doc_to_text": "{{ text }}", "doc_to_target": "{{mood}}"},
        {"doc_to_text": "{{text}}", "doc_to_target": "{{ ['Peru', 'Japan'].index(mood) }}"},
        {"doc_to_text": "{{text | trim}}", "doc_to_choice": "{{ ['Peru', 'Japan'] }}"},
        {"doc_to_text": "text", "doc_to_choice": {"a": "Peru", "b": "Japan"}},
        {"doc_to_text": "text", "doc_to_choice": [" Peru", " Japan"], "target_delimiter": ""},
    ],
)
def test_forms(tmp_path: Path, keys: dict[str, Any]) -> None:
    facts = one(write(tmp_path, **keys)).splits["test"]
    assert facts == tuple(Fact(row["text"], row["mood"]) for row in ROWS)


def test_a_description_and_numbers_of_tables(tmp_path: Path) -> None:
    task = one(write(tmp_path, description="Moods of {{text}}.\n\n"))
    assert task.splits["test"][0].subject == "Moods of name0 word0.\n\nname0 word0\nMood:"
    files = {"data_files": {"test": "c.csv"}}
    suite = write(tmp_path, dataset_path="csv", dataset_kwargs=files, training_split=None)
    (tmp_path / "c.csv").write_text('text,label\n"a, b",1\nc,0\n')
    assert one(suite).splits["test"] == (Fact("a, b\nMood:", "Japan"), Fact("c\nMood:", "Peru"))


def test_an_include(tmp_path: Path) -> None:
    suite = write(tmp_path)
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "_base").write_text((tmp_path / "task.yaml").read_text())
    (tmp_path / "task.yaml").write_text("include: base/_base\ntask: other\n")
    task = one(suite)
    assert (task.name, len(task.splits["test"])) == ("other", 20)
    (tmp_path / "base" / "_base").write_text("include: ../task.yaml\n")
    assert "include: ../task.yaml includes itself" in error_of(suite).message
    (tmp_path / "task.yaml").write_text("include: ../other.yaml\n")
    error = error_of(suite)
    assert error.message == f"{tmp_path}/task.yaml: include: ../other.yaml is outside of its folder"
    assert error.hint == "copy what it includes beside it"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"output_type": "generate_until"}, "output_type: generate_until is no choice among words"),
        ({"output_type": None}, "output_type: generate_until is no choice"),
        ({"doc_to_choice": "mood"}, "doc_to_choice: mood differs from example to example"),
        ({"doc_to_choice": "{{ [mood, 'x'] }}"}, "doc_to_choice: {{ [mood, 'x'] }} is no fixed list of words"),
        ({"doc_to_choice": ["very good", "bad"]}, "doc_to_choice: 'very good' is not one word"),
        ({"doc_to_choice": [True, False]}, "doc_to_choice: true is no text"),
        ({"doc_to_choice": ["a"]}, "doc_to_choice: a are not two words or more"),
        ({"doc_to_choice": ["a", "a"]}, "doc_to_choice: a, a are not two words or more, each once"),
        ({"target_delimiter": ""}, "target_delimiter: '' puts 'Peru' behind the text"),
        ({"target_delimiter": "\n"}, "target_delimiter: '\\n' puts '\\nPeru' behind the text"),
        ({"num_fewshot": 5}, "num_fewshot: ptx asks without examples"),
        ({"gen_prefix": "So:"}, "gen_prefix: it puts words before the answer"),
        ({"use_prompt": "promptsource:x"}, "use_prompt: its prompt is promptsource's"),
        ({"filter_list": [{"name": "x"}]}, "filter_list: it rewrites answers"),
        ({"unsafe_code": True}, "unsafe_code: it runs code"),
        ({"doc_to_image": "x"}, "doc_to_image: ptx asks with texts alone"),
        ({"something": 1}, "something: a key that ptx does not know"),
        ({"task": ["a", "b"]}, "task: it is a group of tasks"),
        ({"doc_to_target": None}, "doc_to_target is missing"),
        ({"doc_to_target": ["x"]}, 'doc_to_target: ["x"] is neither a column nor a template'),
        ({"test_split": None}, "it has neither test_split nor validation_split"),
        ({"test_split": "dev"}, "no split 'dev' in data_files"),
        ({"doc_to_text": "{{text"}, "doc_to_text: unexpected end of template"),
        ({"doc_to_text": "{{text | regex_replace('a', 'b')}}"}, "doc_to_text: No filter named 'regex_replace'"),
        ({"doc_to_text": "{{text | random}}"}, "doc_to_text: No filter named 'random'"),
        (
            {"dataset_kwargs": {"data_files": {"test": "*.jsonl"}}, "training_split": None},
            "data_files: no file *.jsonl",
        ),
        ({"dataset_kwargs": {"field": "x"}}, "dataset_kwargs: field: keys that ptx does not know"),
        ({"dataset_kwargs": None}, "dataset_kwargs: data_files of the dataset_path json are missing"),
        ({"dataset_path": "some/thing"}, "dataset_kwargs: data_files belong to the dataset_path json, csv, parquet"),
    ],
)
def test_what_is_refused(tmp_path: Path, keys: dict[str, Any], message: str) -> None:
    error = error_of(write(tmp_path, **keys))
    assert f"{tmp_path}/task.yaml: {message}" in error.message
    assert error.hint


@pytest.mark.parametrize("key", ["process_docs", "process_results", "doc_to_text", "doc_to_target", "doc_to_choice"])
def test_code_is_never_run(tmp_path: Path, key: str) -> None:
    suite = write(tmp_path, ROWS, **{key: None})
    (tmp_path / "utils.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef it(*args): pass\n")
    whole = (tmp_path / "task.yaml").read_text().removesuffix("}") + f', "{key}": !function utils.it}}'
    (tmp_path / "task.yaml").write_text(whole)
    assert f"task.yaml: {key}: " in error_of(suite).message
    assert "code" in error_of(suite).message
    (tmp_path / "task.yaml").write_text("a: !!python/object/apply:os.mkdir [ran]\n")
    assert "task.yaml:1: no YAML: could not determine a constructor for the tag" in error_of(suite).message
    danger = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    assert "unsafe" in error_of(write(tmp_path, doc_to_text=danger)).__notes__[0]
    assert not (tmp_path / "ran").exists()


def test_a_function_that_only_adds_a_figure_does_not_matter(tmp_path: Path) -> None:
    suite = write(tmp_path, metric_list=None)
    whole = (tmp_path / "task.yaml").read_text().removesuffix("}")
    (tmp_path / "task.yaml").write_text(whole + ', "metric_list": [{"metric": acc, "aggregation": !function a.b}]}')
    assert len(one(suite).splits["test"]) == 20


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "a", "label": 2}, "doc_to_target gives 2, none of Peru, Japan, or of their numbers from 0"),
        ({"text": "a", "label": -1}, "doc_to_target gives -1"),
        ({"text": "a", "label": "x"}, 'doc_to_target gives "x"'),
        ({"text": "a", "label": None}, "doc_to_target gives null"),
        ({"other": "a", "label": 0}, "doc_to_text of task.yaml: 'text' is undefined"),
        ({"text": "\ud800", "label": 0}, "holds half of a character"),
    ],
)
def test_examples_that_cannot_be_asked_are_named(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    error = error_of(write(tmp_path, [*ROWS, row], training_split=None))
    assert error.message.startswith(f"{tmp_path}/b.jsonl:21: ")
    assert message in error.message


def test_a_blank_at_the_end_would_make_another_answer(tmp_path: Path) -> None:
    for form, what in (("{{text}} ", "ends in a blank"), ("{{text[:0]}}", "is empty")):
        error = error_of(write(tmp_path, ROWS[:1], doc_to_text=form, training_split=None))
        assert what in error.message
        assert error.hint == "write it like {{sentence | trim}}"


def test_missing_files_and_what_is_no_yaml(tmp_path: Path) -> None:
    assert error_of(f"lmeval:{tmp_path}/none.yaml").message == f"no file {tmp_path}/none.yaml"
    (tmp_path / "task.yaml").write_text("a: [\n")
    assert "task.yaml:2: no YAML: " in error_of(f"lmeval:{tmp_path}/task.yaml").message
    (tmp_path / "task.yaml").write_text("- a\n")
    assert "is not a list of keys and values" in error_of(f"lmeval:{tmp_path}/task.yaml").message


def test_a_data_set_by_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    (tmp_path / "data").mkdir()
    suite = write(tmp_path, dataset_path="data", dataset_kwargs=None)
    for split, name in (("train", "a"), ("test", "b")):
        (tmp_path / "data" / f"{split}.jsonl").write_text((tmp_path / f"{name}.jsonl").read_text())
    assert one(suite).splits["test"] == tuple(Fact(f"{row['text']}\nMood:", row["mood"]) for row in ROWS)


def test_no_space_is_put_before_the_text(tmp_path: Path) -> None:
    """The harness puts none; other tasks' texts stand in the middle of a sentence."""
    words = load_embeddings(resolve(str(make("gpt2", tmp_path / "gpt2"))), "cpu")
    task = one(write(tmp_path))
    ids = {}
    for glued, template in ((True, task.asked_as("[V] [X] [Y]")), (False, "[V] [X] [Y]")):
        (row,) = rows(words.tokenizer, template, ["Peru is"], prompt_length=2, max_length=64, causal=True)
        ids[glued] = list(row.ids[2:])
    assert ids[True] == words.tokenizer("Peru is")["input_ids"]
    assert ids[False] == words.tokenizer(" Peru is")["input_ids"]
    assert ids[True] != ids[False]
    assert task.digest("test") != one(write(tmp_path) + "?limit=19").digest("test")
