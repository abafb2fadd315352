"""What models are called: the last part of a path, or an alias of the settings file; meta.json has the whole path."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import PAPER_TUNING

from ptx import api
from ptx.errors import PtxError, UsageError
from ptx.lms.models import resolve
from ptx.lms.names import shown, typed
from ptx.lms.places import check_name, located, place

Ptx = Callable[..., Any]
# Tiny random models never learn.
pytestmark = pytest.mark.filterwarnings("ignore:the prompt for .* has not learned:UserWarning")


def test_paths_are_written_by_as_many_last_parts_as_tell_them_apart(ptx: Ptx) -> None:
    names = ["/x/one/final", "/y/one/final", "/x/two/final", "/x/mine", "bert-micro", "org/name", "./m", "/q:w.gguf"]
    assert shown(names) == {
        "/x/one/final": "x/one/final", "/y/one/final": "y/one/final", "/x/two/final": "two/final", "/x/mine": "mine",
        "bert-micro": "bert-micro", "org/name": "org/name", "./m": "m", "/q:w.gguf": "w.gguf",
    }  # fmt: skip
    assert shown(["/a/bert-micro", "bert-micro"]) == {"/a/bert-micro": "a/bert-micro", "bert-micro": "bert-micro"}
    assert shown(["/final", "/x/final"])["/x/final"] == "x/final"
    many = [f"/{'/'.join(parts)}/m" for parts in (("a", "b", "c"), ("d", "b", "c"), ("a", "c"), ("c",))]
    assert len({*shown(many).values()}) == len(many)


@pytest.fixture
def here(ptx: Ptx, tiny: dict[str, str], tmp_path: Path) -> Path:
    """A project with two models of one last name in folders, and a settings file that has an alias of another."""
    for name, run in (("a", "run1"), ("b", "run2")):
        shutil.copytree(tiny[name], tmp_path / run / "final")
    shutil.copytree(tiny["narrow"], tmp_path / "narrow")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.ptx.models]\nmine = "narrow"\nhub = "google-bert/bert-base-cased"\n'
    )
    return tmp_path


def test_an_alias_is_a_name_wherever_models_are_named(
    ptx: Ptx, here: Path, suite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert resolve("mine").name == str(here / "narrow")
    assert located("hub") == "google-bert/bert-base-cased"
    common = ["--suite", suite, "--tasks", "R1", "--epochs", "1", *PAPER_TUNING]
    (here / "below").mkdir()
    monkeypatch.chdir(here / "below")
    cache = ["--cache-dir", "../cache"]
    made = ptx("eval", "--sources", "mine,../run1/final", "--target", "../run2/final", *common, *cache, "--json")
    assert made.code == 0, made.err
    (line,) = made.at("eval")
    assert line["sources"] == [str(here / "narrow"), str(here / "run1" / "final")]
    meta = json.loads((Path(line["path"]) / "meta.json").read_bytes())
    assert meta["labels"]["target"] == str(here / "run2" / "final")
    told = ptx("eval", "--sources", "mine,../run1/final", "--target", "../run2/final", *common, *cache)
    assert told.out.splitlines()[0] == "sources mine+run1/final, target run2/final, method relative"
    assert str(here) not in told.out
    monkeypatch.chdir(here)
    for args in (
        ["anchors", "--models", "mine,run1/final"],
        ["tune", "--model", "mine", *common, "--dtype", "mine=bfloat16"],
        ["encode", "--model", "mine", *common],
        ["search", "--sources", "./run1/final", "--target", "mine", *common],
        ["words", "--models", "mine,run1/final", "France"],
        ["data", "check", suite, "--models", "mine"],
        ["eval", "--target", "mine", "--method", "manual", *common[:4]],
    ):
        done = ptx(*args)
        assert done.code == 0, done.err
        assert f"{here}/narrow" not in done.out
        assert "mine" in done.out + done.err, args
    assert api.tune(model="mine", suite=suite, tasks="R1", epochs=1, init="random", lr=0.01, schedule="constant",
                    patience=0).reused.all()  # fmt: skip
    assert {"name": "mine", "where": str(here / "narrow")} in ptx("models", "--json").lines


def test_one_last_name_of_two_models_in_a_table(ptx: Ptx, here: Path, suite: str) -> None:
    common = ["--suite", suite, "--tasks", "R1", "--words-of", "run1/final,run2/final,mine", "--method", "manual"]
    for target in ("run1/final", "./run2/final", "mine"):
        assert ptx("eval", "--target", target, *common).code == 0
    for extra in ((), ("--format", "csv"), ("--format", "json"), ("--format", "md"), ("--format", "html")):
        out = ptx("table", *extra).out
        assert "run1/final" in out
        assert "run2/final" in out
        assert "mine" in out
        assert str(here) not in out
    assert {*api.table(long=True).target} == {"run1/final", "run2/final", "mine"}
    alone = ptx("eval", "--target", "run1/final", *common)
    assert (
        alone.out.splitlines()[0] == "target run1/final, method manual"
    )  # as one of two among those whose words answer
    os.remove(here / "pyproject.toml")  # the table that was kept named an alias
    assert {*api.table(long=True).target} == {"run1/final", "run2/final", "narrow"}


def test_a_recipe_names_folders_beside_it(ptx: Ptx, here: Path, suite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "recipes").mkdir()
    text = 'suite = {}\ntasks = ["R1"]\nsources = [["{}"]]\n'
    text += 'targets = ["../run2/final", "mine"]\nmethods = ["direct", "manual"]\n'
    recipe = here / "recipes" / "r.toml"
    recipe.write_text(text.format(json.dumps(suite), "../run1/final") + "tune.epochs = 1\n")
    (here / "below").mkdir()
    monkeypatch.chdir(here / "below")
    made = ptx("run", "../recipes/r.toml", "--json")
    assert made.code == 0, made.err
    assert {tuple(row["sources"]) for row in made.at("eval")} == {(), (str(here / "run1" / "final"),)}
    shown = ptx("run", "../recipes/r.toml")
    assert {"run1/final", "run2/final", "mine"} <= {*shown.out.split()}
    assert str(here) not in shown.out
    monkeypatch.chdir(here)
    recipe.write_text(text.format(json.dumps(suite), "run1/final"))
    wrong = ptx("run", "recipes/r.toml")
    assert wrong.code == 1
    said = " ".join(wrong.err.split())
    assert "sources: beside the recipe is no run1/final" in said
    assert "write ../run1/final" in said
    recipe.write_text(text.format(json.dumps(suite), "../nothing"))
    assert "no folder ../nothing" in " ".join(ptx("run", "recipes/r.toml").err.split())


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('bert-micro = "narrow"', "the settings file calls a model bert-micro, which is the name of another"),
        ('bert-base = "narrow"', "the settings file calls a model bert-base, which is the name of another"),
        ('gpt2 = "narrow"', "the settings file calls a model gpt2, which is the name of another"),
        ('"a,b" = "narrow"', "models.a,b: 'a,b' can be no name"),
        ('mine = ""', "models.mine: names no model"),
        ("mine = true", "models.mine: True will not do"),
    ],
)
def test_what_can_be_no_alias(ptx: Ptx, here: Path, table: str, message: str) -> None:
    (here / "pyproject.toml").write_text(f"[tool.ptx.models]\n{table}\n")
    failed = ptx("anchors", "--models", "bert-micro")
    assert failed.code in (1, 2)
    assert message in " ".join(failed.err.split())


def test_an_alias_of_nothing_and_one_that_is_misspelt(ptx: Ptx, here: Path) -> None:
    (here / "pyproject.toml").write_text('[tool.ptx.models]\ngone = "./gone"\nmine = "narrow"\n')
    with pytest.raises(PtxError, match=f"no folder {here}/gone"):
        resolve("gone")
    with pytest.raises(PtxError) as raised:
        check_name("mines")
    assert "did you mean 'mine'?" in raised.value.hint
    assert place("mine") == place("./narrow")
    assert typed(str(here / "narrow")) == "mine"
    assert typed(str(here / "run1" / "final")) == "./run1/final"
    assert typed("bert-micro") == "bert-micro"
    (here / "pyproject.toml").write_text("[tool.ptx]\nwords_of = 3\n")
    with pytest.raises(UsageError, match="words_of: 3 will not do"):
        api.models()
