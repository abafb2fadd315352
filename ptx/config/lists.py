"""Comma-separated settings."""

import os
from collections.abc import Iterable
from typing import Any

from ptx.errors import UsageError


def listed(text: str) -> list[str]:
    """The parts of a comma-separated setting."""
    return [part.strip() for part in text.split(",") if part.strip()]


def text_of(value: Any) -> str:
    """A value as the command line spells it: several with commas between them."""
    return ",".join(map(str, value)) if isinstance(value, Iterable) and not isinstance(value, str) else str(value)


def seeds_of(text: str) -> tuple[int, ...]:
    """The whole numbers of `--seeds`, each once. Raises UsageError."""
    try:
        return tuple(dict.fromkeys(int(part) for part in listed(text)))
    except ValueError:
        raise UsageError(f"--seeds {text!r} is no list of whole numbers", "write it like --seeds 0,1,2") from None


def names_in(text: str) -> list[str]:
    """The parts of a comma-separated list of names and paths. A path that exists is one part, its commas included; so
    is FOLDER:FILE."""
    parts, found = text.split(","), []
    while parts:
        heads = ((n, ",".join(parts[:n]).strip()) for n in range(len(parts), 1, -1))
        n, part = next(((n, head) for n, head in heads if _exists(head)), (1, parts[0].strip()))
        found.append(part)
        parts = parts[n:]
    return [part for part in found if part]


def _exists(path: str) -> bool:
    return os.path.exists(path) or os.path.exists(os.path.join(*path.rsplit(":", 1)))
