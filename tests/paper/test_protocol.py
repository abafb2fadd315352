"""The paper's protocol: what `--models paper` asks for, where its data are looked for, and what `--compare` says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import COUNTRIES, FILLER, write_suite

from ptx.cache import file_digest
from ptx.lms.known import STAND_INS
from ptx.paper import protocol
from ptx.paper import recipe as recipes
from ptx.paper.recipe import FOLDER, PAPER, load_recipe

GRIDS = [name for name in PAPER if name != "table4"]
DATA = "OptiPrompt/data/autoprompt_data"
LIST = "OptiPrompt/common_vocabs/common_vocab_cased_be_ro_al.txt"


@pytest.mark.parametrize("name", GRIDS)
def test_the_papers_models_follow_the_papers_protocol(name: str) -> None:
    """Every setting of the protocol, but for what a recipe varies, and Figure 2, which follows Adam's path."""
    recipe = load_recipe(name, "paper")
    assert recipe.words == LIST
    for variant in recipe.variants:
        assert variant.suite == DATA or name == "table6"
        assert variant.configs["anchors"].keep_words
        for of in protocol.SETTINGS.values():
            for setting, wanted in of.items():
                stage, own = setting.split(".")
                if setting in variant.swept or setting == "tune.dtype" or setting == "search.lr":
                    continue
                if stage == "search" and ("relative" not in recipe.methods or name == "figure2"):
                    continue
                if setting == "eval.split" and name == "figure2":
                    continue
                assert str(getattr(variant.configs[stage], own)) == str(wanted), setting


def test_the_zoo_is_run_as_ever() -> None:
    for name in GRIDS:
        recipe = load_recipe(name)
        assert recipe.words == ""
        for variant in recipe.variants:
            assert variant.configs["tune"].schedule == "constant"
            assert variant.configs["search"].solver in ("exact", "adam")


def test_data_that_are_not_there_are_one_error(ptx) -> None:
    for command in (
        ["run", "table3", "--models", "paper", "--dry-run"],
        ["table", "--paper", "3", "--models", "paper"],
    ):
        result = ptx(*command)
        assert result.code == 1
        assert result.err.count("error:") == 1
        assert f"unknown suite '{DATA}'" in result.err
        flat = " ".join(result.err.split())
        assert "run `ptx data fetch optiprompt-lists --output OptiPrompt`, then" in flat
        assert "`ptx data fetch optiprompt --output OptiPrompt/data`" in flat
    other = " ".join(ptx("data", "check", "mine/autoprompt_data").err.split())
    assert "hint: run `ptx data fetch optiprompt --output mine`" in other


@pytest.fixture
def as_paper(tmp_path, monkeypatch, tiny) -> Path:
    """Table 3 with tiny models in the zoo's place, everything else as for the paper's, and its data."""
    text = (FOLDER / "table3.toml").read_text("utf-8")
    text = re.sub(r"(?s)\[zoo\].*?(?=\[paper\])", "", text).replace("[paper]", "[zoo]")
    text = text.replace("lr = 0.003,", "lr = 0.003, epochs = 1,").replace('"dev" }', '"dev", steps = 100 }')
    folder = tmp_path / "recipes"
    folder.mkdir()
    (folder / "table3.toml").write_text(text)
    standing = {"bert-base": "a", "roberta-base": "b", "albert-base": "narrow"}
    stand_ins = {name: tiny[standing[name]] if name in standing else None for name in STAND_INS}
    monkeypatch.setattr(recipes, "STAND_INS", stand_ins)
    monkeypatch.setattr(recipes, "FOLDER", folder)
    (tmp_path / "OptiPrompt/data").mkdir(parents=True)
    data = write_suite(tmp_path / DATA)
    templates = tmp_path / "OptiPrompt/relation_metainfo"
    templates.mkdir()
    (data / "relations.jsonl").rename(templates / "LAMA_relations.jsonl")
    (tmp_path / LIST).parent.mkdir()
    (tmp_path / LIST).write_text("\n".join([*COUNTRIES, *FILLER[:40], "Atlantis"]))
    return tmp_path


def remaining(ptx) -> list[str]:
    shown = ptx("table", "--paper", "3", "--compare")
    assert shown.code == 0, shown.err
    return [line for line in shown.out.splitlines() if line.startswith("not as in the paper")]


def test_compare_lists_what_is_not_as_in_the_paper(ptx, as_paper, monkeypatch) -> None:
    made = ptx("run", "table3", "--jobs", "1")
    assert made.code == 0, made.err
    assert f"words shared by {LIST} and" in " ".join(made.err.split())
    assert "1 of " in made.err  # Atlantis
    assert "chosen on LABELLED TARGET dev facts" in made.out
    assert "not as in the paper" not in made.out
    tuning, anchors, search = remaining(ptx)
    assert tuning.startswith("not as in the paper, tuning: epochs 1 (there 10), no dropout,")
    assert re.fullmatch(r"not as in the paper, anchors: words \d+ \(there a list of 17,230, each kept\)", anchors)
    assert search == "not as in the paper, search: steps 100 (there 2000)"
    monkeypatch.setattr(protocol, "WORDS", file_digest(as_paper / LIST))
    assert [line.split(":")[0].split(", ")[1] for line in remaining(ptx)] == ["tuning", "search"]


def test_compare_of_a_zoo_that_is_run_as_ever(ptx, as_paper, suite) -> None:
    recipe = as_paper / "recipes/table3.toml"
    text = recipe.read_text().split("[zoo]")[0]
    recipe.write_text(text + f'[zoo]\nsuite = "{suite}"\ntune.epochs = 1\nencode.top_k = "48%"\n')
    made = ptx("run", "table3", "--jobs", "1")
    assert made.code == 0, made.err
    assert "LABELLED" not in made.out
    data, tuning, anchors, search = remaining(ptx)
    assert data == f"not as in the paper, data: {suite} (there LAMA's TREx, tuned on AutoPrompt's facts)"
    assert "lr 0.01 (there 0.003), schedule constant (there linear), warmup 0.0 (there 0.1)" in tuning
    assert "top_k 48% (there 8192)" in anchors
    assert search.startswith("not as in the paper, search: solver exact (there ptfer), select none (there dev)")


def test_without_the_list_the_words_are_the_models_own(ptx, as_paper) -> None:
    (as_paper / LIST).unlink()
    planned = ptx("run", "table3", "--jobs", "1", "--dry-run", "--json")
    assert planned.code == 0, planned.err
    assert f"as there is no {LIST}" in " ".join(planned.err.split())
