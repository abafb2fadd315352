"""Suites of tasks: `facts` and `topics`, which ship with the package, and the user's own data.

A suite of facts is a folder in LAMA's layout or a file (facts.py). A suite of texts to classify is a TOML file, or a
folder with a `suite.toml` (description.py); SST-2 and DBpedia are described already, as the presets `sst2` and
`dbpedia`: `sst2:FOLDER`, or `sst2` where the working directory holds SST-2/.
"""

from __future__ import annotations

import functools
from pathlib import Path

from ptx.errors import PtxError
from ptx.suites.classification import PRESETS, distributed_folder, read_classification
from ptx.suites.facts import read_file, read_folder
from ptx.suites.task import SPLITS, Fact, Suite, Task

__all__ = ["EMBEDDED", "PRESETS", "SPLITS", "Fact", "Suite", "Task", "load_suite"]

ZOO = Path(__file__).parents[1] / "zoo"
EMBEDDED = {"facts": ZOO / "facts", "topics": ZOO / "topics"}


def load_suite(name: str) -> Suite:
    """A suite by embedded name, preset or path. Raises PtxError for an unknown one or records that cannot be read."""
    preset, colon, folder = name.partition(":")
    if preset in PRESETS and (colon or not Path(name).exists()):
        path = Path(folder) if folder else distributed_folder(preset)
        if not path.is_dir():
            raise PtxError(f"the suite {name!r} needs a folder, and {path} is none", f"use {preset}:FOLDER")
        return _read(name, PRESETS[preset], path.absolute())
    path = EMBEDDED.get(name, Path(name)).absolute()
    description = path / "suite.toml" if path.is_dir() else path
    if description.suffix == ".toml" and description.is_file():
        return _read(name, description, description.parent)
    if path.exists():
        return _read(name, None, path)
    known = ", ".join([*EMBEDDED, *PRESETS])
    raise PtxError(f"unknown suite {name!r}", f"use {known}, or the path of a folder or file of facts or texts")


@functools.lru_cache(maxsize=8)  # by the absolute path: a name may mean another folder in another working directory
def _read(name: str, description: Path | None, path: Path) -> Suite:
    if description is not None:
        return Suite(name, (read_classification(description, path),))
    return Suite(name, tuple(read_folder(path) if path.is_dir() else read_file(path)))
