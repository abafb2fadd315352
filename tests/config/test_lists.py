"""Lists with commas: of names, and of paths that hold commas themselves."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Result

import ptx as functions
from ptx.config.lists import listed, names_in


def test_names() -> None:
    for of in (listed, names_in):
        assert of("a,b") == of(" a , b,, ") == ["a", "b"]
        assert of("") == of(" ,") == []
    assert names_in("a," + "x" * 5000) == ["a", "x" * 5000]


def test_a_path_that_exists_is_one_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "a, b", "v1,v2,v3", "v1"):
        (tmp_path / name).mkdir()
    assert names_in("a, b") == ["a, b"]
    assert names_in("a,b") == ["a", "b"]
    assert names_in("bert-micro, ./a, b/ ,v1,v2,v3,v1") == ["bert-micro", "./a, b/", "v1,v2,v3", "v1"]
    assert names_in("v1,v2") == ["v1", "v2"]
    (tmp_path / "a, b" / "x,y.gguf").touch()
    assert names_in("a, b:x,y.gguf,v1") == ["a, b:x,y.gguf", "v1"]
    assert listed("a, b") == ["a", "b"]  # tasks are no paths


def test_every_list_of_paths_takes_commas(
    tiny: dict[str, str], suite: str, tmp_path: Path, ptx: Callable[..., Result]
) -> None:
    one, two = "my models, v1", "my models, v2/b"
    shutil.copytree(tiny["a"], one)
    shutil.copytree(tiny["b"], two)
    places = [str(tmp_path / one), str(tmp_path / two)]
    assert ptx("anchors", "--models", f"{one}, {two}", "--json").lines[0]["models"] == places
    assert functions.anchors(models=[one, Path(two)])["models"][0] == places
    common = ["--suite", suite, "--tasks", "R1", "--epochs", "1", "--json", "--cache-dir", "c, d"]
    scored = ptx("eval", "--sources", f"{one},{two}", "--target", tiny["narrow"], "--top-k", "all", *common)
    assert scored.code == 0, scored.err
    assert scored.at("eval")[0]["sources"] == places
    tuned = {line["model"]: line["path"] for line in scored.at("tune")}
    prompts = ",".join(str(Path(path).relative_to(tmp_path)) for path in tuned.values())
    given = ptx("search", "--prompt", prompts, "--target", tiny["narrow"], "--top-k", "all", *common[-3:])
    assert given.code == 0, given.err
    assert given.at("search")[0]["sources"] == places
    start = str(Path(tuned[places[0]]).relative_to(tmp_path))
    warm = ptx("tune", "--model", one, "--init", f"{start}\n", *common)
    assert warm.code == 0, warm.err
    shutil.copy(Path(start) / "prompt.safetensors", "of a, mine.safetensors")
    file = ptx("eval", "--target", one, "--prompt", "of a, mine.safetensors", *common)
    assert file.code == 0, file.err
    assert ptx("data", "check", suite, "--models", f"{one},{two}").code == 0
