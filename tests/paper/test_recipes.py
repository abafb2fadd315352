"""Recipes: a tiny version of each of the paper's, resumption, failures by cell, and every mistake by file and key."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import write_topics

import ptx.paper.recipe
from ptx.cache import Store
from ptx.errors import PtxError, UsageError
from ptx.lms.known import STAND_INS
from ptx.paper.plan import Planned, failures, measured
from ptx.paper.recipe import FOLDER, PAPER, Variant, load_recipe
from ptx.paper.run import Cached

TINY = {"bert-base": "a", "roberta-base": "b", "albert-base": "narrow", "gpt2-small": "next"}


@pytest.fixture
def recipes(tmp_path, monkeypatch, tiny, suite) -> Path:
    """The paper's recipes as they ship, but for tiny models, tasks and sweeps."""
    folder = tmp_path / "recipes"
    folder.mkdir()
    topics = write_topics(tmp_path / "topics")
    for name in PAPER:
        text = (FOLDER / f"{name}.toml").read_text("utf-8")
        text = re.sub(r"(?m)^tasks = .*\n", "", text)
        text = text.replace('suite = "topics"', f'suite = "{topics}"')
        text = re.sub(r"search.steps = .*", "search.steps = [1, 30]", text)
        text = re.sub(r"anchors.count = .*", "anchors.count = [20, 40]", text)
        text = re.sub(r"encode.top_k = \[.*", 'encode.top_k = [20, "all"]', text)
        text = re.sub(r"tune.prompt_length = .*", "tune.prompt_length = [1, 2]", text)
        extra = "tune.epochs = 1\n" + (f'suite = "{suite}"\n' if name != "table6" else "")
        text = text.replace("[zoo]\n", f"[zoo]\n{extra}") if "[zoo]\n" in text else text + f"[zoo]\n{extra}"
        (folder / f"{name}.toml").write_text(text)
    stand_ins = {name: tiny[TINY[name]] if name in TINY else None for name in STAND_INS}
    stand_ins["roberta-large"] = tiny["narrow"]  # the target of table6
    monkeypatch.setattr(ptx.paper.recipe, "STAND_INS", stand_ins)
    monkeypatch.setattr(ptx.paper.recipe, "FOLDER", folder)
    return folder


@pytest.mark.parametrize("name", [name for name in PAPER if name.startswith("table") and name != "table4"])
def test_a_tiny_version_of_each_table(ptx, recipes, name) -> None:
    made = ptx("run", name, "--jobs", "1")
    assert made.code == 0, made.err
    assert f"Table {name[-1]} in miniature" in made.out
    again = ptx("run", name, "--jobs", "1")
    assert again.out == made.out
    assert "built nothing" in again.err
    shown = ptx("table", "--paper", name[-1])
    assert shown.out == made.out
    lines = ptx("table", "--paper", name[-1], "--compare", "--json").lines
    published = [line["published"] for line in lines if line["method"] != "floor"]
    assert len(lines) > 1
    assert all(value is not None for value in published) or name == "table6"


@pytest.mark.parametrize("name", ["figure2", "figure3", "figure4"])
def test_a_tiny_version_of_each_figure(ptx, recipes, name, tmp_path) -> None:
    pytest.importorskip("matplotlib")
    made = ptx("run", name, "--jobs", "1", "--output", "drawn")
    assert made.code == 0, made.err
    assert {path.name for path in (tmp_path / "drawn").iterdir()} == {
        f"{name}.{end}" for end in ("png", "svg", "pdf", "csv")
    }
    again = ptx("run", name, "--jobs", "1", "--json")
    assert again.code == 0
    assert all(line["reused"] for line in again.lines)


def test_table4_is_read_from_the_models(ptx) -> None:
    """The embedded models themselves: parameters as their cards count them, widths as their classes have them."""
    import torch
    from transformers import AutoModel

    from ptx.lms.catalogue import card
    from ptx.lms.models import resolve

    rows = {row["model"]: row for row in ptx("run", "table4", "--json").lines}
    assert set(rows) == {name for name in STAND_INS.values() if name}
    for name, row in rows.items():
        assert row["parameters"] == card(name)["parameters"]
        network = AutoModel.from_pretrained(resolve(name).path, dtype=torch.float32)
        assert row["embedding"] == network.get_input_embeddings().weight.shape[1]
        assert row["hidden"] == network.config.hidden_size
        assert row["task"].startswith("causal" if name.startswith("gpt2") else "masked")


def test_all_of_the_paper_and_its_claims(ptx, recipes) -> None:
    pytest.importorskip("matplotlib")
    names = ["table1", "table2", "table3", "figure3", "table6"]
    result = ptx("run", *names, "--jobs", "1")
    assert result.code == 0, result.err
    claims = ptx("table", "--paper", "claims", "--json").lines
    assert len(claims) >= 10
    assert {claim["holds"] for claim in claims} <= {True, False, None}
    text = ptx("table", "--paper", "claims").out
    assert "What a miniature cannot show" in text


def test_a_cell_holds_what_it_is_the_mean_of(ptx, recipes, tmp_path) -> None:
    """By relation; by text in a classification, as its evaluations' predictions say."""
    tuned_hard(recipes)
    made = ptx("run", "table2", "table6", "--seeds", "0,1", "--jobs", "1", "--json")
    assert made.code == 0, made.err
    store = Store(tmp_path / "cache")
    differing = 0
    for name, unit in (("table2", "relation"), ("table6", "text")):
        cells = measured(*Cached(store, (), "float32").of(load_recipe(name)))
        assert {(cell.unit, cell.seeds) for cell in cells} == {(unit, (0, 1))}
        for cell in cells:
            assert np.shape(cell.scores) == (2, cell.facts if unit == "text" else 2) == (2, len(cell.units))
            assert np.mean(cell.scores) == pytest.approx(cell.accuracy)
            assert cell.method != "manual" or cell.scores[0] == cell.scores[1]  # nothing is drawn
        differing += sum(cell.scores[0] != cell.scores[1] for cell in cells)
    assert differing


def tuned_hard(recipes: Path) -> None:
    """So that seeds give tiny models other answers."""
    for path in recipes.iterdir():
        path.write_text(path.read_text("utf-8").replace("tune.epochs = 1\n", "tune.epochs = 4\ntune.lr = 1\n"))


def result_lines(ptx, name: str, *more: str) -> list[dict]:
    return ptx("table", "--paper", name, "--json", *more).lines


def test_several_seeds_are_run_and_averaged(ptx, recipes, tmp_path) -> None:
    tuned_hard(recipes)
    made = ptx("run", "table3", "--seeds", "0,1,1", "--jobs", "1")
    assert made.code == 0, made.err
    assert "means over seeds 0, 1\n" in made.out
    assert ptx("table", "--paper", "3").out == made.out
    whole, *single = (result_lines(ptx, "3", *more) for more in ([], ["--seeds", "0"], ["--seed", "1"]))
    one, two, both = (np.array([row["percent"] for row in rows], dtype=float) for rows in (*single, whole))
    assert both == pytest.approx((one + two) / 2, abs=1e-3, nan_ok=True)
    assert np.nanmax(abs(one - two)) > 0
    larger = next(
        line for line in result_lines(ptx, "claims") if "classification" not in line["claim"] and line["seeds"]
    )
    assert larger["seeds"] == [0, 1]
    assert "over 2 relations, seeds 0, 1 (" in larger["numbers"]
    drawn = ptx("run", "figure3", "--seeds", "0,1", "--jobs", "1", "--output", "drawn")
    assert drawn.code == 0, drawn.err
    assert "; means over seeds 0, 1\n" in drawn.out


def test_a_table_of_the_papers_says_that_target_labels_chose(ptx, recipes, tmp_path) -> None:
    text = (recipes / "table3.toml").read_text("utf-8")
    chosen = 'methods = ["projector"]\nsearch.solver = "adam"\nsearch.steps = 1\nsearch.select = "dev"\n'
    (tmp_path / "mine.toml").write_text(re.sub(r"methods = .*\n", chosen, text))
    made = ptx("run", "mine.toml", "--jobs", "1")
    assert made.code == 0, made.err
    assert "chosen on LABELLED TARGET dev facts; this is not zero-shot transfer" in made.out


def test_a_seed_on_its_way_is_left_out(ptx, recipes, tmp_path) -> None:
    lines = ptx("run", "table1", "--seeds", "0,1", "--jobs", "1", "--json").lines
    zero = ptx("table", "--paper", "1", "--seeds", "0", "--json").lines
    path = next(line["path"] for line in lines if line["stage"] == "eval" and meta_of(line["path"])["seed"] == 1)
    shutil.rmtree(path)
    shown = ptx("table", "--paper", "1", "--json")
    assert [line | {"reused": False} for line in shown.lines] == zero  # the very artifact
    count = sum(line["stage"] == "eval" for line in lines) // 2
    assert f"seed 1 has {count - 1} of {count} evaluations: table1 is shown without it" in shown.err


def test_a_failure_names_its_seed_if_there_are_several() -> None:
    good = Planned("relative", ("a",), "b", Variant("facts", {}, {}))
    bad = dataclasses.replace(good, error=PtxError("no such task", "choose another"))
    assert [error.message for error in failures({0: [good], 7: [bad]}, {})] == [
        "relative a > b on facts, seed 7: no such task",
        "1 of 2 cells failed; the others are kept",
    ]
    assert failures({7: [bad]}, {})[0].message == "relative a > b on facts: no such task"


def meta_of(path: str) -> dict:
    return json.loads((Path(path) / "meta.json").read_text("utf-8"))["labels"]


def test_seeds_that_are_none(ptx) -> None:
    for words in (["run", "demo", "--seeds", "0,x"], ["table", "--paper", "3", "--seeds", "0,x"]):
        wrong = ptx(*words)
        assert wrong.code == 2
        assert "error: --seeds '0,x' is no list of whole numbers\nhint: write it like --seeds 0,1,2\n" in wrong.err
    alone = ptx("table", "--models", "zoo")
    assert alone.code == 2
    assert "error: --compare and --models belong to --paper" in alone.err


def test_a_recipe_resumes_and_names_every_cell_that_failed(ptx, tiny, suite, tmp_path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in Path(tiny["b"]).iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    weights = (broken / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(weights[:100])
    recipe = tmp_path / "grid.toml"
    recipe.write_text(
        f'suite = "{suite}"\nsources = [["{tiny["a"]}"], ["{broken}"]]\ntargets = ["{tiny["narrow"]}"]\n'
        'methods = ["manual", "relative"]\ntune.epochs = 1\n'
    )
    result = ptx("run", recipe, "--jobs", "1", "--json")
    assert result.code == 1
    assert f"error: relative broken > narrow on {suite}, 2 of 2 tasks (R1, R2): cannot load" in result.err
    assert "1 of 3 cells failed; the others are kept" in result.err
    assert len([line for line in result.at("eval") if "error" not in line]) == 4
    assert {line["method"] for line in result.at("table")} == {"floor", "manual", "relative"}
    (broken / "model.safetensors").write_bytes(weights)
    again = ptx("run", recipe, "--jobs", "1", "--json")
    assert again.code == 0, again.err
    kept = {line["key"] for line in result.at("eval") if "error" not in line}
    assert kept <= {line["key"] for line in again.at("eval") if line["reused"]}


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.toml"
    path.write_text('sources = [["bert-micro"]]\ntargets = ["roberta-micro"]\n' + text)
    return str(path)


MISTAKES = [
    ("titel = 'x'", "mine.toml: unknown key 'titel'", "did you mean 'title'?"),
    ("encode.topk = 5", "mine.toml: encode: unknown key 'topk'", "did you mean 'top_k'?"),
    ("[[sweep]]\nencode.topk = [5]", "mine.toml: encode: unknown key 'topk'", "did you mean 'top_k'?"),
    ("[[sweep]]\nencod.top_k = [5]", "mine.toml: sweep 1: unknown key 'encod'", "did you mean 'encode'?"),
    ("[zoo]\ntargest = []", "mine.toml: zoo: unknown key 'targest'", "did you mean 'targets'?"),
    ("methods = ['relativ']", "mine.toml: methods: unknown method 'relativ'", "did you mean 'relative'?"),
    ("tune.epochs = 'ten'", "mine.toml: tune.epochs: 'ten' will not do", "give a whole number"),
    ("tune.epochs = 0", "mine.toml: tune: --epochs 0 is less than 1", "choose --epochs 1 or more"),
    ("tune.layout = 'infix'", "mine.toml: tune.layout: 'infix' will not do", "give 'postfix' or 'prefix'"),
    ("shows = 'table7'", "mine.toml: shows: unknown 'table7'", "did you mean 'table"),
    ("tasks = 'P17'", "mine.toml: tasks: 'P17' will not do", "give a list"),
    ("x = = 1", "mine.toml: Invalid", "correct the file"),
]


@pytest.mark.parametrize(("text", "message", "hint"), MISTAKES, ids=[text for text, _, _ in MISTAKES])
def test_mistakes_are_named_by_file_and_key(tmp_path, text, message, hint) -> None:
    with pytest.raises(PtxError) as caught:
        load_recipe(written(tmp_path, text))
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_an_unknown_model_in_a_recipe(tmp_path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('sources = [["bert-mikro"]]\ntargets = ["roberta-micro"]\n')
    with pytest.raises(PtxError, match=r"mine\.toml: sources: unknown model 'bert-mikro'") as caught:
        load_recipe(str(path))
    assert "did you mean 'bert-micro'?" in caught.value.hint


def test_models_belongs_to_recipes_with_stand_ins() -> None:
    with pytest.raises(UsageError, match="names its models itself"):
        load_recipe("demo", "paper")


def test_stand_ins_or_the_papers_own() -> None:
    zoo, paper = load_recipe("table5"), load_recipe("table5", "paper")
    assert zoo.targets == ("bert-micro", "roberta-micro", "gpt2-micro", "gpt2-mini")  # none for gpt2-large
    assert paper.targets[-1] == "gpt2-large"
    assert [v.configs["encode"].top_k for v in (*zoo.variants, *paper.variants)] == ["48%", "8192"]
    assert [v.suite for v in load_recipe("table6", "paper").variants] == ["sst2", "dbpedia"]


def test_sweeps_add_up_and_multiply(tmp_path) -> None:
    recipe = load_recipe(
        written(
            tmp_path, "[[sweep]]\nsearch.normalize = [true, false]\nencode.top_k = [5, 'all']\n[[sweep]]\ntune.lr = 1"
        )
    )
    swept = [dict(variant.swept) for variant in recipe.variants]
    assert len(swept) == 5
    assert swept[1] == {"search.normalize": True, "encode.top_k": "all"}
    assert (recipe.variants[1].configs["encode"].top_k, recipe.variants[4].configs["tune"].lr) == ("all", 1)


def test_self_transfer_can_be_left_out() -> None:
    assert all(target not in sources for _, sources, target in load_recipe("table5").cells())
    assert any(target in sources for _, sources, target in load_recipe("table3").cells())


def test_direct_cells_have_one_width() -> None:
    cells = list(load_recipe("table1").cells())
    assert len(cells) == 4
    assert ("direct", ["bert-mini"], "roberta-mini") in cells


def test_compare_needs_paper(ptx) -> None:
    result = ptx("table", "--compare")
    assert (result.code, "add --paper 3" in result.err) == (2, True)
    assert ptx("table", "--paper", "9").code == 2
    missing = ptx("table", "--paper", "3")
    assert (missing.code, "run `ptx run table3`" in missing.err) == (1, True)


def test_recipes_that_ship_are_plain_toml() -> None:
    import tomllib

    for path in FOLDER.glob("*.toml"):
        assert tomllib.loads(path.read_text("utf-8"))["title"]
        assert json.dumps(tomllib.loads(path.read_text("utf-8")))
