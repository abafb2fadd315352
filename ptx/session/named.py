"""Models as a command names them: each once, told apart, and as many as a method takes."""

from collections.abc import Sequence

from ptx.errors import UsageError
from ptx.lms.names import shown
from ptx.lms.places import located, place
from ptx.stages.methods import method_named


def each_once(names: Sequence[str], flag: str) -> list[str]:
    """Models, once each, however a folder is spelled. Raises UsageError if there is none."""
    if not names:
        raise UsageError(f"{flag} names no model", f"write it like {flag} bert-micro,roberta-micro")
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(place(name), name)
    return list(first.values())


def not_among(models: Sequence[str], others: Sequence[str]) -> list[str]:
    places = {*map(place, others)}
    return [name for name in models if place(name) not in places]


def shortly(names: Sequence[str]) -> list[str]:
    return [*shown(map(located, names)).values()]


def sources_for(method: str, names: Sequence[str]) -> list[str]:
    """The sources a method asks for: none, exactly one, or any number. Raises UsageError."""
    takes = method_named(method).sources
    if takes == 0:
        if names:
            raise UsageError(f"--method {method} takes no --sources", "leave them out, or use --method relative")
        return []
    chosen = each_once(names, "--sources")
    if takes == 1 and len(chosen) > 1:
        raise UsageError(f"--method {method} takes one source", "name one, or use --method relative")
    return chosen
