"""What a command is given where the command line says nothing: `PTX_*` variables, and the nearest settings file.

A setting comes from a flag, else from `PTX_<NAME>`, else from `[tool.ptx]` in the nearest pyproject.toml or from the
nearest ptx.toml, else from the config dataclass. A file's settings hold for every command that has them, those in a
table `[tune]` for that command alone; what it says of models is in nearby.py. A file may come with somebody else's
folder: it can say what is computed, with which models, in which folder the cache is and how things are shown, but never
what is written elsewhere, replaced or removed.
"""

import inspect
import os
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, fields, make_dataclass
from pathlib import Path
from typing import Any

import typer

from ptx.config import CONFIGS, CommonConfig, SuiteConfig
from ptx.config.lists import text_of
from ptx.config.nearby import aliases, settings_file, word_models
from ptx.config.validation import nearest, validated
from ptx.errors import UsageError, shown
from ptx.files import here

# Of commands' own options and arguments those that a file may set, besides the fields of configs.
OPEN = {"anchors", "by", "format", "jobs", "method", "model", "models", "seeds", "sources", "space", "target", "top"}
CLOSED = {"force"}  # of those fields

Commands = Mapping[str, Callable[..., None]]


def variable(name: str) -> str:
    """The environment's name of an option of a config."""
    return f"PTX_{name.upper()}"


def configured(commands: Callable[[], Commands]) -> dict[str, dict[str, Any]]:
    """What the nearest settings file says, for each command. Raises PtxError for an unknown setting or a wrong value.

    `commands` are asked for only if there is a file.
    """
    found = settings_file(here())
    if found is None:
        return {}
    path, raw = found
    settings = {name.replace("-", "_"): _text(value) for name, value in raw.items()}
    given = commands()
    options = {name: _options(command) for name, command in given.items()}
    aliases()  # which are checked even if none is used
    if shared_by := word_models()[1]:
        settings["models"] = text_of(shared_by)
    elif isinstance(raw.get("models"), dict):
        del settings["models"]
    settings.pop("words_of", None)  # see session.py: what a command line says of words comes first
    tables = {name: value for name, value in settings.items() if isinstance(value, dict) and name in options}
    shared = {name: value for name, value in settings.items() if name not in tables}
    for named in (shared, *tables.values()):
        _refuse_closed(path, named, options)
    every: dict[str, Any] = {}
    for own in options.values():
        every |= {option: every[option] | kind if option in every else kind for option, kind in own.items()}
    validated(_kind(every), shared, str(path), noun="setting")
    for name, table in tables.items():
        tables[name] = {option.replace("-", "_"): _text(value) for option, value in table.items()}
        validated(_kind(options[name]), tables[name], str(path), name, noun="setting")
    needed = {name: _needs_models(command) for name, command in given.items()}
    without = {name: value for name, value in shared.items() if name != "models"}
    return {name: (shared if needed[name] or not shared_by else without) | tables.get(name, {}) for name in options}


def _text(value: Any) -> Any:
    """A list as the command line spells it."""
    return text_of(value) if isinstance(value, list) else value


def _needs_models(command: Callable[..., None]) -> bool:
    """Whether it is about several models by nature: elsewhere `models` means something else."""
    models = inspect.signature(command).parameters.get("models")
    return models is not None and models.default is models.empty


def _refuse_closed(path: Path, named: Mapping[str, Any], options: Mapping[str, Iterable[str]]) -> None:
    """Raise UsageError for an option of some command that a file may not set, and for a cache that is not on this
    machine: results and command lines would go to whoever wrote the file, and theirs be taken for ours."""
    known = {option for own in options.values() for option in own}
    for name, value in named.items():
        option, flag = name.replace("-", "_"), name.replace("_", "-")
        if option == "cache_dir" and "://" in str(value):
            hint = f"give it by hand: --cache-dir {shown(str(value))}, or set {variable(option)}"
            raise UsageError(f"{path}: a cache at an address cannot be set in a file", hint)
        if option in known and option not in (OPEN | of_configs()) - CLOSED:
            raise UsageError(f"{path}: {flag!r} cannot be set in a file", f"leave it out, and give --{flag} by hand")


def check_text(values: Iterable[Any]) -> None:
    """Raise UsageError for one that holds bytes which are no text: neither files of results nor models know those."""
    for value in map(text_of, values):
        if any("\ud800" <= c <= "\udfff" for c in value):
            raise UsageError(f"{value!r} is not UTF-8", "rename what it names, and check the locale of this terminal")


def of_configs() -> set[str]:
    """The names of all fields of all configs."""
    return {field.name for kind in (CommonConfig, SuiteConfig, *CONFIGS.values()) for field in fields(kind)}


def _kind(options: Mapping[str, Any]) -> type:
    """What a table of a settings file may hold."""
    return make_dataclass("Settings", [(option, kind, field(default=None)) for option, kind in options.items()])


def _options(command: Callable[..., None]) -> dict[str, Any]:
    """The options and arguments of a command with their types."""
    return {
        parameter.name: typing.get_args(parameter.annotation)[0]
        for parameter in inspect.signature(command).parameters.values()
        if parameter.annotation is not typer.Context
    }


def looked_up(
    name: str, signature: inspect.Signature, args: Sequence[Any], options: Mapping[str, Any],
    commands: Callable[[], Commands],
) -> dict[str, Any]:  # fmt: skip
    """Keyword arguments as given, else from PTX_* variables, else from the nearest settings file, each checked.

    Raises UsageError for an option that there is not, that is missing, or of another type.
    """
    from pydantic import TypeAdapter, ValidationError

    for option in options:
        if option not in signature.parameters:
            raise UsageError(f"{name} has no option {option!r}", nearest(option, [*signature.parameters]))
    try:
        signature.bind_partial(*args, **options)
    except TypeError as error:
        raise UsageError(f"{name}: {error}", f"see help(ptx.{name.replace(' ', '.')})") from None
    given = {option: value for option, value in options.items() if value is not None}
    variables = {option: value for option in of_configs() if (value := os.environ.get(variable(option)))}
    settings = configured(commands).get(name, {}) | variables | given
    check_text([*args, *settings.values()])
    values = {}
    for option, parameter in signature.parameters.items():
        flag, hint = f"'--{option.replace('_', '-')}'", f"run `ptx {name} --help`"
        if option in settings and parameter.kind is parameter.KEYWORD_ONLY:
            value = settings[option]
            if isinstance(value, Iterable) and not isinstance(value, str):  # a list, a column of a frame
                value = text_of(value)
            try:
                values[option] = TypeAdapter(parameter.annotation).validate_python(value)
            except ValidationError as error:
                raise UsageError(f"Invalid value for {flag}: {value!r} ({error.errors()[-1]['msg']})", hint) from None
        elif option in given:  # an argument, by its name
            values[option] = given[option]
        elif parameter.default is parameter.empty and parameter.kind is parameter.KEYWORD_ONLY:
            raise UsageError(f"Missing option {flag}", hint)
    return values
