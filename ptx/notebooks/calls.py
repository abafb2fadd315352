"""A command as a function: settings looked up, what is in memory saved, one call at a time, mistakes with a hint."""

import contextlib
import functools
import inspect
import os
import sys
import threading
import warnings
from collections.abc import Callable
from contextvars import ContextVar
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

from ptx.config.said import call
from ptx.config.settings import looked_up
from ptx.errors import PtxError

P = ParamSpec("P")
R = TypeVar("R")

# PyTorch's default type, what transformers changes while it loads a model, and imports under way are one for the whole
# process. A call uses all cores by itself.
TURN = threading.RLock()
# Of the call under way: which options were given, warnings for the caller's line, and how it was written.
GIVEN: ContextVar[frozenset[str]] = ContextVar("given")
WARNED: ContextVar[list[str]] = ContextVar("warned")
CALL: ContextVar[str] = ContextVar("call")


def command(function: Callable[P, R]) -> Callable[P, R]:
    """What is not given is looked up and everything checked before the function sees it; mistakes come with a hint."""
    return named(function.__name__)(function)


def named(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """The same for a function of another name than its command, `cache ls` say."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def called(*args: Any, **options: Any) -> Any:
            warned: list[str] = []
            tokens = (
                GIVEN.set(frozenset(options)),
                WARNED.set(warned),
                CALL.set(call(name.replace(" ", "."), args, options)),
            )
            try:
                with TURN, _own_settings():
                    args, settings = _ready(name, signature, args, options)
                    return function(*args, **settings)
            except PtxError as error:
                error.add_note(f"hint: {error.hint}")
                raise (error if "PTX_DEBUG" in os.environ else error.with_traceback(None)) from None
            finally:
                GIVEN.reset(tokens[0])
                WARNED.reset(tokens[1])
                CALL.reset(tokens[2])
                for text in warned:
                    warnings.warn(text, stacklevel=2)  # the caller's line

        return called

    return decorate


def _own_settings() -> contextlib.AbstractContextManager[None]:
    """PyTorch as ptx needs it, if the caller has it: what is found in the cache does without."""
    if "torch" not in sys.modules:
        return contextlib.nullcontext()
    from ptx.engine.torch_state import own_settings

    return own_settings()


def _ready(
    name: str, signature: inspect.Signature, args: tuple[Any, ...], options: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments and keyword arguments as the function takes them. Raises PtxError."""
    from ptx.cache.remote import folder_of
    from ptx.notebooks import memory

    commands = lambda: import_module("ptx.cli.main").commands()  # noqa: E731, imported if there is a settings file
    first = [name for name, of in signature.parameters.items() if of.kind is of.POSITIONAL_OR_KEYWORD]
    if not set(first) & options.keys():
        options, args = dict(zip(first, args, strict=False)) | options, args[len(first) :]
    held = {option: value for option, value in options.items() if memory.holds(option, value)}
    settings = looked_up(name, signature, args, options | dict.fromkeys(held, "in memory"), commands)
    if held:
        root = folder_of(settings.get("cache_dir", signature.parameters["cache_dir"].default))
        settings |= {option: memory.saved(value, root) for option, value in held.items()}
    return args, settings
