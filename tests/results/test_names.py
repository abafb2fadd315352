"""Results are told apart by content; a name is what this command was given; tables are of what names mean now."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import PAPER_TUNING, make_model, write_suite

import ptx.suites
from ptx.lms.meaning import meaning, same
from ptx.lms.models import resolve

SEEDS = {"good": 1, "bad": 5}


@pytest.fixture
def line(ptx, suite: str, tmp_path: Path) -> list[str]:
    """`ptx eval` of manual prompts on the model in ./m, which `become` exchanges for another."""
    for name, seed in SEEDS.items():
        make_model(tmp_path / name, seed=seed)
    become("good")
    return ["eval", "--method", "manual", "--suite", suite, "--tasks", "R1", "--target", "./m"]


def become(name: str, folder: str = "m") -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(name, folder)


def cells(result: Any) -> dict[str, float]:
    """Of a table: the numbers beside targets."""
    assert result.code == 0, result.err
    return {row["target"]: row["micro"] for row in result.lines if row["method"] != "floor"}


def accuracy(result: Any) -> float:
    assert result.code == 0, result.err
    return result.at("eval")[-1]["accuracy"]


def test_a_table_is_of_what_names_mean_now(ptx, line: list[str]) -> None:
    """Good, bad, good weights in one folder: what `eval` says, and not the newest by date."""
    good = accuracy(ptx(*line, "--json"))
    assert cells(ptx("table", "--json")) == {"m": good}
    become("bad")
    early = ptx("table")
    assert early.code == 1
    assert "1 test evaluation is left out: it was made when m stood for other files" in early.err
    assert "error: none of the test evaluations in" in early.err
    bad = accuracy(ptx(*line, "--json"))
    assert bad != good
    become("good")
    assert accuracy(ptx(*line, "--json")) == good
    shown = ptx("table", "--json")
    assert cells(shown) == {"m": good}
    assert "1 test evaluation is left out: it was made when m stood for other files" in shown.err


def test_names_that_mean_nothing_any_more_are_told(ptx, line: list[str]) -> None:
    good = accuracy(ptx(*line, "--json"))
    shutil.rmtree("m")
    shown = ptx("table", "--json")
    assert cells(shown) == {"m": good}
    assert "1 test evaluation is shown as it was made: nothing can be read here as m" in shown.err


def test_a_source_that_changed(ptx, line: list[str], tiny: dict[str, str], suite: str) -> None:
    pair = ["eval", "--sources", "./m", "--target", tiny["b"], "--suite", suite, "--tasks", "R1", "--epochs", "1"]
    pair += [*PAPER_TUNING, "--json"]
    good = accuracy(ptx(*pair))
    become("bad")
    bad = accuracy(ptx(*pair))
    shown = ptx("table", "--json")
    assert cells(shown) == {"b": bad}
    assert "1 test evaluation is left out: it was made when m stood for other files" in shown.err
    become("good")
    assert cells(ptx("table", "--json")) == {"b": good}
    curve = ptx("table", "--curve", "--json")
    assert "1 tuned prompt is left out: it was made when m stood for other files" in curve.err
    shutil.rmtree("cache/v1/tune")  # which source it was cannot be told any more
    shown = ptx("table", "--json").lines
    assert {row["micro"] for row in shown if row["method"] == "relative"} == {good, bad}


def facts(folder: Path, objects: dict[str, str]) -> None:
    (folder / "R1").mkdir(parents=True, exist_ok=True)
    for split in ("train", "dev", "test"):
        rows = [{"sub_label": f"{split}{subject}", "obj_label": obj} for subject, obj in objects.items()]
        (folder / "R1" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def read_anew() -> None:
    """As another process would."""
    for function in vars(ptx.suites).values():
        getattr(function, "cache_clear", lambda: None)()


def template(folder: Path, text: str) -> None:
    said = {"relation": "R1", "label": "relation", "template": text}
    (folder / "relations.jsonl").write_text(json.dumps(said) + "\n")


def test_facts_and_templates_that_changed(ptx, line: list[str], tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    facts(mine, {"name1": "France", "name2": "Japan", "name3": "Peru"})
    template(mine, "[X] word1 [Y] .")
    own = [mine if part == line[4] else part for part in line]
    accuracy(ptx(*own, "--json"))
    for change in (lambda: facts(mine, {"name1": "Peru", "name4": "Kenya"}), lambda: template(mine, "[Y] word2 [X] .")):
        change()
        read_anew()
        early = ptx("table")
        assert early.code == 1
        assert "left out: " in early.err
        assert "mine stood for other facts or texts" in early.err
        now = accuracy(ptx(*own, "--json"))
        assert cells(ptx("table", "--json")) == {"m": now}


@pytest.mark.parametrize("method", ["manual", "tuned"])
def test_five_tasks_with_the_same_facts_are_five(ptx, line: list[str], tmp_path: Path, method: str) -> None:
    names = [f"T{i}" for i in range(5)]
    first, *others = [write_suite(tmp_path / "five", [name]) / name for name in names[:1]] + names[1:]
    for name in others:
        shutil.copytree(first, tmp_path / "five" / name)
    rows = [{"relation": name, "label": "x", "template": "[X] word1 [Y] ."} for name in names]
    (tmp_path / "five" / "relations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    common = ["--method", method, "--suite", "five", "--target", "./m", "--epochs", "1"]
    made = ptx("eval", *common)
    assert made.code == 0, made.err
    assert "\n5 tasks, 40 facts: P@1 in %: mean of tasks " in made.out
    found = ptx("eval", *common, "--json").at("eval")
    assert [row["task"] for row in found] == names
    dry = ptx("eval", *common, "--dry-run", "--json").at("eval")
    assert [(row["task"], row["cache"]) for row in dry] == [(name, "hit") for name in names]
    shown = ptx("table", "--json").lines
    assert {(row["tasks"], row["facts"]) for row in shown} == {(5, 40)}
    each = ptx("table", "--by", "task", "--json").lines
    assert [row["task"] for row in each if row["method"] == method] == names


def test_five_tasks_that_fail_are_five(ptx, line: list[str], tmp_path: Path) -> None:
    for name in ("T1", "T2"):
        write_suite(tmp_path / "odd", [name], objects=["Nowhere"])
        (tmp_path / "odd" / "relations.jsonl").unlink()
    rows = [{"relation": name, "label": "x", "template": "[X] word1 [Y] ."} for name in ("T1", "T2")]
    (tmp_path / "odd" / "relations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    failed = ptx("eval", "--method", "manual", "--suite", "odd", "--target", "./m", "--json")
    assert failed.code == 1
    assert "2 failed" in failed.err
    assert [row["task"] for row in failed.at("eval")] == ["T1", "T2"]


def test_two_names_of_one_model_in_a_recipe(ptx, line: list[str], suite: str, tmp_path: Path) -> None:
    become("good", "copy")
    (tmp_path / "two.toml").write_text(
        f'suite = {json.dumps(suite)}\ntasks = ["R1"]\nsources = [["./m"], ["./bad"]]\n'
        'targets = ["./m", "./copy"]\nmethods = ["manual", "relative"]\ntune.epochs = 1\nself_transfer = false\n'
    )
    made = ptx("run", "two.toml")
    assert made.code == 0, made.err
    said = "m and copy are one model, by equal files"
    assert said in made.out
    assert said in made.err
    header = next(row.split() for row in made.out.splitlines() if row.startswith("method"))
    assert header[-2:] == ["copy", "m"]
    rows = ptx("run", "two.toml", "--json").lines
    pairs = {("+".join(row["sources"]), row["target"]) for row in rows if row["stage"] == "eval" and row["sources"]}
    assert pairs == {(str(tmp_path / "bad"), str(tmp_path / name)) for name in ("m", "copy")}  # m to copy is to itself
    manual = {row["target"]: row["micro"] for row in rows if row["stage"] == "table" and row["method"] == "manual"}
    assert {*manual} == {"m", "copy"}
    assert len({*manual.values()}) == 1
    shutil.rmtree("copy")
    shutil.rmtree("m")
    become("good", "other")
    (tmp_path / "one.toml").write_text(f'suite = {json.dumps(suite)}\ntargets = ["./other"]\nmethods = ["manual"]\n')
    (kept,) = {row["path"] for row in ptx("run", "one.toml", "--json").lines if row["stage"] == "table"}
    assert ",other," in Path(kept, "table.csv").read_text("utf-8")


def test_a_kept_table_has_the_names_of_its_command(ptx, line: list[str], suite: str, tmp_path: Path) -> None:
    become("good", "copy")
    for name in ("m", "copy", "m"):
        text = f'suite = {json.dumps(suite)}\ntasks = ["R1"]\ntargets = ["./{name}"]\nmethods = ["manual"]\n'
        (tmp_path / "one.toml").write_text(text)
        path = ptx("run", "one.toml", "--quiet").out.splitlines()[-1]
        assert f",{name}," in Path(path, "table.csv").read_text("utf-8")
    shown = ptx("eval", *line[1:-1], "./copy", "--suite", str(shutil.copytree(suite, tmp_path / "mine")), "--json")
    assert (shown.at("eval")[0]["suite"], shown.at("eval")[0]["target"]) == (
        str(tmp_path / "mine"),
        str(tmp_path / "copy"),
    )


def test_what_a_name_means_is_what_commands_take_it_for(ptx, line: list[str]) -> None:
    assert meaning("./m") == resolve("./m").digest != resolve("./bad").digest
    assert meaning("bert-micro") == resolve("bert-micro").digest
    for nothing in ("./none", "no such model", "org/name", "./m:none.gguf", "org/name:file.gguf"):
        assert meaning(nothing) is None
    become("good", "copy")
    assert same(["./m", "copy", "bert-micro", "./m", "./none"]) == ["m and copy are one model, by equal files"]
    assert same(["./m", "bad", "bert-micro"]) == []


def test_a_name_of_the_hub_means_the_commit_that_is_here(ptx, line: list[str], monkeypatch, tmp_path: Path) -> None:
    """By the hub's cache alone: tables ask no network."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    home = tmp_path / "hub" / "models--org--name"
    commits = {"main": "1" * 40, "v1": "2" * 40}
    (home / "refs").mkdir(parents=True)
    for ref, commit in commits.items():
        (home / "refs" / ref).write_text(commit)
        shutil.copytree("good", home / "snapshots" / commit)
    assert meaning("org/name") == resolve("org/name").digest
    assert meaning("org/name@v1") == meaning(f"org/name@{commits['v1']}") == resolve("org/name@v1").digest
    assert meaning("org/name") != meaning("org/name@v1")
    assert meaning("org/name@v2") is None
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def test_what_was_chosen_among_keeps_tables_apart_in_any_order(ptx, tiny, suite, tmp_path) -> None:
    """Two ways to encode are no settings of `auto`, which chooses among what both give: a table of each, the same one
    first whichever was made first, and never a mean over tasks of both."""
    common = ["--sources", tiny["a"], "--target", tiny["narrow"], "--suite", suite, "--epochs", "1", "--method", "auto"]
    shown = []
    for name, order in (("one", ("20", "30")), ("other", ("30", "20"))):
        cache = ["--cache-dir", str(tmp_path / name)]
        for top_k in order:
            done = ptx("eval", *common, "--top-k", top_k, *cache)
            assert done.code == 0, done.err
        table = ptx("table", *cache)
        assert table.code == 0, table.err
        shown.append(table.out)
    assert shown[0] == shown[1]


def test_the_cache_lists_models_by_what_tells_them_apart(ptx, suite: str, tmp_path: Path) -> None:
    """A folder's "+" parts no names, and of several models each is written short."""
    for name, seed in {"one/b+c": 1, "two/b+c": 5, "d": 7}.items():
        make_model(tmp_path / name, seed=seed)
    for models in ("./one/b+c,./two/b+c", "./one/b+c,./d"):
        assert ptx("anchors", "--models", models).code == 0
    listed = [line.split() for line in ptx("cache", "ls").out.splitlines()]
    assert listed[0][:4] == ["stage", "key", "sources", "model"]
    assert {row[2] for row in listed[1:]} == {"one/b+c+two/b+c", "one/b+c+d"}
    (tmp_path / "cache/v1/anchors/damaged").mkdir()
    (tmp_path / "cache/v1/anchors/damaged/meta.json").write_text('{"labels": {"model": {"a": 1}, "task": null}}')
    assert "unreadable" in ptx("cache", "ls").out
