"""A full disk, a read-only folder, missing permissions, odd paths: a clear error or success, nothing half written."""

from __future__ import annotations

import errno
import io
import os
import shutil
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import one_file

from ptx import files
from ptx.cache import Store
from ptx.cache.housekeeping import check
from ptx.errors import PtxError

REASONS = (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EIO)


class Disk:
    """Fails from the n-th call that changes something below a folder on."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.counting = threading.Lock()
        self.folder, self.calls, self.failing, self.reason = str(folder), 0, 10**9, errno.ENOSPC
        for module, name in ((os, "mkdir"), (os, "rename"), (os, "replace"), (os, "fsync"), (os, "utime")):
            monkeypatch.setattr(module, name, self.wrap(getattr(module, name)))
        for module, opener in ((io, io.open), (os, os.open)):
            monkeypatch.setattr(module, "open", self.wrap(opener, only_writing=True))

    def wrap(self, call: Callable[..., Any], only_writing: bool = False) -> Callable[..., Any]:
        def wrapped(path: Any, *args: Any, **more: Any) -> Any:
            mode = args[0] if args else more.get("mode", "r")
            harmless = only_writing and not (set("wax+") & set(mode) if isinstance(mode, str) else mode & os.O_CREAT)
            where = os.readlink(f"/proc/self/fd/{path}") if isinstance(path, int) else os.fspath(path)
            if not harmless and where.startswith(self.folder):
                with self.counting:  # files are waited for by several threads
                    self.calls += 1
                    fails = self.calls >= self.failing
                if fails:
                    raise OSError(self.reason, os.strerror(self.reason), where)
            return call(path, *args, **more)

        return wrapped


@pytest.fixture
def tune(ptx, tiny, suite) -> Callable[..., Any]:
    return lambda *more: ptx("tune", "--model", tiny["a"], "--suite", suite, "--epochs", "1", *more)


def test_a_disk_that_fails_at_any_call(tune, tmp_path, monkeypatch, rounds, say) -> None:
    """Each call in turn fails, and all after it, as on a full disk; the next run is complete."""
    with monkeypatch.context() as patch:
        disk = Disk(tmp_path / "cache", patch)
        assert tune().code == 0
        calls = disk.calls
    whole = {path.relative_to(tmp_path) for path in Store(tmp_path / "cache").entries()}
    assert calls > 15
    errors = 0
    for failing in range(1, calls + 1, rounds(1, 4)):
        shutil.rmtree(tmp_path / "cache")
        with monkeypatch.context() as patch:
            disk = Disk(tmp_path / "cache", patch)
            disk.failing, disk.reason = failing, REASONS[failing % len(REASONS)]
            ended = tune()
            assert disk.calls >= failing
        if ended.code:
            errors += 1
            assert ended.code == 1
            assert f"error: cannot write to the cache {tmp_path}/cache: {os.strerror(disk.reason)}" in ended.err
            assert "hint: make room or mend its permissions, or choose another folder" in ended.err
        found = {path.relative_to(tmp_path) for path in Store(tmp_path / "cache").entries()}
        assert found <= whole
        assert ended.code or found == whole
        assert check(Store(tmp_path / "cache")) == (len(found), [])
        assert tune().code == 0
        assert {path.relative_to(tmp_path) for path in Store(tmp_path / "cache").entries()} == whole
    assert errors
    say(f"{len(range(1, calls + 1, rounds(1, 4)))} of {calls} calls failed in turn: {errors} clear errors")


def test_a_complete_cache_can_be_read_only(tune, tmp_path, monkeypatch) -> None:
    assert tune().code == 0
    disk = Disk(tmp_path / "cache", monkeypatch)
    disk.failing, disk.reason = 1, errno.EROFS
    again = tune("--json")
    assert again.code == 0, again.err
    assert all(line["reused"] for line in again.lines)
    assert disk.calls


def test_damage_in_a_read_only_cache_is_one_warning_and_a_clear_error(tune, tmp_path, monkeypatch) -> None:
    before = tune("--json").lines
    (Path(before[0]["path"]) / "prompt.safetensors").write_bytes(b"")
    disk = Disk(tmp_path / "cache", monkeypatch)
    disk.failing, disk.reason = 1, errno.EROFS
    again = tune()
    assert again.code == 1
    assert again.err.count("it cannot be set aside: Read-only file system") == 1
    assert "error: cannot write to the cache" in again.err


@pytest.mark.parametrize("limit", [400, 1200, 2000])
def test_a_file_that_cannot_grow(server, tiny, suite, tmp_path, limit: int) -> None:
    """RLIMIT_FSIZE: the write itself fails half way."""
    command = ["tune", "--model", tiny["a"], "--suite", suite, "--patience", 0, "--epochs", 20]
    ended = server.run(tmp_path, *command, fsize=limit)
    assert ended.code == 1
    assert "cannot write to the cache" in ended.err
    assert "File too large" in ended.err
    assert not list((tmp_path / "cache" / "v1").glob("*/*"))
    assert server.run(tmp_path, *command).code == 0


@pytest.mark.parametrize("name", ["with spaces", "naïve 日本 ключ", "it's [odd] $HOME *"])
def test_odd_paths(server, tiny, suite, tmp_path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    for part in ("models", "suite"):
        shutil.copytree(tiny["a"] if part == "models" else suite, folder / part)
    command = ["eval", "--target", "./models", "--suite", "./suite", "--epochs", 1, "--cache-dir", f"{name} cache"]
    first = server.run(folder, *command, "--json")
    assert first.code == 0, first.err
    assert all(Path(line["path"]).is_dir() for line in first.lines)
    assert all(line["reused"] for line in server.run(folder, *command, "--json").lines)
    table = server.run(folder, "table", "--cache-dir", f"{name} cache", "--format", "md", "--output", f"{name}/t.md")
    assert table.code == 0, table.err
    assert (folder / name / "t.md").read_text("utf-8").count("|") > 4


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="needs a second file system at /dev/shm")
def test_a_cache_on_another_file_system_than_temporary_files(server, recipe, tmp_path) -> None:
    folder = Path("/dev/shm") / f"ptx-{uuid.uuid4().hex}"
    try:
        ended = server.run(tmp_path, "run", recipe, "--jobs", 1, "--cache-dir", folder)
        assert ended.code == 0, ended.err
        assert check(Store(folder))[1] == []
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("place", ["cache", "cache/v1", "cache/v1/tune", "cache/locks", "cache/runs", "cache/damaged"])
def test_files_where_folders_should_be(tune, tmp_path, place: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text("")
    ended = tune()
    if place in ("cache/runs", "cache/damaged"):  # not needed for the result
        assert ended.code == 0
    else:
        assert ended.code == 1
        assert "error: cannot write to the cache" in ended.err


def test_a_file_system_without_locks(tune, monkeypatch) -> None:
    import fcntl

    def refuse(*args: Any) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert tune().code == 0


def test_the_old_entry_is_back_if_its_successor_cannot_come(tmp_path, monkeypatch) -> None:
    store = Store(tmp_path)

    def put(text: bytes, **more: Any) -> Any:
        meta = {"version": 1, "parents": []}
        return store.publish("tune", "k" * 32, meta, one_file("file", text), **more)

    old = put(b"old")
    rename = os.rename
    moved: list[Any] = []

    def failing(source: Any, target: Any) -> None:
        if moved and target == old.path and source != moved[0]:
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)
        if source == old.path:
            moved.append(target)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(PtxError, match="cannot write to the cache"):
        put(b"new", replacing=old)
    assert moved
    assert (old.path / "file").read_bytes() == b"old"
    assert store.read("tune", "k" * 32) is not None
    assert [path.name for path in old.path.parent.iterdir()] == ["k" * 32]


def test_users_files_appear_whole_or_stay_as_they_were(tmp_path, monkeypatch) -> None:
    target = tmp_path / "table.md"
    target.write_text("old")
    (tmp_path / "link.md").symlink_to(target)
    write = Path.write_bytes

    def half(path: Path, content: bytes) -> int:
        write(path, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", half)
        with pytest.raises(OSError, match="No space"):
            files.write_whole(target, b"new content")
    assert target.read_text() == "old"
    files.write_whole(tmp_path / "link.md", b"new content")
    assert target.read_text() == "new content"
    assert (tmp_path / "link.md").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.md", "table.md"]
    files.write_whole(Path("/dev/null"), b"anything")


def test_a_full_disk_behind_stdout() -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run([sys.executable, "-m", "ptx", "models"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: cannot write to stdout: No space left on device")
    assert "Traceback" not in ended.stderr
