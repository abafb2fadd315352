"""Tensors that older versions of transformers stored and that networks compute today.

They are ignored on loading, which is right only where they hold what is computed: a learnt bias may have a mask's name.
"""

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ptx.lms.stored import Part


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


def learnt(network: PreTrainedModel, weights: Mapping[str, Part | Tensor]) -> list[str]:
    """Names of tensors in a checkpoint that the network ignores as tables, though they hold something else."""
    own = network.state_dict().keys()
    return [
        name
        for name, stored in weights.items()
        for ending, holds in TABLES.items()
        if re.search(f"({ending})$", name)
        and not any(key.endswith(name) or name.endswith(key) for key in own)
        and not holds(stored[...], network)
    ]
