"""What in a cache is ptx's own, by its name: nothing else is ever removed.

The folder may be a project's with a `runs/` of its own, and may have come from somebody else, with links that lead
out of it: these are not followed.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ptx.cache.store import MODELS, STAGES

KEY = r"[0-9a-z]{32,64}"
LEASE = r"[0-9a-f]{8}\.\d+-.+"  # of a process: see leases.py
PARTIAL = r"\.[0-9a-f]{8}\.partial"  # a file that was being written
KEPT = rf"({'|'.join(STAGES)})-[0-9a-f]{{16}}"  # work that is not finished

ENTRIES = {f"v1/{stage}": KEY for stage in (*STAGES, MODELS)}
DAMAGED = {"damaged": rf"({'|'.join((*STAGES, MODELS))})-{KEY}-[0-9a-f]{{8}}"}
LOCKS = {"locks": rf"(gc|({'|'.join((*STAGES, MODELS))})-[0-9a-f]{{16}})\.lock"}
UNFINISHED = {"unfinished": KEPT}
GIVEN = {"given": r"[0-9a-f]{16}"}
# Of processes: unfinished entries, leases, what they say of themselves and to their workers.
OWNED = {
    **dict.fromkeys(ENTRIES, rf"\.{KEY}\.{LEASE}"),
    "unfinished": rf"\.{KEPT}\.{LEASE}",
    "given": rf"\.model\.{LEASE}",
    **dict.fromkeys(("runs", "status", "tasks"), rf"\.?{LEASE}|{PARTIAL}"),
}


def ours(root: Path, names: dict[str, str]) -> Iterator[Path]:
    """The files and folders in a cache that have one of these names, by the folder below `root` that they are in."""
    for folder, pattern in names.items():
        above = [root.joinpath(*folder.split("/")[:depth]) for depth in range(1, folder.count("/") + 2)]
        if any(path.is_symlink() or not path.is_dir() for path in above):
            continue
        yield from (above[-1] / name for name in sorted(os.listdir(above[-1])) if re.fullmatch(pattern, name))
