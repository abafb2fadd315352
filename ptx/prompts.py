"""A soft prompt: its file in the cache, reading it from any file, and the random numbers it may start from."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save as save_safetensors
from torch import Tensor

from ptx import formats

if TYPE_CHECKING:
    from jaxtyping import Float

FILE = "prompt.safetensors"


def generator(seed: int, task: str) -> torch.Generator:
    """Random numbers for one task: they depend on nothing else, so tasks can share batches."""
    return torch.Generator().manual_seed(random.Random(f"{seed} {task}").getrandbits(63))


def to_bytes(prompt: Float[Tensor, "m d"]) -> bytes:
    """The safetensors file of a prompt, in float32."""
    return save_safetensors({"prompt": prompt.detach().cpu().float().contiguous()})


def read_prompt(path: Path) -> Float[Tensor, "m d"]:
    """The prompt in a file of the cache or of another program, in float32 (see formats.read). Raises PtxError."""
    return formats.read(path).prompt
