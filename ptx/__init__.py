"""ptx moves soft prompts between language models (Wu, Wu and Mou, ICLR 2024)."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("ptx-prompts")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0+unknown"
