"""`ptx cache gc`: remove what nobody needs any more, and never what a live run may need (see leases.py)."""

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ptx.cache import given, leases, unfinished
from ptx.cache.housekeeping import check_stage, size_of
from ptx.cache.locks import is_free
from ptx.cache.ours import DAMAGED, ENTRIES, LOCKS, OWNED, ours
from ptx.cache.problems import unwritable
from ptx.cache.store import Store, hidden, models_beside, versions_of
from ptx.cache.verify import Damaged, verified
from ptx.errors import UsageError
from ptx.notebooks.rooms import answers

DAY = 24 * 3600.0
TUNED = ("tune", "portable")  # what costs the most
UNITS = {"": 1, "b": 1, "k": 1e3, "kb": 1e3, "m": 1e6, "mb": 1e6, "g": 1e9, "gb": 1e9, "t": 1e12, "tb": 1e12}


@dataclass(frozen=True)
class Wanted:
    """What to remove besides leftovers, damaged entries and those of older versions of ptx.

    Entries (artifacts, and dequantised models) not used for `older_than` days, and then what notebooks gave that no
    artifact names any more; the longest unused ones until the rest has `max_size` bytes. Both may be restricted to one
    stage. Tuned prompts cost the most: they go only if their stage is named.
    """

    older_than: int | None = None
    max_size: int | None = None
    stage: str = ""

    def __post_init__(self) -> None:
        check_stage(self.stage)


@dataclass
class Collected:
    """What was removed (or would be), and what was spared, with the reason."""

    paths: list[Path] = field(default_factory=list)
    bytes: int = 0
    in_use: set[Path] = field(default_factory=set)
    prompts: set[Path] = field(default_factory=set)
    newer: int = 0
    over: int = 0  # bytes above `max_size` that are left


def parse_size(text: str) -> int | None:
    """ "500 MB" or "2GB" in bytes; None for an empty text."""
    if not text:
        return None
    number = text.strip().rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
    unit = text.strip()[len(number) :].strip().lower()
    with contextlib.suppress(ValueError, OverflowError, KeyError):
        if (size := int(float(number) * UNITS[unit])) >= 0:
            return size
    raise UsageError(f"--max-size {text!r} is no size", "write it like --max-size 500MB or --max-size 2GB")


def collect_garbage(
    store: Store, versions: Mapping[str, int], wanted: Wanted = Wanted(), *, dry_run: bool = False,
    waiting: Callable[[], None] = lambda: None,
) -> Collected:  # fmt: skip
    """Remove leftovers, damaged entries, those of older `versions` of a stage, and what is `wanted` besides.

    `waiting` is called once if runs elsewhere must be watched. Raises PtxError if something cannot be removed.
    """
    found = Collected()
    gone = leases.gone(owned(store), waiting)
    doomed = list(_doomed(store, versions, wanted, found, gone))
    moved: list[Path] = []
    try:
        # Runs announce themselves under this lock: none begins between the look at who is there and the removal.
        with contextlib.nullcontext() if dry_run else store.lock(leases.GC_LOCK):
            used = needed(store, gone)
            for path in doomed:
                if (path.parent.name, path.name) in used:
                    found.in_use.add(path)
                    continue
                found.paths.append(path)
                found.bytes += size_of(path)
                if not dry_run:
                    aside = hidden(path)
                    with contextlib.suppress(FileNotFoundError):
                        os.rename(path, aside)  # at once, so that no reader finds half an entry
                        moved.append(aside)
            leftovers = [*_leftovers(store, gone), *_unfinished(store, wanted)]
            if used:  # by runs of which it is not known what they were given
                found.in_use |= {*_given(store, wanted, found.paths)}
            else:
                leftovers += _given(store, wanted, found.paths)
            found.paths += leftovers
            found.bytes += sum(map(size_of, leftovers))
        for path in [] if dry_run else [*moved, *leftovers]:
            with contextlib.suppress(FileNotFoundError):  # another gc was first
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
    except OSError as error:
        raise unwritable(store.root, error) from None
    return found


def _doomed(
    store: Store, versions: Mapping[str, int], wanted: Wanted, found: Collected, gone: Mapping[Path, leases.State]
) -> Iterator[Path]:
    """Entries to remove unless they are in use; counts in `found` what is spared."""
    used = needed(store, gone)
    now = time.time()
    rest: list[tuple[float, int, Path]] = []
    for folder in (path for root in _roots(store) for path in ours(root, ENTRIES)):
        stage = folder.parent.name
        try:
            age = _age(verified(folder), versions)
            touched = folder.stat().st_mtime
        except Damaged:
            yield folder
            continue
        except OSError:  # gone, or unreadable, which says nothing about it
            continue
        old = wanted.older_than is not None and now - touched >= wanted.older_than * DAY
        chosen = age < 0 or (old and wanted.stage in ("", stage))
        found.newer += age > 0
        if chosen and stage in TUNED and wanted.stage != stage:
            found.prompts.add(folder)
        elif chosen:
            yield folder
            continue
        rest.append((touched, size_of(folder), folder))
    if wanted.max_size is None:
        return
    left = sum(size for _, size, _ in rest)
    for _, size, folder in sorted(rest):
        stage = folder.parent.name
        if left <= wanted.max_size:
            break
        if wanted.stage not in ("", stage):
            continue
        if stage in TUNED and wanted.stage != stage:
            found.prompts.add(folder)
        elif (stage, folder.name) in used:
            found.in_use.add(folder)
        else:
            left -= size
            yield folder
    found.over = max(0, left - wanted.max_size)


def _age(meta: dict[str, Any], versions: Mapping[str, int]) -> int:
    """-1 for an entry that an older version of some stage had a part in, 1 for a newer one, 0 for those of today."""
    differ = [versions.get(name, 0) - version for name, version in versions_of(meta).items()]
    return 1 if any(d < 0 for d in differ) else -1 if any(d > 0 for d in differ) else 0


def _unfinished(store: Store, wanted: Wanted) -> list[Path]:
    """What is kept of work that is finished by now, or that nobody went on with for so long."""
    moment = 0.0 if wanted.older_than is None or wanted.stage else time.time() - wanted.older_than * DAY
    return sorted({*unfinished.finished(store), *unfinished.older(store, moment)})


def _given(store: Store, wanted: Wanted, doomed: Sequence[Path]) -> list[Path]:
    """What was given from memory so long ago, and is of no use to what stays."""
    asked = wanted.older_than is not None and not wanted.stage
    return given.unneeded(store, wanted.older_than or 0, {*doomed}) if asked else []


def _leftovers(store: Store, gone: Mapping[Path, leases.State]) -> Iterator[Path]:
    """Damaged entries set aside, locks that nobody holds, and what dead processes have left."""
    for root in _roots(store):
        yield from ours(root, DAMAGED)
        yield from filter(is_free, ours(root, LOCKS))
    yield from (path for path in owned(store) if leases.is_gone(path, gone))


def owned(store: Store) -> list[Path]:
    """What belongs to a process: unfinished entries, leases, what it says of itself and to its workers."""
    return [path for root in _roots(store) for path in ours(root, OWNED)]


def _roots(store: Store) -> list[Path]:
    """Of the cache, and of the dequantised models in it."""
    return [root for root in (store.root, models_beside(store).root) if root == store.root or not root.is_symlink()]


def needed(store: Store, gone: Mapping[Path, leases.State]) -> set[tuple[str, str]]:
    return leases.in_use(store.root, gone) | leases.in_use(models_beside(store).root, gone)


answers(__name__, "ptx.cache.functions")  # `ptx.cache.gc()` is a command, too
