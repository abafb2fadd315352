"""A soft prompt and its files: a safetensors file with one tensor, or a numpy file, of shape (m, d)."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from ptx.errors import PtxError

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
    """The prompt in a file, in float32. Raises PtxError for anything but one finite matrix; never unpickles."""
    tensors: list[Tensor] = []
    with contextlib.suppress(OSError, ValueError, SafetensorError, EOFError):
        if path.suffix == ".npy":
            tensors = [torch.from_numpy(np.load(path, allow_pickle=False))]
        else:
            tensors = list(load_safetensors(path.read_bytes()).values())
    if len(tensors) != 1 or tensors[0].ndim != 2 or not torch.isfinite(tensors[0]).all():
        raise PtxError(
            f"{path} holds no soft prompt", "give a .safetensors or .npy file with one matrix of shape (vectors, width)"
        )
    return tensors[0].float()
