from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ptx.suites.fetching.archive as module
from ptx.errors import PtxError
from ptx.suites.fetching.archive import unpack


def a_zip(path: Path, files: dict[str, bytes], *, mode: int = stat.S_IFREG | 0o644) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(info, content)
    return path


def a_tar(path: Path, files: dict[str, bytes], *, kind: bytes = tarfile.REGTYPE, mode: Any = "w:gz") -> Path:
    with tarfile.open(path, mode) as packed:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(content) * (kind == tarfile.REGTYPE), "../../secret"
            packed.addfile(info, io.BytesIO(content))
    return path


BOTH = pytest.mark.parametrize("make", [a_zip, a_tar])
GOOD = {
    "data/P17.jsonl": b"{}\n" * 999,
    "data/deep/er/x": b"",
    "./data/y": b"y",
    "__MACOSX/data/z": b"",
    "data/._y": b"q",
}


@BOTH
def test_files_land_where_they_belong(tmp_path: Path, make: Callable[..., Path]) -> None:
    assert unpack(make(tmp_path / "a", GOOD), tmp_path / "out") == 3
    found = {str(p.relative_to(tmp_path / "out")): p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert found == {"data/P17.jsonl": b"{}\n" * 999, "data/deep/er/x": b"", "data/y": b"y"}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_every_usual_tar(tmp_path: Path, mode: str) -> None:
    assert unpack(a_tar(tmp_path / "a", {"x": b"1" * 5000}, mode=mode), tmp_path / "out") == 1
    assert (tmp_path / "out" / "x").read_bytes() == b"1" * 5000


@BOTH
@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "C:\\x", "a\\..\\..\\x", "C:x", "a\nb", "a/\x1b[2J"])
def test_names_that_leave_the_folder(tmp_path: Path, make: Callable[..., Path], name: str) -> None:
    archive = make(tmp_path / "a", {"fine": b"1", name: b"2"})
    with pytest.raises(PtxError, match="holds the name"):
        unpack(archive, tmp_path / "in" / "out")
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and p.name not in ("a", "fine")]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(PtxError, match="holds 'x', a link or device"):
        unpack(a_tar(tmp_path / "a", {"x": b""}, kind=kind), tmp_path / "out")


def test_links_and_locks_in_a_zip(tmp_path: Path) -> None:
    with pytest.raises(PtxError, match="holds 'x', a link or device"):
        unpack(a_zip(tmp_path / "a", {"x": b"../../secret"}, mode=stat.S_IFLNK | 0o777), tmp_path / "out")
    archive = a_zip(tmp_path / "b", {"x": b"1"})
    raw = bytearray(archive.read_bytes())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(magic) + offset] |= 1
    archive.write_bytes(raw)
    with pytest.raises(PtxError, match="holds 'x', encrypted"):
        unpack(archive, tmp_path / "out2")


@BOTH
def test_bombs(tmp_path: Path, make: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SMALL", 10**6)
    archive = make(tmp_path / "a", {"x": bytes(30 * 10**6)})
    assert archive.stat().st_size * module.RATIO < 30 * 10**6
    with pytest.raises(PtxError, match="MB when it is unpacked"):
        unpack(archive, tmp_path / "out")
    assert sum(p.stat().st_size for p in (tmp_path / "out").rglob("*")) < 10**7
    monkeypatch.setattr(module, "MOST_FILES", 5)
    with pytest.raises(PtxError, match="more than 5 files"):
        unpack(make(tmp_path / "b", {str(i): b"" for i in range(6)}), tmp_path / "out2")


def test_a_header_that_claims_gigabytes(tmp_path: Path) -> None:
    """A name of 4 GB, which tarfile would read into memory."""
    header = bytearray(tarfile.TarInfo("x").tobuf())
    header[156:157] = b"L"
    header[124:136] = b"40000000000\0"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "a").write_bytes(header + bytes(10240))
    with pytest.raises(PtxError, match="a header of more than a megabyte"):
        unpack(tmp_path / "a", tmp_path / "out")


@BOTH
def test_the_same_file_twice(tmp_path: Path, make: Callable[..., Path]) -> None:
    archive = make(tmp_path / "a", {"x": b"1", "./x": b"2"})
    with pytest.raises(PtxError, match=r"'\./x' twice"):
        unpack(archive, tmp_path / "out")


@BOTH
def test_an_archive_cut_short_anywhere_or_overwritten(tmp_path: Path, make: Callable[..., Path]) -> None:
    whole = make(tmp_path / "a", {f"f{i}": bytes(range(256)) * 20 for i in range(4)}).read_bytes()
    for number, end in enumerate(range(0, len(whole) - 8, max(len(whole) // 40, 1))):
        (tmp_path / "b").write_bytes(whole[:end])
        with pytest.raises(PtxError, match="cannot be unpacked"):
            unpack(tmp_path / "b", tmp_path / f"out{number}")
        (tmp_path / "b").write_bytes(whole[:end] + b"\xff\x00\xff" + whole[end + 3 :])
        try:
            unpack(tmp_path / "b", tmp_path / f"in{number}")
        except PtxError:
            continue
        for file in (tmp_path / f"in{number}").iterdir():  # what has no checksum of its own: names and dates
            assert file.read_bytes() in (bytes(range(256)) * 20, b"")


def test_what_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("<html>Not found</html>")
    with pytest.raises(PtxError, match="cannot be unpacked") as raised:
        unpack(tmp_path / "a", tmp_path / "out")
    assert "zip and tar" in raised.value.hint
