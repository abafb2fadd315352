"""Content-addressed artifacts: `ROOT/v1/<stage>/<key>/` holds a payload and `meta.json`.

An artifact appears by rename of a complete, fsynced folder, so readers see all of it or nothing; what they see is
checked against its SHA-256 digests. Locks only save double work. Locks, running commands and damaged entries live
outside `v1/`.
"""

import contextlib
import errno
import functools
import json
import os
import platform
import shutil
import socket
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

import ptx
from ptx.cache import locks
from ptx.cache.keys import canonical, digest, file_digest
from ptx.cache.locks import owner
from ptx.cache.problems import unreadable, unwritable
from ptx.cache.verify import Damaged, verified
from ptx.errors import PtxError
from ptx.files import fsync

# In the order in which they build on each other. Each is a folder below v1/, and a file of ptx/stages.
STAGES = ("anchors", "tune", "portable", "encode", "texts", "answers", "search", "eval", "table", "figure")
MODELS = "gguf"  # what dequantised models are of, beside the artifacts
PACKAGES = ("torch", "transformers", "tokenizers", "numpy")
# What tells where and when an artifact was made, not what it is.
PROVENANCE = ("created", "host", "versions", "seconds", "expected", "device", "sha256", "made_by")
OCCUPIED = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)  # a folder cannot be renamed to where something is
ATTEMPTS = 100
Meta = Mapping[str, Any]  # what meta.json says


@dataclass(frozen=True)
class Artifact:
    """A verified entry: its folder and what `meta.json` says."""

    path: Path
    meta: Meta

    @property
    def key(self) -> str:
        return self.meta["key"]

    @functools.cached_property
    def payload(self) -> str:
        """One digest for all payload files; children record it, so that a rebuilt parent is noticed."""
        return digest(self.meta["payload"])

    def named(self, labels: Meta) -> "Artifact":
        """The same under the names of a command: it may have been made under others, since models and suites are the
        same if their files are."""
        if self.meta["labels"] == labels:
            return self
        return Artifact(self.path, {**self.meta, "labels": dict(labels), "renamed": True})


class Store:
    """The artifacts below one folder. `warn` receives a line for each damaged entry; `made_by` says how new ones were
    asked for (see config/said.py)."""

    def __init__(
        self, root: Path, warn: Callable[[str], None] = lambda message: None, made_by: Meta = MappingProxyType({})
    ) -> None:
        self.root = root.absolute()
        self.where: str | Path = self.root  # as another process opens it (see remote.py)
        self.warn = warn
        self.made_by = dict(made_by)
        self._stuck: set[Path] = set()  # damaged entries that could not be set aside: one warning each

    def place(self, stage: str, key: str) -> str:
        """The folder as plain text: thousands are asked for, and a path takes longer than to look there."""
        return f"{self.root}/v1/{stage}/{key}"

    def folder(self, stage: str, key: str) -> Path:
        return Path(self.place(stage, key))

    def read(self, stage: str, key: str) -> Artifact | None:
        """The verified entry, or None: wherever the cache is (see remote.py), it is here then."""
        return self.here(stage, key)

    def here(self, stage: str, key: str) -> Artifact | None:
        """The verified entry of this folder, or None. A damaged one is moved to `damaged/` with one warning.

        Its folder's time says when it was used last. Raises PtxError if it is there but cannot be read.
        """
        folder = self.folder(stage, key)
        try:
            meta = verified(folder, stage, key)
        except FileNotFoundError:
            return None
        except Damaged as problem:
            self._set_aside(folder, str(problem))
            return None
        except OSError as error:
            raise unreadable(self.root, error) from None
        with contextlib.suppress(OSError):  # read-only, or gone in this moment
            os.utime(folder)
        return Artifact(folder, meta)

    def _set_aside(self, folder: Path, problem: str) -> None:
        stage, key = folder.parent.name, folder.name
        aside = self.root / "damaged" / f"{stage}-{key}-{uuid.uuid4().hex[:8]}"
        try:
            aside.parent.mkdir(parents=True, exist_ok=True)
            os.rename(folder, aside)
        except FileNotFoundError:  # another process was first
            return
        except OSError as error:  # read-only, say
            if folder not in self._stuck:
                self.warn(f"damaged {stage} {key[:12]} ({problem}); it cannot be set aside: {error.strerror}")
            self._stuck.add(folder)
            return
        try:
            verified(aside, stage, key)
        except (Damaged, OSError):
            self.warn(f"damaged {stage} {key[:12]} ({problem}); set aside in {aside}")
        else:  # another process was first, and this is what it built instead
            with contextlib.suppress(OSError):
                os.rename(aside, folder)

    def publish(
        self, stage: str, key: str, meta: Meta, write: Callable[[Path], None], *, replacing: Artifact | None = None
    ) -> Artifact:
        """Write the payload with `write(folder)`, add `meta.json`, and let the entry appear by rename.

        An intact entry that is there already stays and is returned, unless it is `replacing` and says something else.
        Raises PtxError when the folder cannot be written.
        """
        final = self.folder(stage, key)
        partial = hidden(final)
        try:
            partial.mkdir(parents=True)
            write(partial)
            payload = {file.name: file_digest(file) for file in sorted(partial.iterdir())}
            own = {"python": platform.python_version(), "ptx-prompts": ptx.__version__}  # of a checkout, too
            versions = {**own, **{name: _version(name) for name in PACKAGES}}
            now = datetime.now(UTC).isoformat(timespec="seconds")
            made: dict[str, Any] = {"created": now, "host": socket.gethostname()}
            made |= {"made_by": self.made_by} if self.made_by else {}
            full = {**meta, "stage": stage, "key": key, "payload": payload, **made, "versions": versions}
            full["sha256"] = digest(full)
            (partial / "meta.json").write_bytes(canonical(full) + b"\n")
            fsync(*partial.iterdir(), partial)
            return self._appear(partial, final, full, replacing)
        except OSError as error:
            raise unwritable(self.root, error) from None
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _appear(self, partial: Path, final: Path, full: dict[str, Any], replacing: Artifact | None) -> Artifact:
        """Rename `partial` to `final`. Between moving an old entry away and that, readers see none, and build it."""
        old: Path | None = None
        try:
            for _ in range(ATTEMPTS):
                try:
                    os.rename(partial, final)
                except OSError as error:
                    if error.errno not in OCCUPIED and not (os.name == "nt" and final.exists()):
                        raise
                else:
                    fsync(final.parent)
                    return Artifact(final, full)
                there = self.here(final.parent.name, final.name)
                if there is not None:
                    to_go = replacing is not None and there.meta["sha256"] == replacing.meta["sha256"]
                    if not to_go or _says(there.meta) == _says(full):
                        return there
                old = hidden(final)
                with contextlib.suppress(FileNotFoundError):  # another writer moved it
                    os.rename(final, old)
            raise OSError(errno.EBUSY, f"others keep writing {final}")
        finally:
            if old is not None:
                if not final.exists():  # we were stopped in between
                    with contextlib.suppress(OSError):
                        os.rename(old, final)
                shutil.rmtree(old, ignore_errors=True)

    @contextlib.contextmanager
    def lock(self, name: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold a lock for a group of artifacts; `waiting` is called once if another process holds it."""
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locks.held(self.root / "locks" / f"{name}.lock", waiting))
            except OSError as error:
                raise unwritable(self.root, error) from None
            yield

    def keys(self, stage: str) -> list[str]:
        """Of all entries of a stage, wherever they are."""
        return [folder.name for folder in self.folders(stage)]

    def entries(self, stage: str | None = None) -> Iterator[Path]:
        """Folders of all entries, unverified, in a fixed order. Raises PtxError if they cannot be listed."""
        return self.folders(stage)

    def bring(self, entries: Iterable[tuple[str, str]]) -> None:
        """Have those entries (stage, key) here that are elsewhere, before they are read one by one."""

    def folders(self, stage: str | None = None) -> Iterator[Path]:
        """The same of the entries that are here."""
        for name in [stage] if stage else STAGES:
            try:
                names = sorted(os.listdir(self.root / "v1" / name))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise unreadable(self.root, error) from None
            yield from (self.folder(name, key) for key in names if not key.startswith("."))

    def find(self, text: str, stages: tuple[str, ...] = STAGES) -> Artifact:
        """The entry with this key, unique prefix of a key, or path. Raises PtxError if there is none or several."""
        path = Path(text).absolute()
        if (path / "meta.json").is_file():
            try:
                return Artifact(path, verified(path))
            except Damaged as problem:
                raise PtxError(f"{text} is damaged ({problem})", "run `ptx cache verify`") from None
            except OSError as error:
                raise unreadable(path, error) from None
        found = [(stage, key) for stage in stages for key in self.keys(stage) if text and key.startswith(text)]
        if len(found) > 1:
            raise PtxError(f"{text} is the beginning of {len(found)} keys", "give more of the key; see `ptx cache ls`")
        artifact = self.read(*found[0]) if found else None
        if artifact is None:
            raise PtxError(f"no {' or '.join(stages)} artifact {text} in {self.root}", "run `ptx cache ls`")
        return artifact


_version = functools.cache(version)  # several files are read and parsed to find it


def versions_of(meta: Meta) -> dict[str, int]:
    """The versions of the stages that had a part in an artifact, by its meta.json; early ones named their own only."""
    return dict(meta.get("stages") or {meta["stage"]: meta.get("version", 0)})


def models_beside(store: Store) -> Store:
    """Where models are kept that were dequantised: beside the artifacts, in the same way."""
    return Store(store.root / "models", store.warn)


def everything(store: Store, stage: str = "") -> list[Path]:
    """Folders of all artifacts that are here, or of one stage's; without a stage, of the models beside them too."""
    return [*store.folders(stage or None), *(() if stage else models_beside(store).folders(MODELS))]


def hidden(final: Path) -> Path:
    """A sibling that no reader looks at; its name tells gc whose it is."""
    return final.with_name(f".{final.name}.{uuid.uuid4().hex[:8]}.{owner()}")


def _says(meta: Meta) -> dict[str, Any]:
    return {name: value for name, value in meta.items() if name not in PROVENANCE}


def unverified(folder: Path | str) -> Meta | None:
    """What an artifact says of itself, only to be compared; None of one that is gone, or damaged."""
    with contextlib.suppress(OSError, ValueError), open(f"{folder}/meta.json", "rb") as file:
        found: Meta = json.loads(file.read())
        return found
    return None
