"""What notebooks had in memory, models and facts: `ROOT/given/<digest>`, a folder for each (see notebooks/memory.py).

Artifacts name it by its path in their meta.json, as they do the user's own files; its time says when it was given last.
"""

import contextlib
import time
from collections.abc import Container
from pathlib import Path

from ptx.cache.ours import GIVEN, ours
from ptx.cache.store import Store

FOLDER = "given"
UNDER_WAY = 3600.0  # seconds, in which a call that was given something has announced what it builds


def unneeded(store: Store, days: float, but: Container[Path] = ()) -> list[Path]:
    """What nobody gave for so many days, and no artifact names, other than those that are to go themselves. Nothing
    where that cannot be known: an artifact cannot be read, or is in an object store and need not be here."""
    moment = time.time() - max(days * 24 * 3600, UNDER_WAY)
    found = [path for path in ours(store.root, GIVEN) if _given(path) <= moment]
    if not found or store.where != store.root:
        return []
    said = [_meta(folder) for folder in store.folders() if folder not in but]
    return [path for path in found if not any(meta is None or path.name.encode() in meta for meta in said)]


def _given(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return float("inf")  # another gc was first


def _meta(folder: Path) -> bytes | None:
    try:
        return (folder / "meta.json").read_bytes()
    except FileNotFoundError:  # gone, or damaged
        return b""
    except OSError:
        return None
