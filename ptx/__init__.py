"""ptx moves soft prompts between language models (Wu, Wu and Mou, ICLR 2024).

The commands are functions here too: `ptx.search(sources=["bert-micro"], target="roberta-micro")` (see ptx.api).
"""

import functools
from importlib import import_module
from typing import Any

# Looked up when used, so that `import ptx` is quick. No module may have one of these names; `suites` and `cache`, which
# are rooms, see to it themselves.
FUNCTIONS = (
    "tune",
    "anchors",
    "encode",
    "search",
    "eval",
    "table",
    "report",
    "run",
    "predict",
    "request",
    "models",
    "inspect",
    "prompt",
    "upgrade",
    "why",
    "wrong_answers",
    "words",
    "export",
    "load_prompt",
)
ROOMS = ("cache", "suites")


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name in ROOMS:
        return import_module(f"ptx.{name}")
    if name in FUNCTIONS or name == "PtxError":
        from ptx import api

        return getattr(api, name)
    raise AttributeError(f"module 'ptx' has no attribute {name!r}")


@functools.cache  # several files are read and parsed to find it, and every artifact says it
def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("ptx-prompts")
    except PackageNotFoundError:  # a source tree that is not installed
        return "0+unknown"


def __dir__() -> list[str]:
    return ["PtxError", "__version__", *FUNCTIONS, *ROOMS]
