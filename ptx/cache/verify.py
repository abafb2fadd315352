"""Is an entry of the cache just what was published?"""

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

from ptx.cache.keys import file_digest
from ptx.notebooks.rooms import answers


class Damaged(Exception):
    """An entry that is not what was published; the text says how."""


def verified(folder: Path, stage: str = "", key: str = "") -> dict[str, Any]:
    """meta.json of the intact entry in `folder`: it and every payload file have their digests, and nothing else is
    there. `stage` and `key` are the folder's names, unless given.

    Raises FileNotFoundError if there is no entry, Damaged if it is not intact, and OSError if it cannot be read, which
    says nothing about it (no permission, too many open files). A cached grid reads thousands of entries, hence plain
    strings for paths.
    """
    where = os.fspath(folder)
    try:
        if not stat.S_ISDIR(os.lstat(where).st_mode):
            raise Damaged("it is no folder")
    except NotADirectoryError as error:  # nor is a folder above it
        raise FileNotFoundError(*error.args) from None
    try:
        return _intact(where, stage or folder.parent.name, key or folder.name)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        os.lstat(where)  # raises if it was moved away while it was read
        raise Damaged("files are missing") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Damaged("meta.json is not as it was written") from None


def damage(folder: Path) -> str | None:
    """What is wrong with an entry, or None (also if it has gone). Raises OSError."""
    try:
        verified(folder)
    except Damaged as problem:
        return str(problem)
    except FileNotFoundError:
        pass
    return None


def _intact(where: str, stage: str, key: str) -> dict[str, Any]:
    with os.scandir(where) as found:
        names = set()
        for entry in found:
            if not entry.is_file(follow_symlinks=False):  # opening a pipe would block, a link may lead anywhere
                raise Damaged(f"{entry.name} is no plain file")
            names.add(entry.name)
    with open(f"{where}/meta.json", "rb") as file:
        content = file.read()
    meta = json.loads(content)
    if meta["key"] != key or meta["stage"] != stage:
        raise Damaged("meta.json belongs to another entry")
    if names - {"meta.json"} != meta["payload"].keys():
        raise Damaged("files are missing or were added")
    if hashlib.sha256(_signed(content, meta["sha256"])).hexdigest() != meta["sha256"]:
        raise Damaged("meta.json does not match its digest")
    for name, expected in meta["payload"].items():
        if file_digest(f"{where}/{name}") != expected:
            raise Damaged(f"{name} does not match its digest")
    return meta


def _signed(content: bytes, sha256: str) -> bytes:
    """The bytes of meta.json that its digest is of (see Store.publish): without the digest itself, and the last line's
    end."""
    return content.replace(f',"sha256":"{sha256}"'.encode(), b"", 1).removesuffix(b"\n")


answers(__name__, "ptx.cache.functions")  # `ptx.cache.verify()` is a command, too
