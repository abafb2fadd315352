"""The commands as functions, for notebooks and scripts; results are pandas frames.

    found = search(sources=["bert-micro"], target="roberta-micro", tasks=["P27"])

A function takes the options of the command of its name as Python values: a list where the command takes commas, a
number, a Path, True or False. What is not given comes from PTX_* variables, ptx.toml, or the same defaults, so that a
call and a command with the same settings share their artifacts. The frame holds what `--json` prints: for the stages
a row for every artifact touched, upstream ones included. Mistakes raise PtxError, with its hint as a note; nothing is
printed without `progress=True`.
"""

from __future__ import annotations

import functools
import typing
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from inspect import Parameter, Signature, getdoc, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer.core
import typer.main

from ptx import cli
from ptx.commands import LISTENER
from ptx.errors import PtxError, UsageError
from ptx.grids.recipe import nearest
from ptx.options import Group, usage_error
from ptx.output import Output
from ptx.step import is_file

__all__ = [
    "PtxError", "anchors", "encode", "eval", "inspect", "models", "predict", "prompt", "run", "search", "table", "tune",
]  # fmt: skip

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

HIDDEN = ("json", "quiet", "verbose", "format", "output")  # about printing
FIRST = ("stage", "model", "sources", "target", "method", "suite", "task")  # columns, where a frame has them


class Collector(Output):
    """Keeps the rows that a command prints with `--json`, and its warnings."""

    def __init__(self, rows: list[dict[str, Any]], warned: list[str], *, progress: bool) -> None:
        super().__init__(as_json=True, quiet=not progress)
        self.rows = rows
        self.warned = warned

    def data(self, text: str) -> None: ...

    def json(self, value: Mapping[str, Any]) -> None:
        self.rows.append(dict(value))

    def warn(self, text: str) -> None:
        self.warned.append(text)

    def error(self, error: PtxError) -> None:
        self.warn(f"{error.message} ({error.hint})")


def _function(name: str) -> Callable[..., pd.DataFrame]:
    """The command of this name as a function, with a signature that says what it takes."""

    def function(*args: Any, progress: bool = False, **options: Any) -> pd.DataFrame:
        return _frame(_rows(name, args, options, progress=progress))

    command = getattr(cli, name)
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{getdoc(command)}\n\nOptions are those of `ptx {name} --help`; see ptx.api."
    function.__signature__ = _signature(command)  # type: ignore[attr-defined]
    return function


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows of different stages in one frame: whole numbers stay whole where some rows have none."""
    import pandas as pd

    frame = pd.DataFrame(rows)
    for name in frame.columns:
        values = [row[name] for row in rows if row.get(name) is not None]
        if len(values) < len(rows) and all(type(value) is int for value in values):
            frame[name] = frame[name].astype("Int64")
    first = [name for name in FIRST if name in frame.columns]
    return frame[first + [name for name in frame.columns if name not in first]]


def _signature(command: Callable[..., None]) -> Signature:
    """A command's options as keyword arguments with plain types, its arguments as positional ones."""
    parameters: list[Parameter] = []
    for parameter in signature(command).parameters.values():
        if parameter.annotation is typer.Context:
            continue
        kind, info = typing.get_args(parameter.annotation)
        parameter = parameter.replace(annotation=kind)
        if isinstance(info, typer.models.ArgumentInfo):
            positional = Parameter(parameter.name, Parameter.VAR_POSITIONAL, annotation=str)
            parameters.insert(0, positional)
        elif parameter.name not in HIDDEN:
            parameters.append(parameter)
    progress = Parameter("progress", Parameter.KEYWORD_ONLY, default=False, annotation=bool)
    return Signature([*parameters, progress], return_annotation="pandas.DataFrame")


@functools.cache
def _commands() -> Group:
    return typing.cast(Group, typer.main.get_command(cli.app))


def _rows(
    name: str, args: Iterable[Any], options: Mapping[str, Any], *, progress: bool = False
) -> list[dict[str, Any]]:
    """Run a command ("cache show" for one of a group's) and return what it prints with `--json`."""
    rows: list[dict[str, Any]] = []
    warned: list[str] = []
    listening = LISTENER.set(lambda **_: Collector(rows, warned, progress=progress))
    try:
        command: Any = _commands()
        defaults: Any = command.defaults()
        for part in name.split():
            command, defaults = command.commands[part], defaults.get(part, {})
        words = [*_words(name, command, options), "--", *(str(arg) for arg in args)]
        with command.make_context(f"ptx {name}", words, default_map=defaults) as context:
            context.params |= {"json": True, "quiet": False, "verbose": False}
            command.invoke(context)
    except typer.TyperException as error:
        raise _with_note(usage_error(error)) from None
    except PtxError as error:
        raise _with_note(error) from None
    finally:
        LISTENER.reset(listening)
        for text in warned:
            warnings.warn(text, stacklevel=3)  # the caller's line
    return rows


def _with_note(error: PtxError) -> PtxError:
    """The error with its hint where a traceback shows it."""
    error.add_note(f"hint: {error.hint}")
    return error


def _words(name: str, command: typer.core.TyperCommand, options: Mapping[str, Any]) -> Iterator[str]:
    """Options as the words of a command line, whose parser then checks and converts them."""
    known = {p.name: p for p in command.params if isinstance(p, typer.core.TyperOption) and p.name not in HIDDEN}
    for option, value in options.items():
        if option not in known:
            raise UsageError(f"{name} has no option {option!r}", nearest(option, [str(key) for key in known]))
        parameter = known[option]
        if isinstance(value, bool) and parameter.is_flag:
            yield from (parameter.opts if value else parameter.secondary_opts)[:1]
        elif isinstance(value, Iterable) and not isinstance(value, str):
            yield from (parameter.opts[0], ",".join(map(str, value)))
        elif value is not None:
            yield from (parameter.opts[0], str(value))


tune = _function("tune")
anchors = _function("anchors")
encode = _function("encode")
search = _function("search")
eval = _function("eval")
table = _function("table")
run = _function("run")
models = _function("models")
inspect = _function("inspect")
_predict = _function("predict")


@functools.wraps(_predict)
def predict(*texts: str, **options: Any) -> pd.DataFrame:
    if not texts and options.get("file") is None:  # the command would read stdin
        raise _with_note(UsageError("no subjects", 'give them first: predict("Dante", target=..., prompt=...)'))
    return _predict(*texts, **options)


def prompt(named: str | Path, **options: Any) -> Tensor:
    """The soft prompt [m, d] in a file, or of an artifact by key or path: of a tuning, a search, or an evaluation.

    Options are those of `ptx cache show`, `cache_dir` among them.
    """
    from ptx.prompts import FILE, read_prompt

    if is_file(str(named)):
        return read_prompt(Path(named))
    (shown,) = _rows("cache show", [named], options)
    if shown["stage"] in ("tune", "search"):
        return read_prompt(Path(shown["path"]) / FILE)
    for parent in shown["parents"] if shown["stage"] == "eval" else ():
        if parent["stage"] in ("tune", "search"):
            return prompt(parent["key"], **options)
    hint = "give the key of a tuning or search: `ptx cache ls --stage tune`"
    raise _with_note(PtxError(f"{shown['stage']} {shown['key'][:12]} has no soft prompt", hint))
