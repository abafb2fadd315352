"""One model under several names: a copy, a link, another spelling of its folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Result, make_model

from ptx.lms.models import resolve
from ptx.stages.methods import method_named


@pytest.fixture
def common(tiny: dict[str, str], suite: str, ptx: Callable[..., Result]) -> list[str]:
    """Two copies of a model, m and copy, and a link to the first; options of a quick command."""
    for name in ("m", "copy"):
        shutil.copytree(tiny["a"], name)
    Path("link").symlink_to("m")
    return ["--suite", suite, "--tasks", "R1", "--epochs", "1", "--json"]


def test_a_command_shows_the_names_that_it_was_given(common: list[str], tiny: dict[str, str], ptx) -> None:
    first = ptx("eval", "--sources", "./m", "--target", tiny["b"], "--top-k", "all", *common)
    again = ptx("eval", "--sources", "copy/", "--target", tiny["b"], "--top-k", "all", *common)
    assert [line["key"] for line in again.lines] == [line["key"] for line in first.lines]
    assert all(line["reused"] for line in again.lines)
    assert first.at("tune")[0]["model"] == os.path.abspath("m")
    assert again.at("tune")[0]["model"] == os.path.abspath("copy")
    assert again.at("search")[0]["sources"] == again.at("eval")[0]["sources"] == [os.path.abspath("copy")]
    dry = ptx("eval", "--sources", "copy", "--target", tiny["b"], "--top-k", "all", "--dry-run", *common)
    assert dry.at("eval")[0]["sources"] == [os.path.abspath("copy")]
    # the source's prompt was tuned under the other name
    third = ptx("search", "--sources", "copy", "--target", tiny["narrow"], "--top-k", "all", *common)
    looked = ptx("inspect", third.at("search")[0]["key"])
    assert looked.code == 0, looked.err


def test_one_model_is_one_source(common: list[str], tiny: dict[str, str], ptx) -> None:
    def search(sources: str) -> Result:
        return ptx("search", "--sources", sources, "--target", tiny["b"], "--top-k", "all", *common)

    one = search("m").at("search")[0]["key"]
    for spelled in ("m,m", "m,./m/", f"m,{Path('m').absolute()}", "m,link"):
        found = search(spelled)
        assert (found.at("search")[0]["key"], found.at("search")[0]["sources"]) == (one, [os.path.abspath("m")])
    both = search(f"m,{tiny['narrow']},./m").at("search")[0]
    assert both["sources"] == [os.path.abspath("m"), tiny["narrow"]]
    copied = search("m,copy")
    assert copied.code == 1
    assert "of the sources m and copy for R1, two are one: the same prompt, by equal files" in copied.err
    tuned = ptx("tune", "--model", "m", *common).lines[0]
    twice = ptx("search", "--prompt", f"{tuned['key']},{tuned['path']}", "--target", tiny["b"], "--top-k", "all")
    assert twice.code == 1
    assert "two are one" in twice.err
    assert ptx("anchors", "--models", "m,link,./m", "--json").lines[0]["models"] == [os.path.abspath("m")]


def test_direct_transfer_is_between_models_that_differ(common: list[str], tiny: dict[str, str]) -> None:
    exists = method_named("direct").exists
    assert exists(["m"], tiny["b"])
    assert not exists(["m"], "copy")
    assert not exists(["m"], tiny["narrow"])


def test_a_folder_that_changes_is_read_again(
    common: list[str], ptx: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within one process too: a notebook trains on, and moves about."""
    before = ptx("tune", "--model", "m", *common).lines[0]["key"]
    old, kept = resolve("m"), resolve("copy")
    assert old.digest == kept.digest
    make_model(Path("m"), seed=9)
    after = ptx("tune", "--model", "m", *common).lines[0]
    assert (after["key"] == before, after["reused"]) == (False, False)
    assert resolve("m").tokenizer != old.tokenizer
    assert resolve("copy") == kept
    (tmp_path / "elsewhere").mkdir()
    shutil.copytree("copy", "elsewhere/m")
    monkeypatch.chdir("elsewhere")
    assert resolve("m").digest == kept.digest
