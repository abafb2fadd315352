"""Attention of networks that compute in half precision on a CPU, where torch's own kernel for such types is slow.

Its products of queries, keys and values in bfloat16 take several times as long as in float32 (a fifth of a tuning step
of SmolLM2), while those with weights take half. So they are done in float32, and are more exact, too.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

USUAL, NAME = "sdpa", "sdpa_in_float32"


def widen(network: PreTrainedModel) -> None:
    """From now on a network that attends by torch's kernel, on a CPU and in half precision, does it in float32."""
    if network.device.type == "cpu" and network.dtype in (torch.bfloat16, torch.float16):
        in_float32(network)


def in_float32(network: PreTrainedModel) -> None:
    """The parts of a network that attend by torch's kernel do it in float32; a part that cannot stays as it is."""
    parts = {"": network.config} | {name: getattr(network.config, name) for name in network.config.sub_configs}
    usual = [name for name, of in parts.items() if of is not None and of._attn_implementation == USUAL]
    if usual:
        network.set_attn_implementation(dict.fromkeys(usual, NAME))


def _in_float32(
    module: torch.nn.Module,
    query: Float[Tensor, "b heads n _"],
    key: Float[Tensor, "b heads_kv n_kv _"],
    value: Float[Tensor, "b heads_kv n_kv _"],
    attention_mask: Tensor | None,
    **more: Any,
) -> tuple[Float[Tensor, "b n heads _"], None]:
    if attention_mask is not None and attention_mask.is_floating_point():
        attention_mask = attention_mask.float()
    if (bias := more.get("position_bias")) is not None:
        more["position_bias"] = bias.float()
    found, _ = sdpa_attention_forward(module, query.float(), key.float(), value.float(), attention_mask, **more)
    return found.to(query.dtype), None


AttentionInterface.register(NAME, _in_float32)
AttentionMaskInterface.register(NAME, AttentionMaskInterface()[USUAL])
