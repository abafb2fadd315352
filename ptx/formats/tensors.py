"""Safetensors: ptx's own prompts, and any file with one matrix or with one whose name says that it is the prompt."""

from pathlib import Path

from jaxtyping import Float
from safetensors.torch import load, save
from torch import Tensor

from ptx.formats.matrix import Matrix, pick


def read(path: Path) -> Matrix:
    return pick(load(path.read_bytes()), path)


def to_bytes(prompt: Float[Tensor, "m d"]) -> bytes:
    """The file of a prompt, in float32: what the cache keeps."""
    return save({"prompt": prompt.detach().cpu().float().contiguous()})
