from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from conftest import one_file

import ptx
from ptx.cache import Store, canonical, damage, digest
from ptx.errors import PtxError


def put(store: Store, key: str = "k" * 32, text: bytes = b"payload", stage: str = "tune"):
    meta = {"version": 1, "config": {}, "parents": [], "labels": {}, "metrics": {}}
    return store.publish(stage, key, meta, one_file("file.txt", text))


def test_canonical_json_has_one_spelling() -> None:
    assert canonical({"b": 1, "a": [0.1, "é"]}) == '{"a":[0.1,"é"],"b":1}'.encode()
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {"x": {1, 2}}])
def test_what_cannot_be_keyed_is_refused(value: object) -> None:
    with pytest.raises(PtxError, match="cannot be keyed exactly"):
        digest({"setting": value})


def test_published_entries_are_read_back(tmp_path: Path) -> None:
    store = Store(tmp_path)
    made = put(store)
    read = store.read("tune", "k" * 32)
    assert read is not None
    assert read.meta == made.meta
    assert (read.path / "file.txt").read_bytes() == b"payload"
    assert {"created", "host", "versions", "sha256", "payload"} <= read.meta.keys()
    assert [path.name for path in (tmp_path / "v1" / "tune").iterdir()] == ["k" * 32]


@pytest.mark.parametrize("harm", ["payload", "meta", "missing", "extra", "truncated"])
def test_damage_is_one_warning_and_a_miss(tmp_path: Path, harm: str) -> None:
    warnings: list[str] = []
    store = Store(tmp_path, warnings.append)
    folder = put(store).path
    if harm == "payload":
        (folder / "file.txt").write_bytes(b"Payload")
    elif harm == "meta":
        meta = json.loads((folder / "meta.json").read_text())
        meta["metrics"] = {"accuracy": 1.0}
        (folder / "meta.json").write_text(json.dumps(meta))
    elif harm == "missing":
        (folder / "file.txt").unlink()
    elif harm == "extra":
        (folder / "more.txt").write_text("")
    else:
        (folder / "meta.json").write_text("{")
    assert damage(folder)
    assert store.read("tune", "k" * 32) is None
    assert store.read("tune", "k" * 32) is None
    assert len(warnings) == 1
    assert "damaged tune" in warnings[0]
    assert not folder.exists()
    assert len(list((tmp_path / "damaged").iterdir())) == 1
    put(store)
    assert store.read("tune", "k" * 32) is not None


def test_an_entry_copied_to_another_key_is_not_that_entry(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folder = put(store).path
    folder.rename(folder.parent / ("x" * 32))
    assert store.read("tune", "x" * 32) is None


def test_a_failed_writer_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError):
        Store(tmp_path).publish("tune", "k" * 32, {}, fail)
    assert list((tmp_path / "v1" / "tune").iterdir()) == []


def test_the_first_of_two_writers_wins(tmp_path: Path) -> None:
    store = Store(tmp_path)
    put(store, text=b"first")
    second = put(store, text=b"second")
    assert (second.path / "file.txt").read_bytes() == b"first"


def test_many_writers_at_once_leave_one_whole_entry(tmp_path: Path) -> None:
    store = Store(tmp_path)
    threads = [threading.Thread(target=put, args=(store, "k" * 32, b"x" * (1000 + i))) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.read("tune", "k" * 32) is not None
    assert len(list((tmp_path / "v1" / "tune").iterdir())) == 1


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    store, order = Store(tmp_path), []

    def second() -> None:
        with store.lock("x", lambda: order.append("waits")):
            order.append("second")

    with store.lock("x"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(1.5)
        order.append("first")
    thread.join()
    assert order == ["waits", "first", "second"]


def test_find_by_prefix_and_path(tmp_path: Path) -> None:
    store = Store(tmp_path)
    put(store, "aa11" + "0" * 28)
    put(store, "aa22" + "0" * 28)
    assert store.find("aa1").key.startswith("aa11")
    assert store.find(str(store.folder("tune", "aa22" + "0" * 28))).key.startswith("aa22")
    with pytest.raises(PtxError, match="beginning of 2 keys"):
        store.find("aa")
    with pytest.raises(PtxError, match="no tune artifact zz"):
        store.find("zz", ("tune",))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a folder that cannot be written")
def test_a_read_only_cache_is_an_error_with_a_hint(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PtxError, match="cannot write to the cache"):
        put(Store(tmp_path / "cache"))


def test_a_cache_path_that_is_a_file_is_an_error_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(PtxError, match="cannot write to the cache") as raised:
        put(Store(tmp_path / "cache"))
    assert "--cache-dir" in raised.value.hint


def test_a_source_tree_that_is_not_installed_publishes_too(tmp_path: Path, monkeypatch) -> None:
    import importlib.metadata

    def unknown(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", unknown)  # of what is asked for by then: ptx itself
    monkeypatch.setattr(ptx, "_version", ptx._version.__wrapped__)  # looked up once
    made = put(Store(tmp_path))
    assert made.meta["versions"]["ptx-prompts"] == "0+unknown"
    assert made.meta["versions"]["torch"] == importlib.import_module("torch").__version__
