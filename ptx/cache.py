"""Content-addressed artifacts: `ROOT/v1/<stage>/<key>/` holds a payload and `meta.json`.

An artifact appears by rename of a complete, fsynced folder, so readers see all of it or nothing; what they see is
checked against its SHA-256 digests. Locks only save double work. Locks and damaged entries live outside `v1/`.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ptx.errors import PtxError

STAGES = ("anchors", "tune", "encode", "search", "eval", "table", "figure")
PACKAGES = ("ptx-prompts", "torch", "transformers", "tokenizers", "numpy")
ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
LEFTOVER_SECONDS = 24 * 3600  # an unfinished folder older than this has no writer any more


def canonical(value: Any) -> bytes:
    """JSON with one spelling per value. Raises PtxError for what has none: it could not be keyed exactly."""
    try:
        text = ENCODER.encode(value)
    except (TypeError, ValueError) as error:
        raise PtxError(
            f"a setting cannot be keyed exactly: {error}", "use plain text, whole and finite numbers, lists and tables"
        ) from None
    return text.encode("utf-8")


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical(value)).hexdigest()


def file_digest(path: Path | str) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Artifact:
    """A verified entry: its folder and what `meta.json` says."""

    path: Path
    meta: Mapping[str, Any]

    @property
    def key(self) -> str:
        return self.meta["key"]

    @functools.cached_property
    def payload(self) -> str:
        """One digest for all payload files; children record it, so that a rebuilt parent is noticed."""
        return digest(self.meta["payload"])


class Store:
    """The artifacts below one folder. `warn` receives one line for each damaged entry set aside."""

    def __init__(self, root: Path, warn: Callable[[str], None] = lambda message: None) -> None:
        self.root = root.absolute()
        self.warn = warn

    def folder(self, stage: str, key: str) -> Path:
        return self.root / "v1" / stage / key

    def read(self, stage: str, key: str) -> Artifact | None:
        """The verified entry, or None. A damaged one is moved to `damaged/` with one warning."""
        folder = self.folder(stage, key)
        if not folder.is_dir():
            return None
        try:
            return Artifact(folder, _verified(folder))
        except _Damaged as problem:
            aside = self.root / "damaged" / f"{stage}-{key}-{uuid.uuid4().hex[:8]}"
            aside.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(OSError):  # another process was first, or the cache is read-only
                os.rename(folder, aside)
            self.warn(f"damaged {stage} {key[:12]} ({problem}); set aside in {aside}")
            return None

    def publish(
        self, stage: str, key: str, meta: Mapping[str, Any], write: Callable[[Path], None], *, replace: bool = False
    ) -> Artifact:
        """Write the payload with `write(folder)`, add `meta.json`, and let the entry appear by rename.

        `replace` takes an existing entry's place (`--force`). Raises PtxError when the folder cannot be written.
        """
        final = self.folder(stage, key)
        partial = final.parent / f".{key}.{uuid.uuid4().hex[:8]}"
        try:
            partial.mkdir(parents=True)
            write(partial)
            payload = {file.name: file_digest(file) for file in sorted(partial.iterdir())}
            full = {**meta, "stage": stage, "key": key, "payload": payload, **_provenance()}
            full["sha256"] = digest(full)
            (partial / "meta.json").write_bytes(canonical(full) + b"\n")
            for file in partial.iterdir():
                _fsync(file)
            _fsync(partial)
            self._rename(partial, final, replace)
            _fsync(final.parent)
        except OSError as error:
            raise unwritable(self.root, error) from None
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return Artifact(final, json.loads((final / "meta.json").read_bytes()))

    def _rename(self, partial: Path, final: Path, replace: bool) -> None:
        if replace and final.exists():
            old = final.parent / f".{final.name}.{uuid.uuid4().hex[:8]}"
            os.rename(final, old)
            os.rename(partial, final)
            shutil.rmtree(old, ignore_errors=True)
            return
        try:
            os.rename(partial, final)
        except OSError:
            if not final.is_dir():  # otherwise another writer was first: its entry serves as well as ours
                raise

    @contextlib.contextmanager
    def lock(self, name: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold a lock for a group of artifacts; `waiting` is called once if another process holds it."""
        path = self.root / "locks" / f"{name}.lock"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path)
            try:
                lock.acquire(timeout=0.5)
            except Timeout:
                waiting()
                lock.acquire()
        except OSError as error:
            raise unwritable(self.root, error) from None
        try:
            yield
        finally:
            lock.release()

    def entries(self, stage: str | None = None) -> Iterator[Path]:
        """Folders of all entries, unverified, in a fixed order."""
        for name in [stage] if stage else STAGES:
            folder = self.root / "v1" / name
            if folder.is_dir():
                yield from (path for path in sorted(folder.iterdir()) if not path.name.startswith("."))

    def find(self, text: str, stages: tuple[str, ...] = STAGES) -> Artifact:
        """The entry with this key, unique prefix of a key, or path. Raises PtxError if there is none or several."""
        path = Path(text)
        if (path / "meta.json").is_file():
            if problem := damage(path):
                raise PtxError(f"{text} is damaged ({problem})", "run `ptx cache verify`")
            return Artifact(path.absolute(), json.loads((path / "meta.json").read_bytes()))
        found = [entry for stage in stages for entry in self.entries(stage) if text and entry.name.startswith(text)]
        if len(found) > 1:
            raise PtxError(f"{text} is the beginning of {len(found)} keys", "give more of the key; see `ptx cache ls`")
        artifact = self.read(found[0].parent.name, found[0].name) if found else None
        if artifact is None:
            raise PtxError(f"no {' or '.join(stages)} artifact {text} in {self.root}", "run `ptx cache ls`")
        return artifact

    def leftovers(self, now: float | None = None) -> Iterator[Path]:
        """What `gc` may always remove: damaged entries, lock files nobody holds, unfinished folders of dead writers."""
        now = time.time() if now is None else now
        yield from sorted((self.root / "damaged").glob("*"))
        yield from (path for path in sorted((self.root / "locks").glob("*")) if _is_free(path))
        for path in sorted((self.root / "v1").glob("*/.*")):
            if now - path.stat().st_mtime > LEFTOVER_SECONDS:
                yield path


class _Damaged(Exception):
    """An entry that is not what was published; the text says how."""


def damage(folder: Path) -> str | None:
    """What is wrong with an entry, or None."""
    try:
        _verified(folder)
    except _Damaged as problem:
        return str(problem)
    return None


def _verified(folder: Path) -> dict[str, Any]:
    """meta.json of an intact entry: digests of it and of every payload file are right, and there is nothing else.

    A cached grid reads thousands of entries, hence plain strings for paths.
    """
    where = os.fspath(folder)
    try:
        with open(f"{where}/meta.json", "rb") as file:
            meta = json.load(file)
        claimed = meta.pop("sha256")
        if digest(meta) != claimed:
            raise _Damaged("meta.json does not match its digest")
        if meta["key"] != folder.name or meta["stage"] != folder.parent.name:
            raise _Damaged("meta.json belongs to another entry")
        if set(os.listdir(where)) - {"meta.json"} != set(meta["payload"]):
            raise _Damaged("files are missing or were added")
        for name, expected in meta["payload"].items():
            if file_digest(f"{where}/{name}") != expected:
                raise _Damaged(f"{name} does not match its digest")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _Damaged(f"meta.json cannot be read: {type(error).__name__}") from None
    return {**meta, "sha256": claimed}


def unwritable(root: Path, error: OSError) -> PtxError:
    return PtxError(
        f"cannot write to the cache {root}: {error.strerror or error}",
        "choose another folder with --cache-dir or PTX_CACHE_DIR",
    )


def _provenance() -> dict[str, Any]:
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": socket.gethostname(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
    }


def _fsync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():  # Windows cannot open a folder
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_free(path: Path) -> bool:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return False
    lock.release()
    return True
