"""What a command is given where the command line says nothing: `PTX_*` variables, and the nearest settings file.

A setting comes from a flag, else from `PTX_<NAME>`, else from `[tool.ptx]` in the nearest pyproject.toml or from the
nearest ptx.toml, else from the config dataclass. A file's settings hold for every command that has them, those in a
table `[tune]` for that command alone.
"""

import inspect
import tomllib
import typing
from collections.abc import Callable, Mapping
from dataclasses import field, make_dataclass
from pathlib import Path
from typing import Any

import typer

from ptx.errors import PtxError

Commands = Mapping[str, Callable[..., None]]


def variable(name: str) -> str:
    """The environment's name of an option of a config."""
    return f"PTX_{name.upper()}"


def settings_file(start: Path) -> tuple[Path, dict[str, Any]] | None:
    """The nearest ptx.toml or pyproject.toml with [tool.ptx] in `start` or above it, and its settings.

    Raises PtxError if it is not valid TOML.
    """
    for folder in [start, *start.parents]:
        for path in (folder / "ptx.toml", folder / "pyproject.toml"):
            if path.is_file():
                try:
                    content = tomllib.loads(path.read_text("utf-8"))
                except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
                    raise PtxError(f"{path}: {error}", "correct the file, or run elsewhere") from None
                found = content if path.name == "ptx.toml" else content.get("tool", {}).get("ptx")
                if found is not None:
                    return path, found
    return None


def configured(commands: Callable[[], Commands]) -> dict[str, dict[str, Any]]:
    """What the nearest settings file says, for each command. Raises PtxError for an unknown setting or a wrong value.

    `commands` are asked for only if there is a file.
    """
    found = settings_file(Path.cwd())
    if found is None:
        return {}
    from ptx.config.validation import validated

    path, raw = found
    settings = {_name(name): value for name, value in raw.items()}
    options = {name: _options(command) for name, command in commands().items()}
    tables = {name: value for name, value in settings.items() if isinstance(value, dict) and name in options}
    shared = {name: value for name, value in settings.items() if name not in tables}
    every: dict[str, Any] = {}
    for own in options.values():
        every |= {option: every[option] | kind if option in every else kind for option, kind in own.items()}
    validated(_kind(every), shared, str(path), noun="setting")
    for name, table in tables.items():
        tables[name] = {_name(option): value for option, value in table.items()}
        validated(_kind(options[name]), tables[name], str(path), name, noun="setting")
    return {name: shared | tables.get(name, {}) for name in options}


def _name(key: str) -> str:
    return key.replace("-", "_")


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
