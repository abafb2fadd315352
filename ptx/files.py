"""Files and folders that appear whole or not at all."""

import contextlib
import errno
import os
import shutil
import uuid
from pathlib import Path

from ptx.errors import PtxError

UNABLE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)  # of folders, by file system


def here() -> Path:
    """The working directory. Raises PtxError if it has been removed."""
    try:
        return Path.cwd()
    except OSError as error:
        raise PtxError(f"the working directory is gone: {error.strerror}", "go to another one: cd DIRECTORY") from None


def fsync(path: Path) -> None:
    """Wait until a file or a folder's list of files is on disk. Some file systems cannot do the latter."""
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
