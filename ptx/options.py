"""Command-line options from config dataclasses, and their defaults from the environment and from files.

A setting comes from a flag, else from `PTX_<NAME>`, else from `[tool.ptx]` in the nearest pyproject.toml or from the
nearest ptx.toml, else from the dataclass.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import os
import sys
import tomllib
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from ptx import interrupts
from ptx.errors import PtxError, UsageError
from ptx.output import Output, discard_stdout


def expand(command: Callable[..., None]) -> Callable[..., None]:
    """Show each parameter that is a config dataclass as one option per field."""
    hints = typing.get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, tuple[type, list[str]]] = {}
    for parameter in inspect.signature(command).parameters.values():
        config = hints[parameter.name]
        if not dataclasses.is_dataclass(config):
            parameters.append(parameter.replace(annotation=config))
            continue
        assert isinstance(config, type)
        types = typing.get_type_hints(config)
        fields = dataclasses.fields(config)
        groups[parameter.name] = (config, [field.name for field in fields])
        parameters += [_parameter(field, types[field.name], parameter.name) for field in fields]

    @functools.wraps(command)
    def run(**values: Any) -> None:
        for name, (config, fields) in groups.items():
            values[name] = config(**{field: values.pop(field) for field in fields})
        command(**values)

    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    )
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _parameter(field: dataclasses.Field[Any], kind: Any, panel: str) -> inspect.Parameter:
    flags = field.metadata.get("flags", [])
    info = typer.Option(
        *flags, help=field.metadata["help"], envvar=f"PTX_{field.name.upper()}", show_envvar=False,
        rich_help_panel=f"{panel.capitalize()} options",
    )  # fmt: skip
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=Annotated[kind, info]
    )


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


class Group(typer.core.TyperGroup):
    """The command group: reads settings files, and turns every expected failure into `error:` and `hint:`."""

    def main(self, *args: Any, standalone_mode: bool = True, **kwargs: Any) -> Any:
        out = Output()
        try:
            kwargs.setdefault("default_map", self.defaults())
            code = super().main(*args, standalone_mode=False, **kwargs)  # type: ignore[misc]
            out.flush()
        except PtxError as error:
            if "PTX_DEBUG" in os.environ:
                raise
            out.error(error)
            code = error.exit_code
        except typer.TyperException as error:  # unknown options, missing values and the like
            out.error(usage_error(error))
            code = 2
        except typer.Abort:
            code = interrupts.say()
        except BrokenPipeError:  # whoever read our stdout has seen enough (`| head`)
            discard_stdout()
            code = 1
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code

    def defaults(self) -> dict[str, Any]:
        """What the nearest settings file says, as each command's defaults. Raises PtxError for an unknown setting."""
        found = settings_file(Path.cwd())
        if found is None:
            return {}
        path, settings = found
        settings = {name.replace("-", "_"): value for name, value in settings.items()}
        shared = {name: value for name, value in settings.items() if not isinstance(value, dict)}
        known = {parameter.name for command in self.commands.values() for parameter in command.params}
        if unknown := sorted((shared.keys() - known) | (settings.keys() - shared.keys() - self.commands.keys())):
            raise PtxError(f"{path}: unknown setting {unknown[0]!r}", "name settings as the options are: `ptx --help`")
        defaults: dict[str, Any] = {name: dict(shared) for name in self.commands}
        for name in settings.keys() - shared.keys():
            defaults[name] |= {key.replace("-", "_"): value for key, value in settings[name].items()}
        return defaults


def usage_error(error: Exception) -> UsageError:
    """What the parser of the command line found wrong."""
    return UsageError(_sentence(error), f"run `{_command_path(error)} --help`")


def _sentence(error: Exception) -> str:
    text = error.format_message() if hasattr(error, "format_message") else str(error)
    return text.strip().rstrip(".")


def _command_path(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    return context.command_path if context is not None else "ptx"
