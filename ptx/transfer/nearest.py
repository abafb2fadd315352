"""The words nearest to a vector, and what can be made of them: k words or n rows, m vectors of a prompt."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ptx.transfer.equations import relative_representation, unit_rows

NEIGHBOURS = 10  # of a word, as Conneau et al. take
TOGETHER = 2**24  # cosines between words that are looked at together: 64 MB


def nearest_words(
    prompt: Float[Tensor, "m d"], *, embeddings: Float[Tensor, "n d"], top: int
) -> tuple[Float[Tensor, "m top"], Int[Tensor, "m top"]]:
    """The highest cosines of every vector to rows of `embeddings`, and the rows, the nearest first."""
    similarities = relative_representation(prompt, anchors=unit_rows(embeddings))
    best = similarities.topk(min(top, len(embeddings)), dim=-1)
    return best.values, best.indices


def shares(
    scores: Float[Tensor, "m k"], *, words: int, temperature: float
) -> tuple[Int[Tensor, "m n"], Float[Tensor, "m n"]]:
    """Of every vector the `words` (all, if there are fewer) with the highest scores, the best first, and their shares,
    softmax(scores / temperature) among them, in float64."""
    best = scores.double().topk(min(words, scores.shape[-1]), dim=-1)
    return best.indices, torch.softmax(best.values / temperature, dim=-1)


def combination(
    rows: Int[Tensor, "m n"], weights: Float[Tensor, "m n"], *, embeddings: Float[Tensor, "k d"]
) -> Float[Tensor, "m d"]:
    """For every vector its rows of `embeddings`, weighted and added up, in float64."""
    return torch.einsum("mn,mnd->md", weights, embeddings[rows].double())


def crowding(embeddings: Float[Tensor, "k d"]) -> Float[Tensor, " k"]:
    """Of every word the mean of its cosines to the NEIGHBOURS other words nearest to it: high where words lie densely.

    CSLS (Conneau et al., "Word translation without parallel data", 2018) is 2 cos(v, x) less this, the words standing
    for the queries, of which a prompt has too few; what it takes off for v changes no order. Products are in float32:
    their last digits are far below what tells two words apart.
    """
    x = unit_rows(embeddings).float()
    k = len(x)
    near, together = min(NEIGHBOURS, k - 1), max(1, TOGETHER // k)
    if not near:
        return x.new_zeros(k, dtype=torch.float64)
    means = []
    for first in range(0, k, together):
        cosines = x[first : first + together] @ x.T
        cosines.diagonal(first).fill_(-torch.inf)  # a word is no neighbour of itself
        means.append(cosines.topk(near, dim=-1).values.double().mean(-1))
    return torch.cat(means)
