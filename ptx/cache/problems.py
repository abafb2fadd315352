"""What to say of a cache that cannot be read or written."""

import itertools
import os
from pathlib import Path

from ptx.errors import PtxError


def unwritable(root: Path, error: OSError) -> PtxError:
    hint = "make room or mend its permissions, or choose another folder with --cache-dir or PTX_CACHE_DIR"
    return PtxError(f"cannot write to the cache {root}: {_reason(root, error)}", hint)


def unreadable(root: Path, error: OSError) -> PtxError:
    hint = "mend its permissions, or choose another folder with --cache-dir or PTX_CACHE_DIR"
    return PtxError(f"cannot read the cache {root}: {_reason(root, error)}", hint)


def _reason(root: Path, error: OSError) -> str:
    """What went wrong, and where in the cache, hidden folders aside."""
    where = Path(os.fsdecode(error.filename or ""))
    parts = where.relative_to(root).parts if where.is_relative_to(root) else ()
    visible = "/".join(itertools.takewhile(lambda part: not part.startswith("."), parts))
    return f"{error.strerror or error}{visible and f' ({visible})'}"
