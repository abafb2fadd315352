"""The files and folders that a suite is read from, so that it is read again when any of them changes."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from ptx.files import State, settled, state

# A path, or the names in a folder that match a pattern; and what was there.
Seen = dict[tuple[Path, str], Any]
SEEN: ContextVar[Seen | None] = ContextVar("seen", default=None)


@contextlib.contextmanager
def watching() -> Iterator[Seen]:
    """What is looked at in the block, filled as it goes on."""
    seen: Seen = {}
    token = SEEN.set(seen)
    try:
        yield seen
    finally:
        SEEN.reset(token)


def looked_at(path: Path, pattern: str = "") -> None:
    """Readers say what they are about to look at: a path, there or not, or the names in a folder."""
    if (seen := SEEN.get()) is not None:
        seen.setdefault((path, pattern), _there(path, pattern))


def differs(seen: Seen) -> Path | None:
    """The first path where something else is now."""
    return next((path for (path, pattern), then in seen.items() if _there(path, pattern) != then), None)


def certain(seen: Seen) -> bool:
    """Whether any change would be seen."""
    return settled(*(then for then in seen.values() if isinstance(then, State)))


def _there(path: Path, pattern: str) -> Any:
    if not pattern:
        return state(path)
    try:
        return sorted(found.name for found in path.glob(pattern))
    except OSError:
        return []
