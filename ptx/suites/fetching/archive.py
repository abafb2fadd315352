"""Unpack a zip or tar archive from a stranger: files inside the folder only, no links, no devices, no bombs."""

import bz2
import contextlib
import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ptx.errors import PtxError

MOST_FILES = 100_000
MOST_BYTES = 10 * 10**9
RATIO = 200  # text compresses to a tenth or so; this is a bomb
SMALL = 100 * 10**6  # up to here whatever the ratio
AT_ONCE = 1 << 20
LONGEST_HEADER = 1 << 20  # tar's own records of names, which are read into memory
JUNK = ("__MACOSX", ".DS_Store")
DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError, struct.error, ValueError,
    NotImplementedError, RuntimeError, KeyError,
)  # fmt: skip
OPENERS: dict[bytes, Callable[[Path], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


@dataclass(frozen=True)
class Entry:
    """One member of an archive. `problem` says what it is, if it is neither a file nor a folder."""

    name: str
    folder: bool
    problem: str
    open: Callable[[], IO[bytes] | None]


def unpack(archive: Path, folder: Path) -> int:
    """Write the files of an archive into a new folder, and return their number.

    Raises PtxError for a damaged archive, and for one with names that leave the folder, links, devices, the same file
    twice, or more files and bytes than data has; what was written by then is left to the caller to remove.
    """
    limit = min(MOST_BYTES, max(SMALL, RATIO * archive.stat().st_size))
    folder.mkdir(parents=True)
    files = written = 0
    try:
        with _entries(archive, limit) as entries:
            for entry in entries:
                parts = _parts(archive, entry)
                if not parts or parts[0] in JUNK or parts[-1] in JUNK or parts[-1].startswith("._"):
                    continue
                files += 1
                if files > MOST_FILES:
                    raise _refused(archive, f"more than {MOST_FILES:,} files")
                path = folder.joinpath(*parts)
                if entry.folder:
                    path.mkdir(parents=True, exist_ok=True)
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                if path.exists():
                    raise _refused(archive, f"{entry.name!r} twice")
                source = entry.open()
                with path.open("xb") as target:
                    while chunk := source.read(AT_ONCE) if source else b"":
                        written += len(chunk)
                        if written > limit:
                            raise _too_large(archive, limit)
                        target.write(chunk)
    except DAMAGE as error:
        message = f"{archive} cannot be unpacked: {str(error) or type(error).__name__}"
        raise PtxError(message, "fetch it again; zip and tar archives are known") from None
    return files


@contextlib.contextmanager
def _entries(path: Path, limit: int) -> Iterator[Iterator[Entry]]:
    with path.open("rb") as file:
        magic = file.read(6)
    if magic.startswith(b"PK"):
        with zipfile.ZipFile(path) as packed:
            yield _of_zip(packed)
    else:
        opener = next((opener for start, opener in OPENERS.items() if magic.startswith(start)), None)
        with opener(path) if opener else path.open("rb") as plain:
            bounded: Any = _Bounded(plain, path, limit)
            with tarfile.open(fileobj=bounded, mode="r:") as tar:
                yield _of_tar(tar)
            bounded.drain()


def _of_zip(packed: zipfile.ZipFile) -> Iterator[Entry]:
    for info in packed.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        plain = kind in (0, stat.S_IFREG, stat.S_IFDIR)
        problem = "a link or device" if not plain else "encrypted" if info.flag_bits & 1 else ""
        yield Entry(info.filename, info.is_dir(), problem, lambda info=info: packed.open(info))  # type: ignore[misc]


def _of_tar(tar: tarfile.TarFile) -> Iterator[Entry]:
    for info in tar:
        problem = "" if info.isreg() or info.isdir() else "a link or device"
        yield Entry(info.name, info.isdir(), problem, lambda info=info: tar.extractfile(info))  # type: ignore[misc]


def _parts(archive: Path, entry: Entry) -> tuple[str, ...]:
    """Where an entry belongs below the folder. Raises PtxError for what does not."""
    name, parts = entry.name, PurePosixPath(entry.name).parts
    if entry.problem:
        raise _refused(archive, f"{name!r}, {entry.problem}")
    if name.startswith("/") or ".." in parts or any(c in "\\:" or not c.isprintable() for c in name):
        raise _refused(archive, f"the name {name[:100]!r}")
    return parts


class _Bounded:
    """A tar file's bytes, at most `limit` of them, and few at once: headers claim lengths that are read into memory."""

    def __init__(self, file: Any, archive: Path, limit: int) -> None:
        self.file, self.archive, self.limit = file, archive, limit

    def read(self, size: int) -> bytes:
        if size > max(LONGEST_HEADER, AT_ONCE):
            raise _refused(self.archive, "a header of more than a megabyte")
        return self.file.read(size)

    def seek(self, position: int) -> int:
        # Headers and padding come on top of the files' bytes.
        if position > self.limit + MOST_FILES * 2048:
            raise _too_large(self.archive, self.limit)
        return self.file.seek(position)

    def drain(self) -> None:
        """Read to the end: the checksum of a compressed stream comes last, behind what tar reads."""
        while self.file.read(AT_ONCE):
            self.seek(self.tell())

    def tell(self) -> int:
        return self.file.tell()


def _refused(archive: Path, what: str) -> PtxError:
    return PtxError(f"{archive} holds {what}", "this is not an archive of data: do not use it, or unpack it yourself")


def _too_large(archive: Path, limit: int) -> PtxError:
    return _refused(archive, f"more than {limit / 1e6:,.0f} MB when it is unpacked")
