"""Locks between processes, which save double work, and who this process is. Nothing is wrong without locks.

They have no effect on file systems that have none, and with `PTX_NO_LOCKS=1`, for those that only pretend.
"""

import contextlib
import errno
import functools
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

LOCKLESS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL)  # flock's, by file system


def _off() -> bool:
    return os.environ.get("PTX_NO_LOCKS", "0") != "0"


def _lock(path: Path) -> FileLock:
    return FileLock(path, fallback_to_soft=False)  # a soft lock would outlive a killed process


@contextlib.contextmanager
def held(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold a lock; `waiting` is called once if another process holds it. Raises OSError."""
    if _off():
        yield
        return
    lock = _lock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0.5)
        except Timeout:
            waiting()
            lock.acquire()
    except OSError as error:
        if error.errno not in LOCKLESS:
            raise
    try:
        yield
    finally:
        lock.release()


def is_free(path: Path) -> bool:
    """Whether nobody holds a lock, as far as that can be told."""
    if _off():
        return False
    lock = _lock(path)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return False
    lock.release()
    return True


def owner() -> str:
    """This process, as part of a file name."""
    return f"{os.getpid()}-{here() or socket.gethostname()}"


@functools.cache
def here() -> str:
    """This machine since it was started, and the processes that have numbers of their own in it (containers may share
    all else); empty where the system tells neither. Hosts may have one name."""
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
        return f"{namespace}-{Path('/proc/sys/kernel/random/boot_id').read_text('ascii').strip()}"
    except (OSError, ValueError):
        return ""
