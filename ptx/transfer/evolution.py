"""The gradient of a loss without a backward pass: by how much it differs between the two ends of random steps.

An evolution strategy with mirrored samples (Salimans and others, "Evolution strategies as a scalable alternative to
reinforcement learning", 2017; the two ends are Spall's, "Multivariate stochastic approximation using a simultaneous
perturbation gradient approximation", 1992). On prompts: Sun and others, "Black-box tuning for
language-model-as-a-service" (2022). Every input has directions of its own: that takes as many passes as the same
directions for all of a batch, and leaves less to chance. b inputs, p pairs.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from ptx.config.search import PAIRS

DEVIATION = 0.3  # of random steps, in units of the word embeddings' std


def estimated_gradient(
    losses: Callable[[Float[Tensor, "2p b m d"]], Float[Tensor, "2p b"]],
    prompt: Float[Tensor, "m d"],
    inputs: int,
    deviation: float,
    random: torch.Generator,
) -> Float[Tensor, "m d"]:
    """That of the mean loss of so many inputs, averaged over normal steps of this deviation from the prompt, from
    `PAIRS` of them for each input. `losses` are those of each input with prompts of its own. `random` draws on the CPU,
    so that all devices take the same steps."""
    steps = torch.randn(PAIRS, inputs, *prompt.shape, generator=random).to(prompt.device)
    there, back = losses(torch.cat([prompt + deviation * steps, prompt - deviation * steps])).chunk(2)
    return ((there - back)[..., None, None] * steps).mean((0, 1)) / (2 * deviation)
