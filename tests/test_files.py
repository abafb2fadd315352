"""Folders take the place of others whole, or leave them as they were."""

from __future__ import annotations

import errno
import multiprocessing
import os
import stat
import threading
from pathlib import Path

import pytest

from ptx.files import fsync, put_folder


def folder(path: Path, content: str) -> Path:
    path.mkdir()
    (path / "file").write_text(content)
    return path


def test_a_folder_takes_the_place_of_another(tmp_path: Path) -> None:
    there, new = folder(tmp_path / "there", "old"), folder(tmp_path / "new", "new")
    put_folder(new, there)
    assert (there / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_the_old_folder_is_back_if_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there, new = folder(tmp_path / "there", "old"), folder(tmp_path / "new", "new")
    rename = os.rename

    def refuse(source: Path, target: Path) -> None:
        if source == new:
            raise OSError("no")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(OSError, match="no"):
        put_folder(new, there)
    assert (there / "file").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "there"]


def test_a_file_system_that_cannot_wait_for_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As some network file systems; of a file it is an error, as its bytes may be lost."""
    (tmp_path / "file").write_text("new")
    refused: list[bool] = []

    def refuse(descriptor: int) -> None:
        refused.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    fsync(tmp_path)
    with pytest.raises(OSError, match="Invalid argument"):
        fsync(tmp_path / "file")
    assert refused == [True, False]


def test_files_and_their_folder_are_waited_for_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, the first would never be done."""
    files = [tmp_path / "a", tmp_path / "b"]
    for file in files:
        file.touch()
    together = threading.Barrier(3, timeout=60)
    monkeypatch.setattr(os, "fsync", lambda descriptor: together.wait())
    fsync(*files, tmp_path)
    assert not together.broken


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_files_are_waited_for_in_a_forked_process_too(tmp_path: Path) -> None:
    """The threads that wait are not in it."""
    file = tmp_path / "a"
    file.touch()
    fsync(file, tmp_path)
    process = multiprocessing.get_context("fork").Process(target=fsync, args=(file, tmp_path))
    process.start()
    process.join(60)
    assert process.exitcode == 0
