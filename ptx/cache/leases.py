"""Who is at work in a cache, so that `ptx cache gc` removes nothing that a live run needs.

Before a run looks at the cache it writes `ROOT/runs/<id>.<owner>`, the entries it may read or make, and removes it at
the end. An owner is a process: one of this machine is alive if its number is; one elsewhere (another host or container
on a shared folder) if it touched its file within a day, which it does every ten minutes.
"""

import contextlib
import json
import os
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from ptx.cache.locks import here
from ptx.cache.locks import owner as owner
from ptx.cache.store import Store
from ptx.errors import PtxError
from ptx.files import write_whole

HEARTBEAT = 600.0  # seconds
STALE = 24 * 3600.0
GC_LOCK = "gc"


def alive(name: str, touched: float) -> bool:
    """Whether the owner named in `name` may still be at work; without one, whether `touched` was within a day."""
    pid, _, machine = name.partition("-")
    if machine == here() and pid.isdecimal() and os.name == "posix":
        try:
            os.kill(int(pid), 0)
        except OSError as error:
            return not isinstance(error, ProcessLookupError)  # otherwise another user's
        return True
    return time.time() - touched < STALE


@contextlib.contextmanager
def held(store: Store, entries: Iterable[tuple[str, str]]) -> Iterator[None]:
    """Announce that these entries (stage, key) are in use; waits while gc, which has read who is there, removes others.

    A cache that cannot be written is left as it is.
    """
    path = store.root / "runs" / f"{uuid.uuid4().hex[:8]}.{owner()}"
    done = threading.Event()
    try:
        with contextlib.suppress(OSError, PtxError), store.lock(GC_LOCK):
            write_whole(path, json.dumps([f"{stage}/{key}" for stage, key in entries]).encode())
        threading.Thread(target=_beat, args=(path, done), daemon=True).start()
        yield
    finally:
        done.set()
        with contextlib.suppress(OSError):
            path.unlink()


def _beat(path: Path, done: threading.Event) -> None:
    while not done.wait(HEARTBEAT):
        with contextlib.suppress(OSError):
            os.utime(path)


def in_use(root: Path) -> set[tuple[str, str]]:
    """The entries (stage, key) that live runs have announced."""
    found = set()
    for path in (root / "runs").glob("[!.]*"):
        with contextlib.suppress(OSError, ValueError):
            if alive(path.name.partition(".")[2], path.stat().st_mtime):
                found |= {tuple(line.split("/", 1)) for line in json.loads(path.read_bytes())}
    return found
