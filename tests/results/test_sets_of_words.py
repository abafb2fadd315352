"""Baselines stand in the table of the transfers: the words that count as answers are a named set."""

from __future__ import annotations

import csv
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import PAPER_TUNING, make_model

from ptx import api

Ptx = Callable[..., Any]
# Tiny random models never learn.
pytestmark = pytest.mark.filterwarnings("ignore:the prompt for .* has not learned:UserWarning")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of vocabularies that each lack words of the others."""
    root = tmp_path_factory.mktemp("words")
    every = ["France", "Japan", "Peru", "Kenya", "Norway", *(f"word{i}" for i in range(30)), "one", "two", "three"]
    lacks = {"a": "one", "b": "two", "c": "three"}
    return {
        name: str(make_model(root / name, seed=i, words=[word for word in every if word != lack]))
        for i, (name, lack) in enumerate(lacks.items())
    }


@pytest.fixture
def scored(ptx: Ptx, suite: str) -> Ptx:
    """`ptx eval` of one task; what it says of evaluations."""

    def run(*args: str, code: int = 0) -> Any:
        common = ["--suite", suite, "--tasks", "R1", "--epochs", "1", *PAPER_TUNING]
        made = ptx("eval", *args, *common, "--json")
        assert made.code == code, made.err
        return made.at("eval") if code == 0 else made.err

    return run


def words(artifact: str) -> set[str]:
    """The words among which an evaluation of this path answers, as it was made."""
    import json

    parents = json.loads((Path(artifact) / "meta.json").read_bytes())["parents"]
    (key,) = [of["key"] for of in parents if of["stage"] == "anchors"]
    with (Path(artifact).parents[1] / "anchors" / key / "words.csv").open(newline="") as file:
        return {row["word"] for row in csv.DictReader(file)}


def extra(artifact: str) -> set[str]:
    return words(artifact) & {"one", "two", "three"}


def rows(ptx: Ptx, *args: str) -> list[set[tuple[str, str]]]:
    """The methods and targets of each table."""
    found: dict[str, set[tuple[str, str]]] = {}
    for row in ptx("table", "--json", *args).lines:
        found.setdefault(row["settings"], set()).add((row["method"], row["target"]))
    return list(found.values())


def test_sources_of_a_baseline_are_whose_words_count(ptx: Ptx, scored: Ptx, models: dict[str, str]) -> None:
    pair = ["--sources", models["a"], "--target", models["b"]]
    (moved,) = scored(*pair)
    for method in ("manual", "random", "tuned"):
        (line,) = scored(*pair, "--method", method)
        assert (line["method"], line["sources"]) == (method, [])
        assert words(line["path"]) == words(moved["path"])
    assert extra(moved["path"]) == {"three"}
    methods = {(name, "b") for name in ("floor", "random", "manual", "relative", "tuned")}
    assert rows(ptx) == [methods]
    out = ptx("table").out
    assert "differs" not in out
    assert "words of" not in out


def test_baselines_are_among_every_set_that_the_cache_has(ptx: Ptx, scored: Ptx, models: dict[str, str]) -> None:
    (alone,) = scored("--method", "manual", "--target", models["c"])
    assert extra(alone["path"]) == {"one", "two"}
    for source in ("a", "b"):
        scored("--sources", models[source], "--target", models["c"])
    found = scored("--method", "manual", "--target", models["c"])
    assert sorted(map(sorted, (extra(line["path"]) for line in found))) == [["one"], ["one", "two"], ["two"]]
    assert [line["key"] for line in found if line["reused"]] == [alone["key"]]
    shown = ptx("eval", "--method", "manual", "--target", models["c"], "--suite", alone["suite"], "--tasks", "R1")
    lines = shown.out.splitlines()
    assert lines[0] == "target c, method manual"
    assert lines[2].split()[:2] == ["task", "words"]
    said = {line.split(":")[0] for line in lines if line.startswith("words of ")}
    assert said == {"words of c", "words of a, c", "words of b, c"}
    assert "answers: words of c; and of " in " ".join(shown.err.split())
    # Another suite or target has none of them.
    other = ptx("eval", "--method", "manual", "--target", models["b"], "--suite", alone["suite"], "--json").at("eval")
    assert {frozenset(extra(line["path"])) for line in other} == {frozenset({"one", "three"})}


def test_a_named_set(ptx: Ptx, scored: Ptx, models: dict[str, str], tmp_path: Path) -> None:
    among = ["--words-of", ",".join(models.values())]
    every = [
        *scored("--sources", models["a"], "--target", models["b"], *among),
        *scored("--sources", models["a"], "--target", models["c"], *among),
        *scored("--target", models["b"], *among),
        *scored("--method", "manual", "--target", models["c"], *among),
    ]
    assert [extra(line["path"]) for line in every] == [set()] * 4
    assert len(rows(ptx)) == 1
    error = scored("--method", "manual", "--target", models["b"], "--words-of", models["a"], code=2)
    said = " ".join(error.split())
    assert "--words-of names a, but not b, as this command does" in said
    assert f"write it like --words-of {models['a']},{models['b']}" in said.replace("- ", "-")
    key = ptx("anchors", "--models", ",".join(models.values()), "--json").lines[-1]["key"]
    error = scored("--method", "manual", "--target", models["b"], *among, "--anchors", key, code=2)
    assert "--anchors KEY and --words-of both say which words" in error
    (tmp_path / "words.txt").write_text("France\none\nJapan\n")
    (line,) = scored("--method", "manual", "--target", models["b"], *among, "--anchors", "words.txt")
    assert words(line["path"]) == {"France", "Japan"}
    frame = api.eval(target=models["b"], method="manual", words_of=[*models.values()], suite=line["suite"], tasks="R1")
    assert frame.key.iloc[-1] == [of["key"] for of in scored("--method", "manual", "--target", models["b"], *among)][-1]


@pytest.mark.parametrize("as_table", [False, True])
def test_a_set_in_the_settings_file(ptx: Ptx, scored: Ptx, models: dict[str, str], tmp_path: Path, as_table) -> None:
    text = f'models = ["{models["a"]}", "{models["b"]}"]\n'
    if as_table:
        text = f'words_of = ["mine", "{models["b"]}"]\n[models]\nmine = "{models["a"]}"\n'
    (tmp_path / "ptx.toml").write_text(text)
    (line,) = scored("--method", "manual", "--target", models["b"])
    assert extra(line["path"]) == {"three"}
    (line,) = scored("--sources", models["a"], "--target", models["b"])
    assert extra(line["path"]) == {"three"}
    (line,) = scored("--method", "manual", "--target", models["c"])
    assert extra(line["path"]) == {"one", "two"}
    told = ptx("eval", "--method", "manual", "--target", models["c"], "--suite", line["suite"], "--tasks", "R1").err
    assert "ptx.toml names models whose words count, and not c: they do not here" in " ".join(told.split())
    shared = ptx("anchors", "--json")
    assert [of["models"] for of in shared.lines] == [[models["a"], models["b"]]]
    assert ptx("table").code == ptx("tune", "--model", models["c"], "--suite", line["suite"], "--epochs", "1").code == 0


def test_tables_that_differ_in_words_say_how_to_join_them(
    ptx: Ptx, scored: Ptx, models: dict[str, str], tmp_path: Path
) -> None:
    scored("--method", "manual", "--target", models["b"])
    scored("--sources", models["a"], "--target", models["b"])
    text = ptx("table").out
    (command,) = re.findall(r"only whose words answer differs; to join the other table: `(.*)`", text)
    assert command.startswith(f"ptx eval --target {models['b']} --method manual ")
    assert command.endswith(f" --words-of {models['a']},{models['b']}")
    assert ", words of a, b\n" in text
    assert "with words of b\n" in text
    assert ptx(*shlex.split(command)[1:]).code == 0
    assert "only whose words answer differs" not in ptx("table").out
    assert {("manual", "b"), ("relative", "b"), ("floor", "b")} in rows(ptx)
    # Two transfers, each with words of its own: there is no set of all yet.
    scored("--sources", models["c"], "--target", models["b"])
    commands = re.findall(r"to join one table: `(.*?)`", ptx("table").out)
    assert len(commands) >= 2
    for command in commands:
        assert set(shlex.split(command)[shlex.split(command).index("--words-of") + 1].split(",")) == {*models.values()}
        assert ptx(*shlex.split(command)[1:]).code == 0
    whole = [of for of in rows(ptx) if ("relative", "b") in of]
    assert len(whole) == 3


def test_a_recipe_names_a_set(ptx: Ptx, suite: str, models: dict[str, str], tmp_path: Path) -> None:
    names = ", ".join(f'"{name}"' for name in models.values())
    text = f'suite = "{suite}"\ntasks = ["R1"]\ntargets = ["{models["b"]}"]\nmethods = ["manual"]\n'
    (tmp_path / "r.toml").write_text(f"{text}words_of = [{names}]\n")
    made = ptx("run", "r.toml", "--json")
    assert made.code == 0, made.err
    assert extra(made.at("eval")[0]["path"]) == set()
    (tmp_path / "r.toml").write_text(f'{text}words_of = ["{models["a"]}"]\n')
    wrong = ptx("run", "r.toml")
    assert wrong.code == 1
    assert f"r.toml: words_of: {models['b']} is not among them, and answers too" in " ".join(wrong.err.split())
