"""Safetensors: ptx's own prompts, and any file with one matrix or with one whose name says that it is the prompt."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load

from ptx.formats.matrix import Matrix, pick


def read(path: Path) -> Matrix:
    return pick(load(path.read_bytes()), path)
