"""The files of a user's folder, links included. What is left out is said."""

import os
from collections import deque
from pathlib import Path

from ptx.errors import PtxError
from ptx.suites.lines import Bad, Remark
from ptx.suites.watched import looked_at

LEFT_OUT = "left out"


def files_in(folder: Path, bad: Bad) -> list[Path]:
    """All files in a folder, and in those that are linked in it, each folder once, in a stable order.

    Hidden ones are no data: archives made on a Mac have such a file beside each file, or all of them in __MACOSX.
    """
    files: list[Path] = []
    seen: set[str] = set()
    folders, links = deque([folder]), deque[Path]()
    while folders or links:  # a folder's own place goes before a link to it
        linked = not folders
        here = (folders or links).popleft()
        real = os.path.realpath(here)
        if real in seen or (linked and Path(os.path.realpath(here.parent)).is_relative_to(real)):
            bad(Remark(str(here), f"{LEFT_OUT}, since it leads to a folder above it or one that is read already"))
            continue
        seen.add(real)
        for path in _entries(here, bad):
            if path.name.startswith(".") or path.name == "__MACOSX":
                continue
            if path.is_dir():
                (links if path.is_symlink() else folders).append(path)
            elif path.is_file():
                files.append(path)
            else:
                what = "a broken link" if path.is_symlink() else "no regular file"
                bad(Remark(str(path), f"{LEFT_OUT}, since it is {what}"))
    return sorted(files)


def _entries(folder: Path, bad: Bad) -> list[Path]:
    looked_at(folder, "*")
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        bad(PtxError(f"cannot read {folder}: {error.strerror or error}", "check its permissions"))
        return []
