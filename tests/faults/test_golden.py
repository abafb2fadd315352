"""Caches written by earlier code (tests/golden) are read as they were meant, or left alone with a clear word."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import set_version

from ptx.cache import Store, digest, gc
from ptx.cache.housekeeping import check, listing
from ptx.stages import versions

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = ("first", "older")


@pytest.fixture
def golden(tmp_path: Path) -> Callable[[str], Store]:
    def copy(name: str) -> Store:
        shutil.copytree(GOLDEN / name / "v1", tmp_path / "cache" / "v1")
        return Store(tmp_path / "cache", pytest.fail)

    return copy


def metas(store: Store) -> list[Any]:
    found = [store.read(entry.parent.name, entry.name) for entry in store.entries()]
    assert all(found)
    return [artifact.meta for artifact in found if artifact]


@pytest.mark.parametrize("name", NAMES)
def test_entries_are_read(golden, name: str) -> None:
    store = golden(name)
    assert {meta["stage"] for meta in metas(store)} == {"anchors", "tune", "encode", "search", "eval", "table"}
    assert check(store) == (7, [])
    assert len(listing(store)) == 7


@pytest.mark.parametrize("name", NAMES)
def test_keys_are_the_hash_of_what_meta_says(golden, name: str) -> None:
    """The formula that keys have followed since the first version, from outside."""
    for meta in metas(golden(name)):
        whole = {name: meta[name] for name in ("stage", "version", "inputs")} | {
            "settings": meta["config"][meta["stage"]],
            "parents": [parent["key"] for parent in meta["parents"]],
        }
        assert meta["key"] == digest(whole)[:32]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_versions_show_the_same_table(ptx, golden, monkeypatch, name: str) -> None:
    for meta in metas(golden(name)):
        for stage, version in meta["stages"].items():
            set_version(monkeypatch, stage, version)
    result = ptx("table")
    assert result.code == 0
    assert result.out == (GOLDEN / name / "table.txt").read_text("utf-8")


def test_what_an_older_version_made_is_not_mixed_in(ptx, golden, monkeypatch) -> None:
    store = golden("older")
    for meta in metas(store):
        set_version(monkeypatch, meta["stage"], meta["version"])
    set_version(monkeypatch, "tune", 1)
    result = ptx("table", "--json")
    assert result.code == 0
    assert "1 evaluation by other versions of ptx is left out" in result.err
    assert {line["method"] for line in result.lines} == {"floor", "manual"}
    prompt = next(store.entries("tune"))
    assert ptx("cache", "show", prompt.name).code == 0
    found = gc.collect_garbage(store, versions())
    assert {path.parent.name for path in found.paths} == {"encode", "search", "eval", "table"}
    assert found.prompts == {prompt}


def test_what_a_newer_version_made_is_left_alone(ptx, golden, monkeypatch) -> None:
    store = golden("first")
    before = set(store.entries())
    for meta in metas(store):
        set_version(monkeypatch, meta["stage"], meta["version"])
    set_version(monkeypatch, "tune", 0)
    assert "left out" in ptx("table").err
    removed = ptx("cache", "gc")
    assert "of a newer version of ptx" in removed.err
    assert before <= set(store.entries())
