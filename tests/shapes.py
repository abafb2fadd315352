"""What checks types and shapes in every test: beartype, by jaxtyping's import hook (`addopts` in pyproject.toml)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import typer
from beartype import BeartypeConf, beartype

F = TypeVar("F", bound=Callable[..., Any])
CONF = BeartypeConf(is_pep484_tower=True)  # an int does for a float


def checked(function: F) -> F:
    """The function with its types checked at each call; typer gives another class than the `Context` it names."""
    if typer.Context in getattr(function, "__annotations__", {}).values():
        return function
    return beartype(conf=CONF)(function)
