"""`ptx run real` on tiny random models of the same classes, from a hub on loopback; its table against plain loops."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import families
import pytest
from conftest import write_suite
from hubs import Hub, environment, serving
from transformers import AutoConfig, BertForPreTraining

from ptx.errors import PtxError
from ptx.lms.hub import TOKENIZER_FILES
from ptx.lms.places import pinned
from ptx.paper import ladder
from ptx.paper.ahead import Ahead
from ptx.paper.cells import Cell
from ptx.paper.recipe import FOLDER, load_recipe
from ptx.results.sheet import render

CLASSES = {  # how names of the hub begin: the class that such models are of
    "google/": "bert-uncased", "EleutherAI/": "gpt-neox", "jhu-clsp/ettin-encoder": "modernbert",
    "jhu-clsp/ettin-decoder": "ettin-decoder", "distilbert/": "distilbert", "openai-community/": "gpt2",
    "HuggingFaceTB/": "llama",
}  # fmt: skip
SCRIPT = """
import json, sys
from typer.testing import CliRunner
from ptx.cli import app
for args in json.loads(sys.argv[1]):
    done = CliRunner().invoke(app, args)
    print(json.dumps([done.exit_code, done.stdout, done.stderr]))
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Every model of the recipe, at the commit that it pins."""
    root = tmp_path_factory.mktemp("hub")
    server = Hub({}, set())
    for name in load_recipe("real").models:
        repo, revision = pinned(name)
        family = next(family for start, family in CLASSES.items() if repo.startswith(start))
        folder = families.make(family, root / repo)
        if "multiberts" in repo:
            BertForPreTraining(AutoConfig.from_pretrained(folder)).save_pretrained(folder)
        server.folders[repo] = folder
        if revision:
            server.commits[repo] = revision
    with serving(server):
        yield server


def run(hub: Hub, home: Path, *commands: list[str], offline: bool = False) -> list[tuple[int, str, str]]:
    script = [sys.executable, "-c", SCRIPT, json.dumps(commands)]
    done = subprocess.run(
        script, env=environment(hub, home, offline=offline), cwd=home, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def test_the_recipe_runs_on_models_of_its_classes(hub: Hub, tmp_path: Path) -> None:
    suite = str(write_suite(tmp_path / "lower", objects=["river", "music", "king"]))  # of uncased models too
    text = (FOLDER / "real.toml").read_text("utf-8")
    few = f"suite = {json.dumps(suite)}\ntune.epochs = 1\nsearch.candidates = 'text,residual:length=0.5'\n"
    text = re.sub(r"(?m)^tasks = .*\n", "", text.replace('suite = "facts"\n', few))
    (tmp_path / "mine.toml").write_text(text)
    weights = [file for repo in hub.folders for file in hub.folders[repo].glob("model.safetensors")]
    dry, first, table, again = run(
        hub, tmp_path, ["run", "mine.toml", "--dry-run"], ["run", "mine.toml", "--json"], ["run", "mine.toml"],
        ["run", "mine.toml", "--dry-run"],
    )  # fmt: skip
    assert dry[0] == 0, dry[2]
    wanted = (*TOKENIZER_FILES, "config.json", "model.safetensors")
    files = [file for folder in hub.folders.values() for file in folder.iterdir() if file.name in wanted]
    size = sum(file.stat().st_size for file in files)
    assert f"{len(hub.folders)} models of the hub: {size / 1e6:.1f} MB to download, about " in " ".join(dry[2].split())
    assert "of computing, roughly" in " ".join(dry[2].split())
    assert dry[1] == ""
    assert first[0] == 0, first[2]
    assert hub.asked.count("model.safetensors") == len(weights)
    rows = [row for row in map(json.loads, first[1].splitlines()) if row["stage"] == "table"]
    recipe = load_recipe("real")
    assert {(row["rung"], row["method"], row["pairs"]) for row in rows} == {
        (rung.name, method, len(rung.pairs)) for rung in recipe.rungs for method in recipe.methods
    }
    assert {row["relations"] for row in rows} == {2}
    lines = table[1].splitlines()
    named = (line.split("  ")[0] for line in lines if re.match(r"other \w+  ", line))
    assert [*dict.fromkeys(named)] == [rung.name for rung in recipe.rungs]
    assert "ettin-encoder-17m → ettin-decoder-17m" in table[1]
    assert "all of them are here" in " ".join(table[2].split())
    assert "built nothing" in table[2]
    assert again[0] == 0


def test_what_is_pinned_is_a_commit() -> None:
    models = load_recipe("real").models
    revisions = {name: pinned(name)[1] for name in models}
    assert any(revisions.values())
    assert all(re.fullmatch("[0-9a-f]{40}", revision) for revision in revisions.values() if revision)
    assert len({pinned(name)[0] for name in models}) == len(models)  # one model, one revision
    for rung in tomllib.loads((FOLDER / "real.toml").read_text("utf-8"))["rung"]:
        assert all(source != target for source, target in rung["pairs"])


def cell(method: str, source: str, target: str, rung: str, scores: list[list[float]]) -> Cell:
    sources = () if method in ("tuned", "manual") else (source,)
    return Cell(
        method, sources, target, "facts", 0.0, 3, 30, 0.1, settings={"rung": rung, "source": source}, seeds=(0, 1),
        units=("P1", "P2", "P3"), scores=tuple(map(tuple, scores)), floors=((0.1, 0.2, 0.3),) * 2, seconds=2.0,
    )  # fmt: skip


CELLS = [
    cell("tuned", "a", "b", "near", [[0.8, 0.9, 0.7], [0.8, 0.7, 0.9]]),
    cell("relative", "a", "b", "near", [[0.4, 0.9, 0.2], [0.5, 0.3, 0.1]]),
    cell("tuned", "b", "c", "near", [[0.6, 0.5, 0.9], [0.4, 0.6, 0.8]]),
    cell("relative", "b", "c", "near", [[0.3, 0.3, 0.3], [0.1, 0.2, 0.4]]),
    cell("tuned", "c", "b", "far", [[0.5, 0.6, 0.7], [0.9, 0.8, 0.6]]),  # among other words than from a
    cell("relative", "c", "b", "far", [[0.1, 0.2, 0.3], [0.1, 0.2, 0.3]]),
    cell("relative", "c", "d", "far", [[0.9, 0.9, 0.9], [0.9, 0.9, 0.9]]),  # nothing was tuned on d
]


def test_numbers_are_those_of_plain_loops() -> None:
    sheet = ladder.table(CELLS)
    assert max(map(len, render(sheet, "text").splitlines())) <= 80
    found = {(row["rung"], row["method"]): row for row in sheet.records}
    assert list(found) == [("near", "tuned"), ("near", "relative"), ("far", "tuned"), ("far", "relative")]
    for (rung, method), row in found.items():
        whole = [c for c in CELLS if c.settings["rung"] == rung and c.target != "d"]
        own: list[float] = []
        floor: list[float] = []
        top: list[float] = []
        for c in (c for c in whole if c.method == method):
            (best,) = [t for t in whole if t.method == "tuned" and (t.target, t.settings) == (c.target, c.settings)]
            for seed in range(2):
                own += c.scores[seed]
                floor += c.floors[seed]
                top += best.scores[seed]
        score, low, high = map(statistics.mean, (own, floor, top))
        assert row["accuracy"] == pytest.approx(100 * score)
        assert row["gap"] == pytest.approx(100 * (score - low) / (high - low))
        assert row["low"] <= row["accuracy"] <= row["high"]
        assert (row["pairs"], row["seconds"]) == (len([c for c in whole if c.method == method]), 2.0)
    assert found["far", "relative"]["gap"] == pytest.approx(0)
    assert "left out, as nothing was tuned on the target: c → d" in sheet.notes


def test_a_cost_is_said_in_words() -> None:
    said = "3 models of the hub: 1.5 GB to download, about 2 minutes at 10 MB a second; then about 3 hours of computing"
    assert str(Ahead(3, 1_500_000_000, 10_000)) == f"{said}, roughly"
    assert str(Ahead(1, 0, 0.2)) == "1 model of the hub: all of them are here; then about 1 s of computing, roughly"


GOOD = 'shows = "ladder"\n[[rung]]\nname = "x"\npairs = [["bert-micro", "bert-mini"]]\n'


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('shows = "ladder"', 'a ladder has both shows = "ladder" and [[rung]]', "real.toml"),
        (GOOD.partition("\n")[2], 'a ladder has both shows = "ladder" and [[rung]]', "real.toml"),
        ('targets = ["bert-mini"]\n' + GOOD, "targets: a ladder has none", "leave targets out"),
        ('suite = ["facts", "topics"]\n' + GOOD, "suite: a ladder is about one", "give its name alone"),
        (GOOD.replace(', "bert-mini"', ""), "rung 'x': ['bert-micro'] is no pair", "write source and target"),
        (GOOD.replace("bert-mini", "bert-mimi"), "unknown model 'bert-mimi'", "did you mean 'bert-mini'?"),
        (GOOD.replace("name", "nam"), "unknown key 'nam'", "did you mean 'name'?"),
    ],
)
def test_mistakes_in_a_ladder(tmp_path: Path, text: str, message: str, hint: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(PtxError) as caught:
        load_recipe(str(tmp_path / "mine.toml"))
    assert message in caught.value.message
    assert hint in caught.value.hint
