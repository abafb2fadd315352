"""The search of the authors' code, step for step (`--solver ptfer`), by which the published numbers were made.

It begins and descends as `solvers.adam`. What differs: Eq. 6 inside every step, with the sample std of the prompt's own
numbers; the loss is the mean over a prompt's vectors; two sources share one mask, the top-k of the *second*, which also
masks the target; and the prompt is one of those that the loss of every 50th step was computed from, before its update,
as they are: which one, labelled target dev facts say.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from ptx.transfer.equations import kept, relative_representation, top_k_mask

EVERY = 50  # steps between two looks at the dev split


@dataclass(frozen=True)
class Candidate:
    """The prompts [m, d] of all tasks, from which the loss of a step was computed, and that loss for each."""

    step: int
    prompts: Sequence[Tensor]
    losses: Sequence[float]


def goals(
    encodings: Sequence[Float[Tensor, "m k"]], top_k: int | str
) -> tuple[Float[Tensor, "m k"], Float[Tensor, "m k"], Bool[Tensor, "m k"]]:
    """What one source or two are to be matched with: the first's and the second's relative representation, both under
    the second's mask, and that mask. One source is the first and the second."""
    first, second = encodings[0].float(), encodings[-1].float()
    mask = top_k_mask(second, kept(top_k, second.shape[-1]))
    return first * mask, second * mask, mask


def search(
    first: Float[Tensor, "n k"],
    second: Float[Tensor, "n k"],
    mask: Bool[Tensor, "n k"],
    start: Float[Tensor, "n d"],
    *,
    lengths: Sequence[int],
    anchors: Float[Tensor, "k d"],
    statistics: tuple[float, float] | None,
    steps: int,
    lr: float,
) -> Iterator[Candidate]:
    """Every 50th step of the descent from `start`, in float32. The n vectors are those of prompts of `lengths`, one a
    task; these do not interact. `anchors` are the target's; without `statistics` there is no Eq. 6."""
    b = normalize(anchors.float(), dim=-1)
    u = start.float().clone().requires_grad_()
    optimizer = torch.optim.Adam([u], lr=lr)
    for step in range(1, steps + 1):
        prompts = [regularized(part, statistics) for part in u.split([*lengths])]
        r = relative_representation(torch.cat(prompts), anchors=b) * mask
        similar = (cosine_similarity(r, first, dim=-1) + cosine_similarity(r, second, dim=-1)) / 2
        losses = torch.stack([1 - part.mean() for part in similar.split([*lengths])])
        optimizer.zero_grad()
        losses.sum().backward()
        optimizer.step()
        if step % EVERY == 0:
            yield Candidate(step, [prompt.detach() for prompt in prompts], losses.tolist())


def regularized(prompt: Float[Tensor, "m d"], statistics: tuple[float, float] | None) -> Float[Tensor, "m d"]:
    """Eq. 6 as the authors' code has it, with the prompt's sample std."""
    if statistics is None:
        return prompt * 1.0  # a copy: the vectors themselves go on
    mean, std = statistics
    return (prompt - prompt.mean()) / prompt.std() * std + mean
