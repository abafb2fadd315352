"""`ptx cache` from Python: `ptx.cache.ls()`. They stand here since `ptx.cache` is this room."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptx.notebooks.calls import WARNED, named
from ptx.notebooks.frames import frame

if TYPE_CHECKING:
    import pandas as pd

    from ptx.cache.store import Store

File = str | Path


@named("cache ls")
def ls(*, stage: str = "", cache_dir: File = "cache") -> "pd.DataFrame":
    """The artifacts in the cache, of one stage perhaps."""
    from ptx.cache.housekeeping import listing

    return frame(listing(_store(cache_dir), stage), ("stage", "model", "sources", "method", "task"))


@named("cache show")
def show(key: str, *, cache_dir: File = "cache") -> dict[str, Any]:
    """What an artifact's meta.json says: settings, parents, figures, origin; and its path."""
    artifact = _store(cache_dir).find(str(key))
    return {"path": str(artifact.path), **artifact.meta}


@named("cache verify")
def verify(*, cache_dir: File = "cache") -> "pd.DataFrame":
    """The artifacts that are not what was published, with what is wrong; no row if all are intact."""
    import pandas as pd

    from ptx.cache.housekeeping import check

    return pd.DataFrame(check(_store(cache_dir))[1], columns=["path", "problem"])


@named("cache gc")
def gc(
    *, older_than: int | None = None, max_size: str = "", stage: str = "", cache_dir: File = "cache",
    dry_run: bool = False,
) -> "pd.DataFrame":  # fmt: skip
    """Remove damaged entries, leftovers of interrupted runs and artifacts of older versions, and what is asked for
    besides: the paths that were removed, or would be. What is kept for a reason is in `attrs`."""
    import pandas as pd

    from ptx.cache.gc import Wanted, collect_garbage, parse_size
    from ptx.stages import versions

    wanted = Wanted(older_than, parse_size(max_size), stage)
    found = collect_garbage(_store(cache_dir), versions(), wanted, dry_run=dry_run)
    made = pd.DataFrame({"path": [str(path) for path in found.paths]})
    kept = {"in_use": len(found.in_use), "prompts": len(found.prompts), "newer": found.newer}
    made.attrs = {"bytes": found.bytes, "kept": kept}
    return made


def _store(cache_dir: File) -> "Store":
    from ptx.cache.remote import store_at

    return store_at(cache_dir, WARNED.get().append)
