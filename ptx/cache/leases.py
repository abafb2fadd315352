"""Who is at work in a cache, so that `ptx cache gc` removes nothing that a live run needs.

Before a run looks at the cache it writes `ROOT/runs/<id>.<owner>`, the entries it may read or make; it lets that file
grow by a byte every `RENEWED` seconds, and removes it at the end. An owner is a process: one of this machine, as long
as it has been up, is alive if its number is. One elsewhere (another host or container on a shared folder) is alive if
anything of it changes while we look `LOOKS` times, a second apart. No clock is compared with that of another machine,
and time in which nobody could look does not count.
"""

import contextlib
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ptx.cache.locks import here
from ptx.cache.locks import owner as owner
from ptx.cache.store import Store
from ptx.errors import PtxError
from ptx.files import write_whole

RENEWED = 10.0  # seconds
LOOKS, BETWEEN = 60, 1.0  # how often, and seconds
GC_LOCK = "gc"
State = Any  # what is compared


@contextlib.contextmanager
def held(store: Store, entries: Iterable[tuple[str, str]]) -> Iterator[None]:
    """Announce that these entries (stage, key) are in use; waits while gc, which has read who is there, removes others.

    A cache that cannot be written is left as it is.
    """
    path = store.root / "runs" / f"{uuid.uuid4().hex[:8]}.{owner()}"
    content = json.dumps([f"{stage}/{key}" for stage, key in entries]).encode()
    done = threading.Event()
    renewing = threading.Thread(target=_renew, args=(path, content, done), daemon=True)
    try:
        with contextlib.suppress(OSError, PtxError), store.lock(GC_LOCK):
            write_whole(path, content)
            renewing.start()
        yield
    finally:
        done.set()
        if renewing.ident is not None:
            renewing.join()  # so that it writes nothing after the end
        with contextlib.suppress(OSError):
            path.unlink()


def _renew(path: Path, content: bytes, done: threading.Event) -> None:
    while not done.wait(RENEWED):
        with contextlib.suppress(OSError):
            try:
                with path.open("r+b") as file:  # JSON all the time: blanks may follow it
                    file.seek(0, os.SEEK_END)
                    file.write(b"\n")
            except FileNotFoundError:  # we were stopped for long, and thought dead
                write_whole(path, content)


def in_use(root: Path, gone: Mapping[Path, State]) -> set[tuple[str, str]]:
    """The entries (stage, key) that runs have announced, but for those leases that are `gone` and are still so."""
    found = set()
    for path in (root / "runs").glob("[!.]*"):
        with contextlib.suppress(OSError, ValueError):
            if not is_gone(path, gone):
                found |= {tuple(line.split("/", 1)) for line in json.loads(path.read_bytes())}
    return found


def is_gone(path: Path, gone: Mapping[Path, State]) -> bool:
    """Whether what a dead process has left is still as it was when that was found out."""
    return path in gone and _state(path) == gone[path]


def gone(paths: Iterable[Path], waiting: Callable[[], None]) -> dict[Path, State]:
    """Of leases and unfinished entries those of processes that are no more, each as it is now. `waiting` is called once
    if that takes a while."""
    states = {path: _state(path) for path in paths}
    dead = {path for path in states if _is_here(path) and not _runs(path)}
    watched = {path for path in states if not _is_here(path)}
    for look in range(LOOKS):
        if not watched:
            break
        if look == 0:
            waiting()
        time.sleep(BETWEEN)
        alive = {_owner_of(path) for path in watched if _state(path) != states[path]}
        watched = {path for path in watched if _owner_of(path) not in alive}
    return {path: states[path] for path in dead | watched}


def may_live(path: Path, heard: bool) -> bool:
    """Whether the owner of a file is at work: by its number on this machine, else if it was `heard` of lately."""
    return _runs(path) if _is_here(path) else heard


def _owner_of(path: Path) -> str:
    """Of .<key>.<id>.<owner> or, of a run, <id>.<owner>."""
    return path.name.split(".", 3 if path.name.startswith(".") else 1)[-1]


def _is_here(path: Path) -> bool:
    pid, _, machine = _owner_of(path).partition("-")
    return machine == here() != "" and pid.isdecimal() and os.name == "posix"


def _runs(path: Path) -> bool:
    try:
        os.kill(int(_owner_of(path).partition("-")[0]), 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)  # otherwise another user's
    return True


def _state(path: Path) -> State:
    """A file's content, or the names and sizes of what is in a folder; None if it has vanished."""
    with contextlib.suppress(OSError):
        if path.is_dir():
            return sorted((file.name, file.stat().st_size) for file in path.iterdir())
        return path.read_bytes()
    return None
