"""Tensors that older versions of transformers stored and that networks compute today.

They are ignored on loading, which is right only where they hold what is computed: a learnt bias may have a mask's name.
"""

import functools
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import PreTrainedModel

from ptx.lms.weights import weight_files


def _frequencies(stored: Tensor, network: PreTrainedModel) -> bool:
    """Rotary frequencies, in the precision of 16 bits; scaled ones were scaled elsewhere when these were stored."""
    rope = getattr(network.config.get_text_config(), "rope_parameters", None) or {}
    if rope.get("rope_type", "default") != "default":
        return True
    computed = [buffer for name, buffer in network.named_buffers() if name.endswith("inv_freq")]
    close = (torch.allclose(stored.float(), own, rtol=0.01, atol=1e-6) for own in computed if own.shape == stored.shape)
    return any(close)


# How a table's name ends, and whether a stored one is what the network computes.
TABLES: dict[str, Callable[[Tensor, PreTrainedModel], bool]] = {
    r"position_ids": lambda stored, _: torch.equal(stored.flatten().long(), torch.arange(stored.numel())),
    r"token_type_ids|final_logits_bias": lambda stored, _: not stored.any(),
    r"\.(attn|attention)\.masked_bias|coder\.version": lambda stored, _: stored.numel() == 1,
    r"\.(attn|attention)\.bias": lambda stored, _: stored.ndim == 4 and not stored.triu(1).any(),  # a causal mask
    r"inv_freq": _frequencies,
}


def learnt(network: PreTrainedModel, folder: Path) -> list[str]:
    """Names of tensors in a checkpoint that the network ignores as tables, though they hold something else."""
    own = network.state_dict().keys()
    return [
        name
        for name, read in _stored(folder)
        for ending, holds in TABLES.items()
        if re.search(f"({ending})$", name)
        and not any(key.endswith(name) or name.endswith(key) for key in own)
        and not holds(read(), network)
    ]


def _stored(folder: Path) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """Names of tensors, and how to read them."""
    for file in weight_files(folder):
        if file.suffix == ".safetensors":
            with safe_open(file, framework="pt") as tensors:
                names = tensors.keys()
                yield from ((name, functools.partial(tensors.get_tensor, name)) for name in names)
        elif file.suffix == ".bin":
            content = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
            yield from ((name, functools.partial(content.get, name)) for name in content)
