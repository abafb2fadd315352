"""Command-line options from config dataclasses, and the group of commands that turns failures into messages."""

import dataclasses
import functools
import inspect
import os
import sys
import time
import typing
from collections.abc import Callable
from typing import Annotated, Any

import typer
import typer.core
import typer.main

from ptx.cli import interrupts
from ptx.cli.command import LINE
from ptx.cli.completion import completed
from ptx.cli.output import Output, discard_stdout
from ptx.config import CommonConfig
from ptx.config.settings import check_text, configured, of_configs, variable
from ptx.errors import PtxError, UsageError

SAID = ("json", "quiet", "verbose")
# The common options of commands that do not compute: an option that would do nothing is refused.
Printing = Annotated[CommonConfig, SAID]
Reading = Annotated[CommonConfig, ("cache_dir", *SAID)]
Removing = Annotated[CommonConfig, ("cache_dir", "dry_run", *SAID)]
VARIABLES = [*map(variable, sorted(of_configs()))]


def expand(command: Callable[..., None]) -> Callable[..., None]:
    """Show each parameter that is a config dataclass as one option per field: all of them, or those that it is
    annotated with."""
    hints = typing.get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, tuple[type, list[str]]] = {}
    for parameter in inspect.signature(command).parameters.values():
        config, only = hints[parameter.name], None
        if typing.get_origin(config) is Annotated and dataclasses.is_dataclass(typing.get_args(config)[0]):
            config, only = typing.get_args(config)
        if not dataclasses.is_dataclass(config):
            completed(parameter.name, config)
            parameters.append(parameter.replace(annotation=config))
            continue
        assert isinstance(config, type)
        types = typing.get_type_hints(config)
        fields = [field for field in dataclasses.fields(config) if only is None or field.name in only]
        groups[parameter.name] = (config, [field.name for field in fields])
        parameters += [_parameter(field, types[field.name], parameter.name) for field in fields]

    @functools.wraps(command)
    def run(**values: Any) -> None:
        for name, (config, fields) in groups.items():
            values[name] = config(**{field: values.pop(field) for field in fields})
        began = time.monotonic()
        command(**values)
        if (common := values["common"]).verbose:
            Output(quiet=common.quiet).message(f"{command.__name__}: {time.monotonic() - began:.1f} s")

    by_name = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    run.__signature__ = inspect.Signature(by_name)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def later(command: Callable[..., None]) -> Callable[..., None]:
    """A command without its options, for Typer: to be registered with `cls=Later`."""

    @functools.wraps(command)
    def unexpanded() -> None:
        raise AssertionError(f"{command.__name__} was run without its options")

    unexpanded.__signature__ = inspect.Signature()  # type: ignore[attr-defined]
    unexpanded.__annotations__ = {}
    return unexpanded


class Later(typer.core.TyperCommand):
    """A command of which lists have the name and the first line. Its options are made when it is asked for: those of
    all commands take longer than a look into the cache."""

    @property
    def expanded(self) -> Callable[..., None]:
        assert self.callback is not None
        return expand(inspect.unwrap(self.callback))

    @functools.cached_property
    def whole(self) -> typer.core.TyperCommand:
        alone = typer.Typer(add_completion=False)
        alone.command(self.name, epilog=self.epilog)(self.expanded)
        return typing.cast(typer.core.TyperCommand, typer.main.get_command(alone))

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        return self.whole.make_context(*args, **kwargs)


def _parameter(field: dataclasses.Field[Any], kind: Any, panel: str) -> inspect.Parameter:
    flags = field.metadata.get("flags", [])
    info = typer.Option(
        *flags, help=field.metadata["description"], envvar=variable(field.name), show_envvar=False,
        rich_help_panel=f"{panel.capitalize()} options",
    )  # fmt: skip
    by_name = inspect.Parameter.KEYWORD_ONLY
    option = inspect.Parameter(field.name, by_name, default=field.default, annotation=Annotated[kind, info])
    completed(field.name, option.annotation)
    return option


def help_alone(context: typer.Context) -> None:
    """Of a group of commands without one of them: print its help, and all is well (typer would exit with 2)."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit


class Group(typer.core.TyperGroup):
    """The command group: reads settings files, and turns every expected failure into `error:` and `hint:`."""

    def expanded(self) -> dict[str, Callable[..., None]]:
        """Each command with its options; groups have none."""
        return {name: of.expanded if isinstance(of, Later) else help_alone for name, of in self.commands.items()}

    def main(self, *args: Any, standalone_mode: bool = True, **kwargs: Any) -> Any:
        out = Output()
        try:
            LINE.set([*(args[0] if args else kwargs.get("args") or sys.argv[1:])])
            check_text([*LINE.get(), *map(os.getenv, VARIABLES)])
            kwargs.setdefault("default_map", configured(self.expanded))  # what the nearest settings file says
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


def usage_error(error: Exception) -> UsageError:
    """What the parser of the command line found wrong."""
    text = error.format_message() if hasattr(error, "format_message") else str(error)
    context = getattr(error, "ctx", None)
    return UsageError(text.strip().rstrip("."), f"run `{context.command_path if context else 'ptx'} --help`")
