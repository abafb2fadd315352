"""A setting as a field of a config: its help and its range for doors, and whether it is in keys."""

import math
from dataclasses import field, fields
from typing import Any

from ptx.errors import UsageError

BEFORE = "before"
UNSAID: Any = object()  # None is a value like others


def option(
    default: Any, help: str, *, at_least: int | None = None, before: Any = UNSAID, flag: str | None = None
) -> Any:
    """A dataclass field that the command line shows as an option with this help text, by its own name or as `flag`.

    `before`: it came when there were caches already, whose keys do not have it: what was done then, which keys leave
    out to this day.
    """
    more: dict[str, Any] = {} if at_least is None else {"at_least": at_least}
    more |= {} if before is UNSAID else {BEFORE: before}
    more |= {} if flag is None else {"flags": [flag]}
    return field(default=default, metadata={"description": help, **more})


def switch(*flags: str, help: str) -> Any:
    """A field that is false unless one of the flags is given."""
    return field(default=False, metadata={"description": help, "flags": [*flags]})


def keyed(config: Any) -> dict[str, Any]:
    """The settings of a stage as they are in keys."""
    quiet = left_out(type(config))
    return {name: value for name, value in vars(config).items() if name not in quiet or quiet[name] != value}


def left_out(config: type) -> dict[str, Any]:
    """The settings of a stage that keys have only where they are others than these."""
    return {own.name: own.metadata[BEFORE] for own in fields(config) if BEFORE in own.metadata}


def check_ranges(config: Any) -> None:
    """Raise UsageError for a value that is less than its field allows."""
    for own in fields(config):
        value, minimum = getattr(config, own.name), own.metadata.get("at_least")
        if None not in (value, minimum) and not value >= minimum:  # which no nan is
            flag = "--" + own.name.replace("_", "-")
            raise UsageError(f"{flag} {value} is less than {minimum}", f"choose {flag} {minimum} or more")


def check_number(flag: str, text: str, word: str) -> None:
    """Raise UsageError unless `text` is a finite number that is not negative, or `word`."""
    try:
        good = text == word or 0 <= float(text) < math.inf
    except ValueError:
        good = False
    if not good:
        raise UsageError(f"{flag} {text!r} is neither a number nor {word!r}", f"write it like {flag} 0.1")
