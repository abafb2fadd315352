"""The nearest settings file, and what it says of models: names of its own for some, and whose words answers are among.

[tool.ptx.models]                   # in ptx.toml: [models]
mine = "checkpoints/mine"           # a folder, relative to the file, or any name of a model

words_of = ["mine", "bert-base"]    # or, in a file without such a table: models = ["checkpoints/mine", "bert-base"]
"""

import functools
import os
import re
from pathlib import Path
from typing import Any

from ptx.config.lists import names_in, text_of
from ptx.config.validation import read_toml, validated
from ptx.errors import UsageError
from ptx.files import State, here, state

ALIAS = re.compile(r"\w[\w.+-]*")


def settings_file(start: Path) -> tuple[Path, dict[str, Any]] | None:
    """The nearest ptx.toml, or pyproject.toml with [tool.ptx], from `start` upwards. Raises PtxError for bad TOML."""
    for path in _places(start):
        if os.path.isfile(path):
            found = _settings(path, state(path))
            if found is not None:
                return path, found
    return None


@functools.lru_cache(maxsize=16)
def _places(start: Path) -> tuple[Path, ...]:
    """Where the file may be: a grid looks there hundreds of times."""
    names = ("ptx.toml", "pyproject.toml")
    return tuple(folder / name for folder in (start, *start.parents) for name in names)


@functools.lru_cache(maxsize=16)
def _settings(path: Path, seen: State | None) -> dict[str, Any] | None:
    """What a file says for ptx; `seen` tells any change of it."""
    content = read_toml(path, "correct the file, or run elsewhere")
    found: dict[str, Any] | None = content if path.name == "ptx.toml" else content.get("tool", {}).get("ptx")
    return found


def aliases() -> dict[str, str]:
    """What the nearest settings file calls models, and where these are: a path, or a name of ptx or of the hub.

    Raises PtxError for what is no text, and UsageError for a name that would not be one part of a list.
    """
    path, table = _said("models")
    if not isinstance(table, dict):
        return {}
    for name, where in validated(dict[str, str], table, str(path), "models", noun="name").items():
        if not ALIAS.fullmatch(name) or not where:
            what = f"{path}: models.{name}: " + (f"{name!r} can be no name" if where else "names no model")
            raise UsageError(what, 'write it like mine = "checkpoints/mine", of letters, digits, and any of . _ + -')
    return {name: _place(path.parent, where) for name, where in table.items()}


def _place(folder: Path, where: str) -> str:
    """A path as a whole one; it is one if it is written so, or if something is there."""
    path = os.path.join(folder, os.path.expanduser(where))
    return os.path.abspath(path) if where.startswith((".", "~", os.sep)) or os.path.exists(path) else where


def word_models() -> tuple[Path, list[str]]:
    """The models whose shared words answers are to be among, by the nearest settings file, and that file; none if it
    does not say. Raises UsageError for what names no models."""
    path, named = _said("words_of")
    if named is not None and not isinstance(named, str | list):
        raise UsageError(f"{path}: words_of: {named!r} will not do", 'write it like words_of = ["mine", "bert-base"]')
    if named is None:
        path, named = _said("models")
    if not isinstance(named, str | list) or named in ("zoo", "paper"):  # what `--models` of table and run are
        return path, []
    own = aliases()
    return path, [name if name in own else _place(path.parent, name) for name in names_in(text_of(named))]


def _said(name: str) -> tuple[Path, Any]:
    found = settings_file(here())
    if found is None:
        return Path(), None
    path, settings = found
    return path, settings.get(name, settings.get(name.replace("_", "-")))
