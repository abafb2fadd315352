"""Work that is not finished, so that an interrupted run goes on: `ROOT/unfinished/<stage>-<id>`, a file for the steps
that are made together, written anew again and again. Outside `v1/`: no reader takes it for an artifact.

A line of JSON (the keys, and the SHA-256 of what follows), then what the stage keeps. A file that is not whole counts
as none, as what cannot be written does: it only saves time.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ptx.cache.keys import digest
from ptx.cache.ours import UNFINISHED, ours
from ptx.cache.store import Store, hidden

FOLDER = "unfinished"


def keep(store: Store, stage: str, keys: Sequence[str], content: bytes) -> None:
    path = _path(store, stage, keys)
    head = json.dumps({"keys": [*keys], "sha256": hashlib.sha256(content).hexdigest()})
    partial = hidden(path)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(head.encode() + b"\n" + content)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def drop(store: Store, stage: str, keys: Sequence[str]) -> None:
    """What was kept for these steps, and whatever has nothing left to do: all of its steps are finished."""
    with contextlib.suppress(OSError):
        _path(store, stage, keys).unlink(missing_ok=True)
        for path in finished(store):
            path.unlink(missing_ok=True)


def found(store: Store, stage: str, wanted: Sequence[str]) -> list[tuple[list[str], bytes]]:
    """What was kept for any of the wanted steps, the latest first: the keys that it has, and the content."""
    paths = sorted(_files(store, stage), key=_written, reverse=True)
    read = [(keys, content) for path in paths for keys, content in _read(path)]
    return [(keys, content) for keys, content in read if {*keys} & {*wanted}]


def finished(store: Store) -> list[Path]:
    """Files whose steps are all in the cache, or that are not whole."""
    return [
        path
        for path in _files(store)
        if all(store.folder(path.name.partition("-")[0], key).exists() for keys, _ in _read(path) for key in keys)
    ]


def older(store: Store, moment: float) -> list[Path]:
    """Files that were written before a moment (seconds since 1970)."""
    return [path for path in _files(store) if _written(path) <= moment]


def _files(store: Store, stage: str = "") -> list[Path]:
    return [path for path in ours(store.root, UNFINISHED) if path.name.startswith(f"{stage}-" if stage else "")]


def _path(store: Store, stage: str, keys: Sequence[str]) -> Path:
    return store.root / FOLDER / f"{stage}-{digest([*keys])[:16]}"


def _written(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _read(path: Path) -> Iterator[tuple[list[str], bytes]]:
    """Keys and content, if the file is whole."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        head, _, content = path.read_bytes().partition(b"\n")
        said = json.loads(head)
        if said["sha256"] == hashlib.sha256(content).hexdigest():
            yield [str(key) for key in said["keys"]], content
