"""How models are written for people: short, and told apart. Their full names are in meta.json."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ptx.config.nearby import aliases

NAMED = ("model", "target", "sources", "models")  # of labels: those that name models


def shown(names: Iterable[str]) -> dict[str, str]:
    """How each of several names is written: an alias of the nearest settings file, or of a path the last part, with as
    many parts before it as tell it from the others; any other name as it is."""
    return _told_apart(names, {place: alias for alias, place in aliases().items()})


def public(names: Iterable[str]) -> dict[str, str]:
    """The same for others, to whom an alias says nothing."""
    return _told_apart(names, {})


def _told_apart(names: Iterable[str], own: Mapping[str, str]) -> dict[str, str]:
    parts = {name: () if name in own else _parts(name) for name in dict.fromkeys(names)}
    length = dict.fromkeys(parts, 1)
    while True:
        found = {name: "/".join(of[-length[name] :]) if of else own.get(name, name) for name, of in parts.items()}
        every = [*found.values()]
        longer = [name for name in parts if every.count(found[name]) > 1 and length[name] < len(parts[name])]
        if not longer:
            return found
        length.update({name: length[name] + 1 for name in longer})


def _parts(name: str) -> Sequence[str]:
    """Of a path its parts, the file in FOLDER:FILE.gguf being one; none of another name."""
    if not (os.path.isabs(name) or name.startswith(".")):
        return ()
    folder, _, file = name.rpartition(":") if name.endswith(".gguf") else (name, "", "")
    return (*Path(folder).parts, file) if folder and file else Path(name).parts


def short(name: str) -> str:
    """The same of one name alone."""
    return shown([name])[name]


def named_in(labels: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """How to write all models that labels name."""
    every = [value for of in labels for name in NAMED if (value := of.get(name))]
    return shown(name for value in every for name in ([value] if isinstance(value, str) else value))


def written(labels: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Labels with their models as they are to be written."""
    return {name: _written(value, names) if name in NAMED else value for name, value in labels.items()}


def _written(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return names.get(value, value)
    return [names.get(name, name) for name in value]


def typed(name: str) -> str:
    """A model as a command typed here may name it: its alias, or a path from here if it lies below."""
    own = {place: alias for alias, place in aliases().items()}
    if name in own or not os.path.isabs(name):
        return own.get(name, name)
    below = os.path.relpath(name)
    return name if below.startswith("..") else f"./{below}"
