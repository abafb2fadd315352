"""What a shell completes behind options that name something: embedded models, suites, tasks, keys, recipes.

Each is looked up when it is asked for, in files' names alone: a TAB must not be felt.
"""

import contextlib
import os
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import typer

KINDS = (str, Path, list[str], list[str] | None)  # of options that are completed


def completed(name: str, annotation: Any) -> None:
    """Let the shell complete an option or argument of this name, if there is something to complete it with."""
    if (names := NAMES.get(name)) and typing.get_origin(annotation) is typing.Annotated:
        info = annotation.__metadata__[0]
        if getattr(info, "autocompletion", "") is None and annotation.__origin__ in KINDS:
            info.autocompletion = _after_commas(names)


def _after_commas(names: Callable[[typer.Context], Iterable[str]]) -> Callable[..., list[str]]:
    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        before, comma, begun = incomplete.rpartition(",")
        with contextlib.suppress(Exception):  # whatever is wrong is said when the command runs
            return [before + comma + name for name in names(ctx) if name.startswith(begun)]
        return []

    return complete


def _models(ctx: typer.Context) -> list[str]:
    from ptx.lms.known import PAPER, zoo

    return [*zoo(), *PAPER]


def _suites(ctx: typer.Context) -> list[str]:
    from ptx.suites import EMBEDDED, PRESETS

    return [*EMBEDDED, *PRESETS]


def _tasks(ctx: typer.Context) -> list[str]:
    from ptx.suites import EMBEDDED, load_suite

    suite = ctx.params.get("suite") or "facts"
    if suite == "facts":
        return sorted(folder.name for folder in EMBEDDED[suite].iterdir() if folder.is_dir())
    return [task.name for task in load_suite(suite).tasks]


def _recipes(ctx: typer.Context) -> list[str]:
    from ptx.paper.recipe import listing

    return [row["recipe"] for row in listing()]


def _keys(*stages: str) -> Callable[[typer.Context], list[str]]:
    def found(ctx: typer.Context) -> list[str]:
        from ptx.cache.remote import folder_of

        root = folder_of(ctx.params.get("cache_dir") or os.environ.get("PTX_CACHE_DIR") or "cache") / "v1"
        folders = [root / stage for stage in stages] or sorted(root.glob("*"))
        return [key[:12] for folder in folders for key in sorted(os.listdir(folder)) if not key.startswith(".")]

    return found


NAMES: dict[str, Callable[[typer.Context], Iterable[str]]] = {
    **dict.fromkeys(("model", "models", "sources", "target", "to", "base"), _models),
    **dict.fromkeys(("suite", "on"), _suites), "tasks": _tasks, "task": _tasks, "names": _recipes,
    "prompt": _keys("tune", "search"), "key": _keys(), "anchors": _keys("anchors"),
}  # fmt: skip
