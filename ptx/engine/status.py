"""What runs are at, for who looks from another shell or machine: `ROOT/status/<id>.<owner>`, JSON that a run writes
anew every few seconds, and a last time when it ends. Outside `v1/`; nothing depends on it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ptx.cache import Store, leases
from ptx.cache.locks import owner
from ptx.errors import PtxError
from ptx.files import write_whole

FOLDER = "status"
RENEWED = 2.0  # seconds
SILENT = 60.0  # seconds after which a run of another machine counts as stopped
Look = Callable[[], Mapping[str, Any]]


@contextlib.contextmanager
def kept(store: Store, name: str, look: Look) -> Iterator[None]:
    """Meanwhile, write what `look` says, under a name; that of an earlier run of this name goes, if it has ended. Where
    nothing can be written, nothing is."""
    began, done = time.time(), threading.Event()
    path = store.root / FOLDER / f"{uuid.uuid4().hex[:8]}.{owner()}"

    def write(state: str, error: str = "") -> None:
        said = {"run": name, "state": state, "host": socket.gethostname(), "pid": os.getpid(), "began": round(began, 1)}
        said |= {"elapsed": round(time.time() - began, 1), **look(), **({"error": error} if error else {})}
        with contextlib.suppress(OSError):
            write_whole(path, json.dumps(said).encode())

    def renew() -> None:
        while not done.wait(RENEWED):
            write("running")

    forget(store, name)
    write("running")
    renewing = threading.Thread(target=renew, daemon=True)
    renewing.start()
    state, error = "finished", ""
    try:
        yield
    except PtxError as problem:
        state, error = "failed", problem.message
        raise
    except BaseException:
        state = "interrupted"
        raise
    finally:
        done.set()
        renewing.join()
        write(state, error)


def forget(store: Store, name: str) -> None:
    """Remove what ended runs of a name have left."""
    for path, said in _read(store):
        if said["run"] == name and said["state"] != "running":
            with contextlib.suppress(OSError):
                path.unlink()


def runs(store: Store) -> list[dict[str, Any]]:
    """What each run said last, the oldest first; `state` is "stopped" if it was killed, `heard` are seconds since."""
    found = []
    now = _now(store)
    for path, said in _read(store):
        with contextlib.suppress(OSError):
            heard = max(0.0, now - path.stat().st_mtime)
            if said["state"] == "running" and not leases.may_live(path, heard < SILENT):
                said["state"] = "stopped"
            found.append({**said, "heard": round(heard, 1)})
    return sorted(found, key=lambda said: said["began"])


def _read(store: Store) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted((store.root / FOLDER).glob("[!.]*")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            said = json.loads(path.read_bytes())
            yield path, {**said, "run": str(said["run"]), "state": str(said["state"]), "began": float(said["began"])}


def _now(store: Store) -> float:
    """The time by the clock that the files of the cache have theirs from, which may be that of another machine."""
    probe = store.root / FOLDER / f".{uuid.uuid4().hex[:8]}.{owner()}"
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return time.time()
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
