"""The methods: ways to a prompt for a target. One file each; this list is the only one that names them.

What `--method` offers and how many `--sources` it takes, the rows of tables with their order, and the default methods
of recipes come from it.
"""

from __future__ import annotations

import functools
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ptx.stages.methods.method import Method

# In the order of rows in tables; each is a file beside this one. Which commands offer it: `search` and `eval`, `eval`
# alone, or none (an imported prompt is named by its key).
METHODS = {
    "random": "search", "manual": "eval", "text": "search", "imported": "", "direct": "search", "discretize": "search",
    "hubs": "search", "neighbours": "search", "omp": "search", "procrustes": "search", "linear": "search",
    "projector": "search", "relative": "search", "residual": "search", "auto": "search", "distil": "search",
    "ensemble": "eval", "portable": "search", "tuned": "eval",
}  # fmt: skip


@functools.cache  # a grid asks for them thousands of times
def method_named(name: str) -> Method:
    """What a method is. --help needs the names alone."""
    method: Method = import_module(f"ptx.stages.methods.{name}").METHOD
    return method


def offered(*, searched: bool = False) -> list[str]:
    """The methods that a user can ask for, or those that search."""
    return [name for name, by in METHODS.items() if by == "search" or (by and not searched)]
