"""Keys: one spelling for every value, and SHA-256 of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ptx.errors import PtxError

ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical(value: Any) -> bytes:
    """JSON with one spelling per value. Raises PtxError for what has none: it could not be keyed exactly."""
    try:
        return ENCODER.encode(value).encode("utf-8")
    except (TypeError, ValueError) as error:
        raise PtxError(
            f"a setting cannot be keyed exactly: {error}", "use plain text, whole and finite numbers, lists and tables"
        ) from None


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical(value)).hexdigest()


def file_digest(path: Path | str) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
