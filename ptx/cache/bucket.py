"""What a cache has in an object store, at any address that fsspec knows: what is there stays there, and a meta.json is
created only if nobody was first (see remote.py)."""

import functools
import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from ptx.cache.store import Artifact
from ptx.cache.verify import Damaged
from ptx.errors import PtxError, UsageError, first_line

FRESH = 5.0  # seconds for which a list is believed that lacks a key: what is there stays there
PAUSE = 60.0  # seconds until an object store is asked again that could not be reached
OLDEST = [2025, 7]  # s3fs
SHA256 = re.compile("[0-9a-f]{64}")
LOGIN = re.compile(r"(?<=://)[^/\s@]+(?=@)")
LOCAL = "work in a local folder meanwhile: --cache-dir FOLDER"
T = TypeVar("T")


class Bucket:
    """What is at an address. If it does not answer at first, that is a PtxError; if it is lost later, one warning, and
    then it seems empty for a while."""

    def __init__(self, address: str, warn: Callable[[str], None], reached: bool) -> None:
        self.address, self.warn, self.reached = address, warn, reached
        self.damaged: set[tuple[str, str]] = set()  # entries (stage, key) to be written anew
        self._bad: set[str] = set()  # digests of objects that are something else
        self._known: dict[str, tuple[set[str], float]] = {}  # keys by stage, and when they were listed
        self._lost: float | None = None
        self._refused = False  # to write there

    @functools.cached_property
    def _fs(self) -> tuple[Any, str]:
        """A file system, and the folder in it."""
        import fsspec

        if self.address.startswith(("file:", "local:")):
            raise UsageError(f"{shown(self.address)} is a local folder", "give its path alone: --cache-dir FOLDER")
        try:
            system, root = fsspec.url_to_fs(self.address)
        except ImportError as error:
            hint = "run `pip install 's3fs>=2025.7'`, or for other stores what fsspec's documentation names"
            raise PtxError(f"{shown(self.address)} needs a package: {first_line(error)}", hint) from None
        except ValueError as error:
            raise UsageError(
                f"{shown(self.address)}: {first_line(error)}", "write it like s3://bucket/folder"
            ) from None
        if not root.strip("/"):
            raise UsageError(f"{shown(self.address)} names no bucket", "write it like s3://bucket/folder")
        if type(system).__module__.startswith("s3fs") and _s3fs() < OLDEST:
            what = "this s3fs cannot be relied on to create a file only if there is none"
            raise PtxError(what, "run `pip install 's3fs>=2025.7'`")
        return system, root

    def _at(self, *parts: str) -> str:
        return "/".join([self._fs[1], *parts])

    def _tried(self, ask: Callable[[], T]) -> T | None:
        """The answer, or None if there is none any more."""
        if self._lost is not None and time.monotonic() - self._lost < PAUSE:
            return None
        try:
            answer = ask()
        except (PtxError, Damaged):
            raise
        except Exception as error:  # of whatever library there is behind an address
            problem = _problem(self.address, error)
            if not self.reached:
                raise problem from None
            if self._lost is None:
                self.warn(f"{problem.message}; what is built is kept here, and the next run uploads it")
            self._lost = time.monotonic()
            return None
        self.reached = True
        return answer

    def keys(self, stage: str) -> set[str]:
        """Of all entries of a stage that have a meta.json, as they were a moment ago."""
        known, listed = self._known.get(stage, (set[str](), -FRESH))
        if time.monotonic() - listed >= FRESH and (found := self._tried(lambda: self._listed(stage))) is not None:
            known |= found
            self._known[stage] = known, time.monotonic()
        return known

    def has(self, stage: str, key: str) -> bool:
        return key in self._known.get(stage, ((), 0.0))[0] or key in self.keys(stage)

    def _listed(self, stage: str) -> set[str]:
        self._fs[0].invalidate_cache()  # which may be kept in memory
        found = (path.split("/") for path in self._fs[0].find(self._at("v1", stage)))
        return {of[-2] for of in found if of[-1] == "meta.json" and of[-3] == stage and not of[-2].startswith(".")}

    def fetch(self, stage: str, key: str) -> dict[str, bytes] | None:
        """The files of an entry, if it is there. Raises Damaged if they are not what its meta.json says."""
        return self._tried(lambda: self._files(stage, key))

    def _files(self, stage: str, key: str) -> dict[str, bytes] | None:
        if (meta := self._content("v1", stage, key, "meta.json")) is None:
            return None
        try:
            payload = dict(json.loads(meta)["payload"])
            good = all(Path(name).name == name != "meta.json" and SHA256.fullmatch(of) for name, of in payload.items())
        except (ValueError, KeyError, TypeError, RecursionError):
            good = False
        if not good:
            raise Damaged("meta.json is not as it was written")
        files = {"meta.json": meta}
        for name, sha256 in payload.items():
            if (content := self._content("objects", sha256)) is None:
                raise Damaged(f"{name} is missing")
            if hashlib.sha256(content).hexdigest() != sha256:
                self._bad.add(sha256)
                raise Damaged(f"{name} does not match its digest")
            files[name] = content
        return files

    def _content(self, *parts: str) -> bytes | None:
        try:
            content: bytes = self._fs[0].cat_file(self._at(*parts))
        except FileNotFoundError:
            return None
        return content

    def push(self, artifact: Artifact, *, over: bool) -> bool:
        """Upload an artifact, in place of another one if it is to go `over` it. False if another one is there."""
        stage, key = artifact.meta["stage"], artifact.key
        try:
            files = {name: (artifact.path / name).read_bytes() for name in [*artifact.meta["payload"], "meta.json"]}
        except OSError:  # gone, which whoever uses it will say
            return True
        if self._refused or any(
            hashlib.sha256(files[name]).hexdigest() != of for name, of in artifact.meta["payload"].items()
        ):
            return True
        anew = over or (stage, key) in self.damaged
        done = self._tried(lambda: self._written(files, artifact.meta["payload"], self._at("v1", stage, key), anew))
        if done:
            self.damaged.discard((stage, key))
            self._known.setdefault(stage, (set(), -FRESH))[0].add(key)
        return done is not False

    def _written(self, files: Mapping[str, bytes], payload: Mapping[str, str], entry: str, anew: bool) -> bool:
        system = self._fs[0]
        try:
            for name, sha256 in payload.items():
                path = self._at("objects", sha256)
                if sha256 in self._bad or self._size(path) != len(files[name]):
                    system.pipe_file(path, files[name])
                    self._bad.discard(sha256)
            try:
                system.pipe_file(f"{entry}/meta.json", files["meta.json"], mode="overwrite" if anew else "create")
            except OSError:  # S3 has two answers if others write at the same time
                if anew or self._size(f"{entry}/meta.json") is None:
                    raise
                return False
        except PermissionError as error:
            self._refused = True
            self.warn(f"{_problem(self.address, error).message}; what is built is kept here only")
        return True

    def _size(self, path: str) -> int | None:
        self._fs[0].invalidate_cache()
        try:
            size: int = self._fs[0].info(path)["size"]
        except FileNotFoundError:
            return None
        return size


def shown(address: str) -> str:
    """Without who logs in with what."""
    return LOGIN.sub("***", address)


def _s3fs() -> list[int]:
    return [int(part) for part in version("s3fs").split(".")[:2]]


def _problem(address: str, error: Exception) -> PtxError:
    where = shown(address)
    if "Credential" in type(error).__name__:
        hint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; for other stores what they ask for"
        return PtxError(f"no credentials for {where}: {first_line(error)}", hint)
    if isinstance(error, FileNotFoundError):
        return PtxError(f"{where}: {first_line(error)}", "make the bucket first, or correct --cache-dir")
    if isinstance(error, PermissionError):
        return PtxError(f"no permission for {where}: {first_line(error)}", f"ask its owner for it, or {LOCAL}")
    return PtxError(
        f"cannot reach {where}: {first_line(error)}", f"look at the network and AWS_ENDPOINT_URL, or {LOCAL}"
    )
