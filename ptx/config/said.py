"""How a door was asked, as meta.json keeps it beside what was made. It is part of no key, and holds nothing secret."""

import re
import shlex
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

from ptx.config.lists import text_of
from ptx.media import quoted

LONGEST = 2000  # letters
PLAIN = (str, PathLike, int, float)
# Who logs in with what in an address, what stands behind its question mark (signatures), and the hub's tokens.
SECRET = re.compile(r"(?<=://)[^/\s@]+(?=@)|(?<=\?)[^\s?'\"]+=[^\s'\"]+|\b(?:hf|api)_\w{6,}")


def line(args: Sequence[str]) -> str:
    """A command line, as a shell takes it."""
    return _kept(shlex.join(["ptx", *args]))


def call(name: str, args: Sequence[Any], options: Mapping[str, Any]) -> str:
    """A call of a function of the package, as Python takes it."""
    given = [*map(_spelled, args), *(f"{option}={_spelled(value)}" for option, value in options.items())]
    return _kept(f"ptx.{name}({', '.join(given)})")


def _spelled(value: Any) -> str:
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, PLAIN) or (isinstance(value, list | tuple) and all(isinstance(of, PLAIN) for of in value)):
        return quoted(text_of(value))
    return "..."  # it can be read once only, or is in memory


def _kept(text: str) -> str:
    text = SECRET.sub("***", text)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
