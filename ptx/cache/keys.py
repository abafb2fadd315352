"""Keys: one spelling for every value, and SHA-256 of it."""

import hashlib
import json
from pathlib import Path
from typing import Any

from ptx.errors import PtxError

ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
SMALL = 2**18  # bytes of a file that is read at once
NESTED = (dict, list, tuple)


def canonical(value: Any) -> bytes:
    """JSON with one spelling per value. Raises PtxError for what has none: it could not be keyed exactly."""
    try:
        _check_names(value)
        return ENCODER.encode(value).encode("utf-8")
    except (TypeError, ValueError) as error:
        hint = "use plain text, whole and finite numbers, lists and tables"
        raise PtxError(f"a setting cannot be keyed exactly: {error}", hint) from None


def _check_names(value: Any) -> None:
    """Raise TypeError for a name that is no text: JSON would write {1: x} and {"1": x} alike."""
    if isinstance(value, dict):
        for name, item in value.items():
            if not isinstance(name, str):
                raise TypeError(f"the name {name!r} is no text")
            if isinstance(item, NESTED):  # a cached grid has millions of others
                _check_names(item)
    elif isinstance(value, list | tuple):
        for item in value:
            if isinstance(item, NESTED):
                _check_names(item)


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical(value)).hexdigest()


def file_digest(path: Path | str) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        start = file.read(SMALL)
        if len(start) < SMALL:  # a cached grid has thousands of these, and the other way begins with a large buffer
            return hashlib.sha256(start).hexdigest()
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()
