"""Apply a network's language-model head where the answer is read, and nowhere else.

At a vocabulary of 30,000 words the head costs more than the rest of a small model, and its scores take more memory.
"""

from typing import Any

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

# Families whose whole head is one module; of others, the last layer alone is applied to a few positions.
HEADS = {"bert": "cls", "roberta": "lm_head", "xlm-roberta": "lm_head", "albert": "predictions", "gpt2": "lm_head"}


def logits_at(
    network: PreTrainedModel, at: Bool[Tensor, "b n"], tokens: Int[Tensor, " k"] | None = None, **inputs: Any
) -> Float[Tensor, "positions _"]:
    """The network's scores of `tokens` (of every token, if None) at the positions marked in `at`, row by row, in
    float32. Other positions skip the head."""
    name = HEADS.get(network.config.model_type)
    head = getattr(network, name) if name else network.get_output_embeddings()
    if not isinstance(head, nn.Module):
        found = network(**inputs).logits[at].float()
        return found if tokens is None else found[:, tokens]
    with head.register_forward_pre_hook(lambda _, args: (args[0][at], *args[1:])):
        logits = network(**inputs).logits
    found = (logits if logits.ndim == 2 else logits[at]).float()  # a head that is not called as a module has no hook
    return found if tokens is None else found[:, tokens]
