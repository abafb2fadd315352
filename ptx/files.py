"""Files and folders that appear whole or not at all; and whether those of others are still what they were."""

import contextlib
import errno
import functools
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

from ptx.errors import PtxError

UNABLE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)  # of folders, by file system
TOGETHER = 16  # files that are waited for
SETTLED = 2 * 10**9  # nanoseconds: two changes of a file that are closer may have one time, by the file system
SMALL = 2**16  # bytes of a file that is hashed whenever it is asked for


class State(NamedTuple):
    """What changes when a file is written, replaced or removed; of a link, that of its target. Nobody can set the time
    of the last change, other than that of the last writing."""

    size: int
    written: int
    changed: int
    inode: int
    device: int


def state(path: Path) -> State | None:
    """None if nothing is there."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return State(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)


def settled(*states: State | None) -> bool:
    """Whether a file that has such a state now would have another one after any change."""
    now = time.time_ns()
    return all(s is None or max(s.changed, min(s.written, now)) < now - SETTLED for s in states)


def digest_of(path: Path) -> str:
    """SHA-256 of a file, remembered by its state where that would tell any change. Raises PtxError for one that changes
    meanwhile, and OSError."""
    before = state(path)
    if before is None or before.size <= SMALL or not settled(before):
        return _hashed(path, before)
    return _remembered(path, before)


def _hashed(path: Path, before: State | None) -> str:
    import hashlib  # `ptx --help` hashes nothing

    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if state(path) != before:
        raise changed(str(path))
    return found


_remembered = functools.lru_cache(maxsize=1024)(_hashed)


def changed(what: str) -> PtxError:
    return PtxError(f"{what} changed while it was read", "run the command again")


@contextlib.contextmanager
def unchanged(what: str, look: Callable[[], Any]) -> Iterator[None]:
    """Raise PtxError if what is looked at differs after the block, or is the reason why it failed: a reader may say
    anything of a file that was half another one."""
    before = look()
    try:
        yield
    except Exception:
        if look() != before:
            raise changed(what) from None
        raise
    if look() != before:
        raise changed(what)


def here() -> Path:
    """The working directory. Raises PtxError if it has been removed."""
    try:
        return Path.cwd()
    except OSError as error:
        raise PtxError(f"the working directory is gone: {error.strerror}", "go to another one: cd DIRECTORY") from None


def fsync(*paths: Path) -> None:
    """Wait until files and folders' lists of files are on disk. Together that takes hardly longer than one: a journal
    is written once for all who wait for it. Some file systems cannot do it for folders. Raises OSError."""
    first, *others = paths
    waiting = [_threads(os.getpid()).submit(_fsync, path) for path in others]
    try:
        _fsync(first)
    finally:
        wait(waiting)
    for other in waiting:
        other.result()


@functools.cache  # to start threads takes as long as the disk does
def _threads(process: int) -> ThreadPoolExecutor:
    """Of this process: in one that is forked there are none of another's."""
    return ThreadPoolExecutor(TOGETHER, f"fsync-{process}")


def _fsync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():  # Windows cannot open a folder
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNABLE or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def write_whole(path: Path, content: bytes) -> None:
    """Write a user's file by rename, in folders made if need be: whoever looks sees the old file or the new one.

    What is no plain file (a pipe, /dev/stdout) is written to directly; a link's target is replaced, not the link.
    Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    path = path.resolve()
    partial = path.with_name(f".{uuid.uuid4().hex[:8]}.partial")  # a name of its own: long ones have no room for more
    try:
        partial.write_bytes(content)
        if path.exists():
            partial.chmod(path.stat().st_mode & 0o7777)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def put_folder(new: Path, folder: Path) -> None:
    """Let a complete folder take the place of another by rename; the old one is back if that fails. Raises OSError."""
    old = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.old")
    try:
        if folder.exists():
            os.rename(folder, old)
        os.rename(new, folder)
    finally:
        with contextlib.suppress(OSError):
            if old.exists() and not folder.exists():
                os.rename(old, folder)
        shutil.rmtree(old, ignore_errors=True)
