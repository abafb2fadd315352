"""Tables of files (TOML, YAML) made into dataclasses by pydantic, and what is wrong with them in the words of ptx.

Nothing is converted, but that a number does where a text is wanted (`top_k = 512`), and a whole number where any is.
Unknown keys are refused, unless a class says otherwise by `__pydantic_config__ = {"extra": "ignore"}`. pydantic is
imported when there is something to check, since most commands are done without it.
"""

import contextlib
import difflib
import functools
import typing
from collections.abc import Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from types import GenericAlias
from typing import Any

from ptx.errors import PtxError, shown

T = typing.TypeVar("T")
# What should have been given, by pydantic's types of errors; other errors are told in pydantic's words.
WANTED = {
    "int_type": "a whole number", "float_type": "a number", "string_type": "a text", "bool_type": "true or false",
    "greater_than": "a number above {gt:g}", "greater_than_equal": "a number of {ge:g} or more",
    "less_than": "a number below {lt:g}", "literal_error": "{expected}", "too_short": "one or more",
    **dict.fromkeys(("list_type", "tuple_type", "is_instance_of", "sequence_str"), "a list"),
    **dict.fromkeys(("dict_type", "mapping_type", "dataclass_type"), "a table"),
}  # fmt: skip


def read_toml(path: Path, hint: str, text: str | None = None) -> dict[str, Any]:
    """The tables of a TOML file, whose `text` is given where it was read otherwise. Raises PtxError if it is none."""
    import tomllib  # most runs have no settings file

    try:
        return tomllib.loads(path.read_text("utf-8") if text is None else text)
    except ValueError as error:  # tomllib's, that of other text than UTF-8, or of a number of thousands of digits
        what = shown(str(error))
    except RecursionError:
        what = "nested too deeply"
    raise PtxError(f"{path}: {what}", hint)


def validated(kind: type[T] | GenericAlias, values: Any, where: str, under: str = "", *, noun: str = "key") -> T:
    """The values as a `kind`. Raises PtxError naming the file, `where`, and the key, whose first part is `under`."""
    from pydantic import ValidationError

    try:
        return _validator(typing.cast(Any, kind)).validate_python(values)
    except PtxError as error:  # of a __post_init__
        raise PtxError(": ".join(filter(None, (where, under, error.message))), error.hint) from None
    except ValidationError as error:
        errors = [(_path(e["loc"], values), e) for e in error.errors(include_url=False)]
    except ValueError as error:  # a number of thousands of digits where a text is wanted
        raise PtxError(f"{where}: {error}", "give a smaller number") from None
    # A misspelt key first, as it may be the one that is missing; of a union, the member that all but a part fits.
    order = {"unexpected_keyword_argument": -2, "missing": -1}
    path, first = min(errors, key=lambda item: (order.get(item[1]["type"], 0), -len(item[0])))
    at = _dotted(under, *path)
    match first["type"]:
        case "missing":
            needs = [field.name for field in _fields(kind, path) if field.default is MISSING is field.default_factory]
            hint = f"{at or 'it'} needs {', '.join(needs)}"
            at, message = "", f"no {_dotted(under, *path, str(first['loc'][-1]))}"
        case "unexpected_keyword_argument":
            at, message = _dotted(under, *path[:-1]), f"unknown {noun} {_shown(first['loc'][-1])}"
            hint = nearest(path[-1], [field.name for field in _fields(kind, path[:-1])])
        case _:
            same = [error for other, error in errors if other == path]
            wanted = dict.fromkeys(WANTED[e["type"]].format_map(e.get("ctx", {})) for e in same if e["type"] in WANTED)
            hint = f"give {' or '.join(wanted)}" if wanted else first["msg"]
            message = f"{_shown(first['input'])} will not do"
    raise PtxError(": ".join(filter(None, (where, at, message))), hint)


def nearest(word: str, known: Sequence[str]) -> str:
    """A hint for a word that is none of those known."""
    if not known:
        return f"leave {word!r} out: nothing can be set there"
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"choose among {', '.join(known)}"


@functools.cache
def _validator(kind: Any) -> Any:
    from pydantic import TypeAdapter
    from pydantic_core import SchemaValidator

    return SchemaValidator(_ruled(TypeAdapter(kind).core_schema))


def _ruled(schema: Any) -> Any:
    """pydantic's schema with our rules added; its own strict mode refuses tables where dataclasses are wanted."""
    if isinstance(schema, list | tuple):
        return type(schema)(map(_ruled, schema))
    if not isinstance(schema, dict):
        return schema
    ruled = {key: _ruled(value) for key, value in schema.items()}
    match schema.get("type"):
        case "int" | "float" | "bool":
            ruled["strict"] = True
        case "str":
            ruled["coerce_numbers_to_str"] = True
        case "dataclass":
            ruled["config"] = {"extra_fields_behavior": "forbid"} | ruled.get("config", {})
    return ruled


def _path(loc: Sequence[Any], values: Any) -> list[str]:
    """The keys on the way to an error, and places in lists as people count them; not the members of unions, which
    pydantic names on the way too."""
    path = []
    for part in loc:
        with contextlib.suppress(LookupError, TypeError):
            values, place = values[part], f" {part + 1}" if isinstance(values, list) else str(part)
            path.append(place)
    return path


def _dotted(*path: str) -> str:
    """As TOML writes keys: `tune.epochs`, `sweep 1.encode.top_k`."""
    parts = (part if part.isprintable() else _shown(part) for part in path if part)
    return ".".join(parts).replace(". ", " ").lstrip()[:200]


def _shown(value: Any) -> str:
    """A value inside a message: on one line, and not too long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, tables in tables in tables
        text = f"<a very large {type(value).__name__}>"
    return shown(text)


def _fields(kind: Any, path: Sequence[str]) -> list[Field[Any]]:
    """The fields of the dataclass that a path leads to."""
    if not is_dataclass(kind):
        return [field for part in typing.get_args(kind) for field in _fields(part, path)]
    hints = typing.get_type_hints(kind)
    for place, key in enumerate(path):
        if key in hints:
            return _fields(hints[key], path[place + 1 :])
    return list(fields(kind))
