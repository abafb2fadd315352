"""`ptx cache gc` removes what it is asked to, and nothing that a live run needs."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import one_file

from ptx.cache import Store, gc, leases, locks, unfinished
from ptx.cache.housekeeping import check, size_of
from ptx.errors import PtxError
from ptx.stages import versions

GREEDY: tuple[list[Any], ...] = (["--older-than", 0], ["--older-than", 0, "--stage", "tune"], ["--max-size", "0"], [])


def put(store: Store, stage: str, letter: str, size: int = 1000, version: int | None = None) -> Path:
    meta = {"version": versions()[stage] if version is None else version, "parents": [], "labels": {}}
    return store.publish(stage, letter * 32, meta, one_file("file", b"x" * size)).path


def test_what_a_live_run_needs_is_kept(server, recipe, tmp_path, rounds, say) -> None:
    """Prompts, encodings and some evaluations are there; the run stops half way while gc removes all it can."""
    began = time.monotonic()
    draw = random.Random(0)
    (tmp_path / "whole").mkdir()
    whole = server.run(tmp_path / "whole", "run", recipe, "--jobs", 1)
    removed = 0
    for number in range(rounds(20, 2)):
        folder = tmp_path / f"round{number}"
        shutil.copytree(tmp_path / "whole", folder)
        cache = folder / "cache"
        for entry in (cache / "v1" / "eval").iterdir():
            if draw.random() < 0.5:
                shutil.rmtree(entry)
        shutil.rmtree(cache / "v1" / "table")
        strangers = [put(Store(cache), stage, "f") for stage in ("tune", "encode", "search")]
        marker = str(folder / "marker")
        run = {"argv": ["run", recipe, "--jobs", 1], "cwd": folder}
        run["stall"] = {"stage": "eval", "in": ("build", "write")[number % 2], "how": "briefly", "marker": marker}
        collect = [{"argv": ["cache", "gc", *map(str, how)], "cwd": folder, "wait_for": marker} for how in GREEDY]
        entries = {path.relative_to(cache) for path in Store(cache).entries()}
        ended, *collected = server.at_once(run, *collect)
        assert ended.code == 0, ended.err
        assert ended.out == whole.out
        assert re.search(r"\nbuilt \d+ eval; reused ", ended.err), ended.err
        for one in collected:
            assert one.code == 0, one.err
        assert "that a running command may need" in collected[0].err
        assert not any(path.exists() for path in strangers)
        gone = entries - {path.relative_to(cache) for path in Store(cache).entries()}
        assert gone == {path.relative_to(cache) for path in strangers}
        assert check(Store(cache))[1] == []
        removed += len(gone)
    say(f"{rounds(20, 2)} rounds of {len(GREEDY)} gc, {removed} others removed; {time.monotonic() - began:.0f} s")


def test_by_default_only_what_is_of_no_use_goes(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kept = [put(store, stage, "a") for stage in versions()]
    older = [put(store, stage, "b", version=versions()[stage] - 1) for stage in versions()]
    newer = put(store, "search", "c", version=versions()["search"] + 1)
    broken = put(store, "tune", "d")
    (broken / "file").write_bytes(b"")
    dead = kept[0].with_name(f".{'a' * 32}.00000000.{2**22 + 1}-{leases.owner().partition('-')[2]}")
    mine = kept[0].with_name(f".{'a' * 32}.00000000.{leases.owner()}")
    for folder in (dead, mine):
        folder.mkdir()
    found = gc.collect_garbage(store, versions(), dry_run=True)
    assert dead.exists()
    assert set(gc.collect_garbage(store, versions()).paths) == set(found.paths)
    old_prompts = {path for path in older if path.parent.name in ("tune", "portable")}
    assert set(found.paths) == {*older, broken, dead} - old_prompts
    assert found.prompts == old_prompts
    assert found.newer == 1
    assert all(path.exists() for path in (*kept, newer, *old_prompts, mine))
    for old_prompt in old_prompts:
        assert gc.collect_garbage(store, versions(), gc.Wanted(stage=old_prompt.parent.name)).paths == [old_prompt]


def test_unused_entries_go_by_age_and_by_size_but_never_prompts(tmp_path: Path) -> None:
    store = Store(tmp_path)
    entries = {letter: put(store, "search", letter) for letter in "abcd"} | {"t": put(store, "tune", "t")}
    for days, letter in enumerate("tabcd"):
        then = time.time() - (10 - days) * gc.DAY
        os.utime(entries[letter], (then, then))
    assert gc.collect_garbage(store, versions(), gc.Wanted(older_than=9), dry_run=True).paths == [entries["a"]]
    store.read("search", "a" * 32)  # a use
    assert gc.collect_garbage(store, versions(), gc.Wanted(older_than=9), dry_run=True).paths == []
    size = size_of(entries["a"])
    found = gc.collect_garbage(store, versions(), gc.Wanted(max_size=3 * size + 10), dry_run=True)
    assert found.paths == [entries["b"], entries["c"]]
    assert found.prompts == {entries["t"]}
    assert gc.collect_garbage(store, versions(), gc.Wanted(max_size=0)).over == size_of(entries["t"])
    assert list(store.entries()) == [entries["t"]]
    assert gc.collect_garbage(store, versions(), gc.Wanted(older_than=1, stage="tune")).paths == [entries["t"]]


def elsewhere() -> list[str]:
    """Processes that do not run here, of another container, of a host of the same name, of this one before it was
    started again."""
    namespace = os.stat("/proc/self/ns/pid").st_ino
    machines = ("0-elsewhere", f"{namespace}-{socket.gethostname()}", f"{namespace}-{uuid.uuid4()}")
    return [f"{2**22 + 1}-{machine}" for machine in machines]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RENEWED": 0.01, "BETWEEN": 0.01, "LOOKS": 100}.items():
        monkeypatch.setattr(leases, name, value)


def test_a_lease_protects_while_its_owner_lives(tmp_path: Path) -> None:
    store = Store(tmp_path)
    entry = put(store, "search", "a")
    everything = gc.Wanted(older_than=0)
    with leases.held(store, [("search", "a" * 32)]):
        assert gc.collect_garbage(store, versions(), everything, waiting=pytest.fail).in_use == {entry}
    assert list((tmp_path / "runs").iterdir()) == []
    dead = tmp_path / "runs" / f"00000000.{2**22 + 1}-{leases.owner().partition('-')[2]}"
    dead.write_text(json.dumps([f"search/{'a' * 32}"]))
    assert set(gc.collect_garbage(store, versions(), everything, waiting=pytest.fail).paths) == {entry, dead}


@pytest.mark.parametrize("owner", elsewhere(), ids=["namespace", "machine", "both"][: len(elsewhere())])
def test_a_lease_from_elsewhere_protects_while_it_is_renewed(tmp_path: Path, quick, monkeypatch, owner: str) -> None:
    """Whatever the clocks of both machines say."""
    store = Store(tmp_path)
    entry, everything, waited = put(store, "search", "a"), gc.Wanted(older_than=0), []
    partial = entry.with_name(f".{'b' * 32}.00000000.{owner}")
    partial.mkdir()
    monkeypatch.setattr(leases, "owner", lambda: owner)
    with leases.held(store, [("search", "a" * 32)]):
        (lease,) = (tmp_path / "runs").iterdir()
        for path in (lease, partial):
            os.utime(path, (0, 0))
        found = gc.collect_garbage(store, versions(), everything, waiting=lambda: waited.append(1))
    assert (found.in_use, found.paths, waited) == ({entry}, [], [1])
    lease.write_text(json.dumps([f"search/{'a' * 32}"]))
    ahead = time.time() + 2 * gc.DAY
    os.utime(lease, (ahead, ahead))
    assert set(gc.collect_garbage(store, versions(), everything).paths) == {entry, partial, lease}


def test_an_unfinished_entry_from_elsewhere_that_grows_is_kept(tmp_path: Path, quick) -> None:
    partial = tmp_path / "v1" / "tune" / f".{'a' * 32}.00000000.1-0-elsewhere"
    partial.mkdir(parents=True)
    growing = threading.Timer(0.1, (partial / "file").write_bytes, [b"x"])
    growing.start()
    assert gc.collect_garbage(Store(tmp_path), versions()).paths == []
    assert gc.collect_garbage(Store(tmp_path), versions()).paths == [partial]


def test_a_lease_is_renewed_and_written_anew(tmp_path: Path, quick) -> None:
    """A run that was stopped for so long that it was thought dead says that it is there."""
    entries = {("search", "a" * 32), ("tune", "b" * 32)}

    def until(true: Callable[[], Any]) -> None:
        while not true():
            time.sleep(0.001)

    with leases.held(Store(tmp_path), entries):
        (lease,) = (tmp_path / "runs").iterdir()
        size = lease.stat().st_size
        until(lambda: lease.stat().st_size > size + 3)
        assert leases.in_use(tmp_path, {}) == entries
        lease.unlink()
        until(lease.exists)
        until(lambda: leases.in_use(tmp_path, {}) == entries)
    assert not lease.exists()


def test_a_lease_that_lives_again_is_not_gone(tmp_path: Path, quick) -> None:
    """Between the look at it and the removal."""
    lease = tmp_path / "runs" / "00000000.1-0-elsewhere"
    lease.parent.mkdir()
    lease.write_text(json.dumps([f"search/{'a' * 32}"]))
    gone = leases.gone([lease], lambda: None)
    assert [*gone] == [lease]
    assert leases.in_use(tmp_path, gone) == set()
    lease.write_text(lease.read_text() + "\n")
    assert leases.in_use(tmp_path, gone) == {("search", "a" * 32)}
    assert not leases.is_gone(lease, gone)


def test_a_machine_is_told_by_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not by its name, which others may have."""
    before = locks.here()
    locks.here.cache_clear()
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    assert locks.here() == before
    assert before.endswith(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    locks.here.cache_clear()
    monkeypatch.setattr(Path, "read_text", lambda *args: missing())
    assert locks.here() == ""
    assert leases.owner() == f"{os.getpid()}-another"
    locks.here.cache_clear()


def missing() -> str:
    raise FileNotFoundError


def test_locks_nobody_holds_go(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.lock(f"tune-{'0' * 16}"):
        pass
    with store.lock(f"tune-{'1' * 16}"):
        assert [path.name for path in gc.collect_garbage(store, versions()).paths] == [f"tune-{'0' * 16}.lock"]


@pytest.mark.parametrize(("text", "size"), [("", None), ("0", 0), ("1.5GB", 1_500_000_000), ("20 k", 20_000)])
def test_sizes(text: str, size: int | None) -> None:
    assert gc.parse_size(text) == size


@pytest.mark.parametrize("text", ["much", "-1", "3 apples", "nan", "inf", "1e400"])
def test_bad_sizes_are_wrong_usage(text: str) -> None:
    with pytest.raises(PtxError, match="is no size"):
        gc.parse_size(text)


def test_other_layouts_are_left_alone_with_a_word(ptx, tmp_path: Path) -> None:
    put(Store(tmp_path / "cache"), "search", "a")
    for name in ("v0/tune/x", "v2/tune/x", "v1/distill/x"):
        (tmp_path / "cache" / name).mkdir(parents=True)
    for command in (["ls"], ["verify"], ["gc", "--older-than", "0"]):
        result = ptx("cache", *command)
        assert result.code == 0
        assert "left alone, from another version of ptx: v0, v1/distill, v2 in" in result.err
    assert (tmp_path / "cache" / "v2" / "tune" / "x").is_dir()


FOLDERS = ("given", "unfinished", "damaged", "locks", "runs", "status", "tasks", "v1/eval", "v1/tune", "models/v1/gguf")


def project(folder: Path) -> dict[Path, bytes]:
    """What somebody else has, some of it by names that ptx could have given."""
    names: tuple[str, ...] = (
        "a.txt",
        "b-c.json",
        ".hidden",
        ".d.partial",
        "e.lock",
        "events.1-host/f",
        ".git/config",
        f"{'0' * 32}/g",
    )
    names = (*names, f"tune-{'0' * 16}", f"tune-{'0' * 16}.lock", f"00000000.{2**22 + 1}-host", "gc.lock")
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
        os.utime(path, (0, 0))
        os.utime(path.parent, (0, 0))
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("place", [*FOLDERS, "v1", "models", "models/v1"])
def test_what_a_link_leads_to_is_not_removed(tmp_path: Path, quick, place: str) -> None:
    """A cache may have come with somebody else's folder."""
    there = project(tmp_path / "project")
    link = tmp_path / "cache" / place
    link.parent.mkdir(parents=True)
    inside = tmp_path / "project"
    link.symlink_to(inside)
    for folder in FOLDERS:  # behind a link to a folder above them
        if folder.startswith(f"{place}/"):
            there |= project(inside / folder.removeprefix(f"{place}/"))
    store = Store(tmp_path / "cache")
    assert gc.collect_garbage(store, versions(), gc.Wanted(older_than=0, stage="tune")).paths == []
    assert gc.collect_garbage(store, versions(), gc.Wanted(older_than=0)).paths == []
    unfinished.drop(store, "tune", ["a" * 32])
    assert {path: path.read_bytes() for path in there if path.name != "gc.lock"} == {
        path: content for path, content in there.items() if path.name != "gc.lock"
    }


def test_a_project_that_is_taken_for_a_cache_stays_as_it_is(tmp_path: Path, quick) -> None:
    """With --cache-dir . say, and a runs/ that TensorBoard writes."""
    files = {}
    for folder in FOLDERS:
        for name in ("a.txt", "b-c.json", ".hidden", ".d.partial", "e.lock", "events.1-host/f", "g/h", "tune-note"):
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
            os.utime(path, (0, 0))
            files[path] = name
    store = Store(tmp_path)
    assert gc.collect_garbage(store, versions(), gc.Wanted(older_than=0)).paths == []
    unfinished.drop(store, "tune", ["a" * 32])
    assert {path: path.read_text() for path in files} == files
