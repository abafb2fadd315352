"""A cache in an object store: `--cache-dir s3://bucket/prefix`, or any other address that fsspec knows.

All work is done on a local folder, as without one. What that lacks is fetched and verified like every artifact before
it appears there by rename; what is built goes up: payload files first, as `objects/SHA256`, and
`v1/<stage>/<key>/meta.json` last, created only if nobody was first. That is the commit: nothing is ever renamed or
removed there, and what has no meta.json, or is not what its digests say, is not there. Locks and running commands are
known locally only: two machines may build the same thing, of which the first is kept by both.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import rmtree
from types import MappingProxyType

from ptx.cache.bucket import Bucket, shown
from ptx.cache.keys import digest
from ptx.cache.problems import unwritable
from ptx.cache.store import STAGES, Artifact, Meta, Store, hidden
from ptx.cache.verify import Damaged, verified
from ptx.files import fsync

AT_ONCE = 16  # artifacts that are fetched side by side
Warn = Callable[[str], None]


def folder_of(where: str | Path) -> Path:
    """The folder of a cache: itself, or the local copies of an object store's."""
    if "://" not in str(where):
        return Path(where)
    above = os.environ.get("PTX_REMOTE_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "ptx")
    return Path(above).expanduser() / digest(_address(where))[:16]


def store_at(
    where: str | Path, warn: Warn = lambda message: None, made_by: Meta = MappingProxyType({}), *, reached: bool = False
) -> Store:
    """The store in a folder or at an address; `reached` if somebody has just found that it answers (see Bucket)."""
    if "://" not in str(where):
        return Store(Path(where), warn, made_by)
    return RemoteStore(folder_of(where), warn, made_by, Bucket(_address(where), warn, reached))


def _address(where: str | Path) -> str:
    scheme, _, rest = str(where).partition("://")
    return f"{scheme}://{rest.rstrip('/')}"


class RemoteStore(Store):
    """Local copies of what is in a bucket, which gets what is built here."""

    def __init__(self, root: Path, warn: Warn, made_by: Meta, bucket: Bucket) -> None:
        super().__init__(root, warn, made_by)
        self.bucket = bucket
        self.where = bucket.address

    def read(self, stage: str, key: str) -> Artifact | None:
        found = self.here(stage, key)
        if not self.bucket.has(stage, key):
            return found and self._shared(found, over=False)  # built when it could not be reached
        return found or self._fetched(stage, key)

    def publish(
        self, stage: str, key: str, meta: Meta, write: Callable[[Path], None], *, replacing: Artifact | None = None
    ) -> Artifact:
        made = super().publish(stage, key, meta, write, replacing=replacing)
        return self._shared(made, over=replacing is not None)

    def _shared(self, made: Artifact, *, over: bool) -> Artifact:
        """The same once it is uploaded, or what another machine has made of it and was first with."""
        for _ in range(2):  # damaged, theirs is written anew
            if self.bucket.push(made, over=over):
                break
            if theirs := self._fetched(made.meta["stage"], made.key, made):
                return theirs
        return made

    def _fetched(self, stage: str, key: str, replacing: Artifact | None = None) -> Artifact | None:
        if (stage, key) in self.bucket.damaged:
            return None
        final = self.folder(stage, key)
        partial = hidden(final)
        try:
            if (files := self.bucket.fetch(stage, key)) is None:
                return None
            partial.mkdir(parents=True)
            for name, content in files.items():
                (partial / name).write_bytes(content)
            meta = verified(partial, stage, key)
            fsync(*partial.iterdir(), partial)
            return self._appear(partial, final, meta, replacing)
        except Damaged as problem:
            self.bucket.damaged.add((stage, key))
            self.warn(f"damaged {stage} {key[:12]} in {shown(self.bucket.address)} ({problem}); it counts as missing")
            return None
        except OSError as error:
            raise unwritable(self.root, error) from None
        finally:
            rmtree(partial, ignore_errors=True)

    def keys(self, stage: str) -> list[str]:
        return sorted({*super().keys(stage), *self.bucket.keys(stage)})

    def entries(self, stage: str | None = None) -> Iterator[Path]:
        stages = [stage] if stage else STAGES
        self.bring((name, key) for name in stages for key in self.bucket.keys(name))
        return self.folders(stage)

    def bring(self, entries: Iterable[tuple[str, str]]) -> None:
        """All at once, and what they were made of, which tells of them."""
        tried: set[tuple[str, str]] = set()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while entries := [
                (stage, key)
                for stage, key in dict.fromkeys(entries)
                if (stage, key) not in tried and not self.folder(stage, key).exists() and self.bucket.has(stage, key)
            ]:
                tried.update(entries)
                found = list(pool.map(lambda entry: self._fetched(*entry), entries))
                entries = [(of["stage"], of["key"]) for a in found if a for of in a.meta.get("parents", ())]
