"""`ptx cache rm`: remove artifacts by name, with all that was made from them, and nothing that a live run may need."""

import contextlib
import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from ptx.cache import leases
from ptx.cache.gc import needed, owned
from ptx.cache.housekeeping import size_of
from ptx.cache.problems import unwritable
from ptx.cache.store import Artifact, Store, hidden, unverified
from ptx.errors import PtxError
from ptx.media import counted

Entry = tuple[str, str]  # stage and key


def remove(
    store: Store, keys: Sequence[str], *, dependents: bool, dry_run: bool, waiting: Callable[[], None] = lambda: None
) -> tuple[list[Path], int]:
    """What was removed (or would be), and its bytes. Raises PtxError, having removed nothing, if others were made from
    it and `dependents` are not to go too, or if a running command may need any of it."""
    named = [store.find(key) for key in keys]
    for artifact in named:
        if artifact.path != store.folder(*_entry(artifact)):
            raise PtxError(f"{artifact.path} is not in the cache {store.root}", "name it by its key, with --cache-dir")
    gone = leases.gone(owned(store), waiting)
    # Runs announce themselves under this lock: none begins between the look at who is there and the removal.
    with contextlib.nullcontext() if dry_run else store.lock(leases.GC_LOCK):
        first = [*dict.fromkeys(map(_entry, named))]
        doomed = with_dependents(first, store)
        more = doomed[len(first) :]
        if more and not dependents:
            stages = ", ".join(f"{n} {stage}" for stage, n in Counter(stage for stage, _ in more).items())
            what = f"{counted(len(more), 'artifact')} ({stages}) {'was' if len(more) == 1 else 'were'} made from it"
            raise PtxError(what, "add --with-dependents to remove them too; with --dry-run it only names them")
        if busy := [entry for entry in doomed if entry in needed(store, gone)]:
            what = f"{busy[0][0]} {busy[0][1][:12]} may be needed by a command that is running"
            raise PtxError(what, "wait until that has ended, or stop it")
        folders = [store.folder(*entry) for entry in doomed]
        size = sum(map(size_of, folders))
        try:
            for folder in [] if dry_run else folders[::-1]:  # what was made from it first
                aside = hidden(folder)
                with contextlib.suppress(FileNotFoundError):  # another process was first
                    os.rename(folder, aside)  # at once, so that no reader finds half an entry
                    shutil.rmtree(aside)
        except OSError as error:
            raise unwritable(store.root, error) from None
    return folders, size


def _entry(artifact: Artifact) -> Entry:
    return artifact.meta["stage"], artifact.key


def with_dependents(first: Sequence[Entry], store: Store) -> list[Entry]:
    """These entries, and behind them all that was made from them, directly or not. Unverified: a damaged entry is no
    reason to keep what it came from."""
    children: dict[Entry, list[Entry]] = {}
    for folder in store.folders():
        meta = unverified(folder) or {}
        with contextlib.suppress(TypeError, KeyError, AttributeError):
            for parent in meta.get("parents", ()):
                children.setdefault((parent["stage"], parent["key"]), []).append((folder.parent.name, folder.name))
    found = dict.fromkeys(first)
    waiting = [*found]
    for entry in waiting:  # grows while it is read
        fresh = [child for child in children.get(entry, ()) if child not in found]
        found |= dict.fromkeys(fresh)
        waiting += fresh
    return [*found]
