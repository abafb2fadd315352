"""The gradient of a loss without a backward pass: by how much it differs between the two ends of random steps.

An evolution strategy with mirrored samples (Salimans and others, "Evolution strategies as a scalable alternative to
reinforcement learning", 2017; the two ends are Spall's, "Multivariate stochastic approximation using a simultaneous
perturbation gradient approximation", 1992). On prompts: Sun and others, "Black-box tuning for
language-model-as-a-service" (2022). p pairs.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

PAIRS = 4  # of which each is two forward passes of a batch
DEVIATION = 0.3  # of random steps, in units of the word embeddings' std


def estimated_gradient(
    losses: Callable[[Float[Tensor, "2p m d"]], Float[Tensor, " 2p"]],
    prompt: Float[Tensor, "m d"],
    deviation: float,
    random: torch.Generator,
) -> Float[Tensor, "m d"]:
    """That of the loss averaged over normal steps of this deviation from the prompt, from `PAIRS` of them. `random`
    draws on the CPU, so that all devices take the same steps."""
    steps = torch.randn(PAIRS, *prompt.shape, generator=random).to(prompt.device)
    there, back = losses(torch.cat([prompt + deviation * steps, prompt - deviation * steps])).chunk(2)
    return ((there - back)[:, None, None] * steps).mean(0) / (2 * deviation)
