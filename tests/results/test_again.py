"""Every way to a prompt, with settings of its own: the command that reports and tables name makes the same again."""

from __future__ import annotations

import shlex
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import write_suite

from ptx import api
from ptx.cache import Store
from ptx.results import collect
from ptx.results.report.again import again
from ptx.results.why import lineage

WAYS: list[dict[str, Any]] = [
    {"method": "relative"},
    {"method": "relative", "top_k": "16", "ridge": 1},
    {"method": "relative", "ridge": "gcv", "mask": "source", "normalize": False},
    {"method": "relative", "solver": "adam", "steps": 5},
    {"method": "relative", "select": "agree"},
    {"method": "relative", "sources": "a,b", "weights": "3,1"},
    {"method": "residual"},
    {"method": "residual", "length": 0},
    {"method": "residual", "length": 0.5, "map": "top-k", "top_k": "12"},
    {"method": "residual", "sources": "a,b", "weights": "3,1"},
    {"method": "residual", "init": "random"},
    {"method": "residual", "init": "random", "texts": "more.txt"},
    {"method": "residual", "init": "text:is found in"},
    {"method": "text"},
    {"method": "text", "texts": "more.txt"},
    {"method": "neighbours", "words": 2, "temperature": 0.5},
    {"method": "hubs"},
    {"method": "omp", "words": 3},
    {"method": "linear", "ridge": 0.1},
    {"method": "procrustes", "centre": False},
    {"method": "discretize"},
    {"method": "direct"},
    {"method": "projector"},
    {"method": "random"},
    {"method": "manual"},
    {"method": "auto"},
    {"method": "auto", "candidates": "text,residual:length=0.5"},
    {"method": "distil", "distil_steps": 2},
    {"method": "portable", "sources": "a,b"},
    {"method": "tuned", "epochs": 2},
    {"method": "tuned", "init": "random", "lr": 0.01, "schedule": "constant", "patience": 0},
]


NAMES = [" ".join(f"{name}={value}" for name, value in way.items()) for way in WAYS]


@pytest.fixture(scope="module")
def made(tiny, tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """A cache with an evaluation of every way from `a` (and `b`) to `b`, and their keys."""
    folder = tmp_path_factory.mktemp("again")
    (folder / "more.txt").write_text("lies in\nis a town of\n")
    cache, suite = folder / "cache", write_suite(folder / "suite", tasks=("R1",))
    keys = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        anchors = api.anchors(models=[tiny["a"], tiny["b"]], cache_dir=cache).key.iloc[-1]
        for name, way in zip(NAMES, WAYS, strict=True):
            own = {"epochs": 1, **way, **({"texts": folder / "more.txt"} if "texts" in way else {})}
            if own["method"] in ("random", "manual", "text"):
                own.pop("epochs")
            if own["method"] == "tuned":
                own.pop("method")
            elif own["method"] not in ("random", "manual"):
                own["sources"] = [tiny[source] for source in way.get("sources", "a").split(",")]
            (keys[name],) = api.eval(target=tiny["b"], suite=suite, anchors=anchors, cache_dir=cache, **own).key
    return cache, keys


@pytest.mark.parametrize(("name", "way"), [*zip(NAMES, WAYS, strict=True)], ids=NAMES)
def test_the_command_finds_what_it_would_make(ptx, made, name, way) -> None:
    cache, key = made[0], made[1][name]
    store = Store(cache)
    artifact = store.find(key)
    command = again([collect.result_of(artifact)], store)
    told = ptx(*shlex.split(command)[1:], "--cache-dir", str(cache), "--dry-run", "--json")
    assert told.code == 0, f"{command}\n{told.err}"
    assert {line["cache"] for line in told.lines} == {"hit"}, command
    assert [line["key"] for line in told.lines if line["stage"] == "eval"] == [key], command
    assert not way.get("weights") or "--weights 0.75,0.25" in command
    nodes = [lineage(artifact, store)]
    while nodes:  # `ptx why` spells settings, too
        node = nodes.pop()
        assert all(isinstance(text, str) for text in node.chosen)
        assert not way.get("weights") or node.settings.get("weights", [0.75, 0.25]) == [0.75, 0.25]
        nodes += node.parents


@pytest.mark.parametrize("name", NAMES)
def test_the_key_of_an_evaluation_stands_for_its_prompt(ptx, made, name) -> None:
    """Tables and `eval` name no other."""
    cache, keys = made
    where = ["--cache-dir", str(cache)]
    assert ptx("why", keys[name], *where).code == 0
    looked = ptx("inspect", keys[name], "--json", *where)
    written = ptx("export", keys[name], "--to", "npy", "--output", "out.npy", *where)
    answered = ptx("predict", "name3", "--prompt", keys[name], "--json", *where)
    if name == "method=manual":
        assert [each.code for each in (looked, written, answered)] == [1, 1, 1]
        assert "is of a manual template, not of a soft prompt" in written.err
        return
    assert [each.code for each in (looked, written, answered)] == [0, 0, 0], looked.err + written.err + answered.err
    assert len(np.load("out.npy")) == len(looked.lines)


def test_a_report_shows_every_way(ptx, made, tmp_path) -> None:
    result = ptx("report", "--output", "r.html", "--cache-dir", str(made[0]), "--words", "3")
    assert result.code == 0, result.err
    page = (tmp_path / "r.html").read_text("utf-8")
    assert page.count("ptx eval --target") >= len(WAYS)
