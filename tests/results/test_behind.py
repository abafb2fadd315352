"""What results were made of is read once for all of them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from ptx.cache import Artifact, Store
from ptx.cache.store import unverified
from ptx.results.behind import behind, own_settings


def kept(store: Store, stage: str, key: str, *parents: Artifact, inputs: Any = None, **settings: Any) -> Artifact:
    meta = {
        "inputs": inputs or {},
        "config": {stage: settings},
        "parents": [{"stage": of.meta["stage"], "key": of.key} for of in parents],
    }
    return store.publish(stage, key, meta, lambda folder: (folder / "file").touch())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path, pytest.fail)


def test_of_all_ancestors_together(store: Store) -> None:
    tuned = kept(store, "tune", "a", inputs={"model": "m", "facts": "f"}, lr=1, seed=3, task="P17")
    both = kept(store, "portable", "b", inputs={"models": ["x", "y"], "facts": "g"}, lr=2)
    search = kept(store, "search", "c", tuned, both, method="relative")
    of = behind({"parents": [{"stage": "search", "key": search.key}]}, store)
    assert of.models == {"m", "x", "y", None}
    assert of.facts == {"f", "g"}
    assert of.settings == {'["tune", {"lr": 1}]', '["portable", {"lr": 2}]', '["search", {}]'}
    assert of.whole
    assert of.settings == {own_settings(each.meta) for each in (tuned, both, search)}
    assert not any(behind(tuned.meta, store)[:3])
    assert behind(tuned.meta, store).whole


def test_each_is_read_once_and_what_is_gone_is_looked_for_again(store: Store, monkeypatch) -> None:
    read: list[str] = []

    def counted(folder: str) -> Any:
        read.append(Path(folder).name)
        return unverified(folder)

    monkeypatch.setattr("ptx.results.behind.unverified", counted)
    tuned = kept(store, "tune", "a", inputs={"model": "m"})
    results = [kept(store, "eval", f"e{n}", kept(store, "search", f"s{n}", tuned)) for n in range(3)]
    for _ in range(2):
        assert all(behind(of.meta, store).models == {"m", None} for of in results)
    assert sorted(read) == ["a", "s0", "s1", "s2"]

    other = Store(store.root, pytest.fail)  # another command's, which knows nothing yet
    shutil.move(tuned.path, tuned.path.with_name(".away"))
    assert not behind(results[0].meta, other).whole
    assert behind(results[0].meta, other).models == {None}
    shutil.move(tuned.path.with_name(".away"), tuned.path)
    assert behind(results[0].meta, other) == behind(results[0].meta, store)
