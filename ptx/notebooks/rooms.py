"""A module that is called: it and a command's function have one name (`ptx.suites`, `ptx.cache.gc`)."""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


def answers(module: str, where: str) -> None:
    """From here on, calling the module calls the function of its name in `where`."""

    class Room(ModuleType):
        def __call__(self, *args: Any, **options: Any) -> Any:
            return getattr(import_module(where), module.rpartition(".")[2])(*args, **options)

    sys.modules[module].__class__ = Room
