"""The paper's equations on prompts: relative representations (Eq. 3), their comparison (Eq. 5), the normalisation of
what the search returns (Eq. 6), several sources (Eq. 7). n or m vectors, d embedding width, k anchors.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from ptx.errors import PtxError


def unit_rows(embeddings: Float[Tensor, "k d"]) -> Float[Tensor, "k d"]:
    """B: the anchors' embeddings in float64, each row of unit length."""
    b = embeddings.to(torch.float64, copy=True)
    return b.div_(b.norm(dim=-1, keepdim=True).clamp_min(1e-12))  # in place: k x d numbers once, not three times


def relative_representation(vectors: Float[Tensor, "n d"], *, anchors: Float[Tensor, "k d"]) -> Float[Tensor, "n k"]:
    """Eq. 3: the cosine of every vector to every anchor, in the precision of `anchors`, whose rows have unit length."""
    return normalize(vectors.to(anchors.dtype), dim=-1) @ anchors.T


def top_k_mask(similarities: Float[Tensor, "n k"], top_k: int) -> Bool[Tensor, "n k"]:
    """True at each row's `top_k` highest (signed) entries; everywhere if there are no more than that."""
    if top_k >= similarities.shape[-1]:
        return torch.ones_like(similarities, dtype=torch.bool)
    # Selecting the k-th value is three times as fast as topk, which sorts; with ties it would keep too many.
    least = similarities.kthvalue(similarities.shape[-1] - top_k + 1, dim=-1, keepdim=True).values
    mask = similarities >= least
    if bool((mask.sum(-1) == top_k).all()):
        return mask
    highest = similarities.topk(top_k, dim=-1).indices
    return torch.zeros_like(similarities, dtype=torch.bool).scatter_(-1, highest, True)


def kept(top_k: int | str, k: int) -> int:
    """How many of k similarities `--top-k` keeps: a number, "all", or a share such as "48%" (rounded)."""
    if top_k == "all":
        return k
    if isinstance(top_k, str) and top_k.endswith("%"):
        return max(1, round(float(top_k[:-1]) / 100 * k))
    return min(int(top_k), k)


def check_alike(encodings: Sequence[Float[Tensor, "_ _"]]) -> None:
    """Raise PtxError for sources that differ in length or anchors."""
    shapes = {tuple(r.shape) for r in encodings}
    if len(shapes) > 1:
        found = " and ".join(f"{n} vectors x {k} anchors" for n, k in sorted(shapes))
        raise PtxError(
            f"the sources' prompts differ in length or anchors: {found}",
            "tune and encode all sources with the same --prompt-length and --anchors",
        )


def combine(
    encodings: Sequence[Float[Tensor, "_ _"]], *, weights: Sequence[float], top_k: int | str, mask: str
) -> tuple[Float[Tensor, "n k"], Bool[Tensor, "n k"] | None]:
    """Eq. 7: the weighted sum of the sources' relative representations, masked and of unit length, and the target's
    mask.

    `mask="both"`: one mask, the top-k of the weighted sum, for every source and the target, so that all terms of the
    multi-source objective share a denominator. `mask="source"`: each source has its own, the target none. Raises
    PtxError for sources that differ in length or anchors.
    """
    check_alike(encodings)
    shared: Tensor | None = None
    count = kept(top_k, encodings[0].shape[-1])
    if mask == "both":
        summed = torch.stack([w * r for w, r in zip(weights, encodings, strict=True)]).sum(0)
        shared = top_k_mask(summed, count)
    masked = [r * (top_k_mask(r, count) if shared is None else shared) for r in encodings]
    unit = [normalize(r, dim=-1) for r in masked]
    return torch.stack([w * r for w, r in zip(weights, unit, strict=True)]).sum(0), shared


def matching_loss(
    c: Float[Tensor, "n k"], target: Float[Tensor, "n k"], *, mask: Bool[Tensor, "n k"] | None
) -> Float[Tensor, " n"]:
    """Eq. 5 and 7: 1 - cosine between source and target representations, averaged over the sources by their weights.

    `c` is what `combine` returns, `target` the target's relative representation.
    """
    r = target if mask is None else target * mask
    return 1 - (c * normalize(r, dim=-1)).sum(-1)


def normalize_statistics(prompt: Float[Tensor, "*b m d"], *, mean: float, std: float) -> Float[Tensor, "*b m d"]:
    """Eq. 6: map the mean and (population) std over the m x d values of one prompt to the target's."""
    own_mean = prompt.mean(dim=(-2, -1), keepdim=True)
    own_std = prompt.std(dim=(-2, -1), correction=0, keepdim=True)
    return (prompt - own_mean) / own_std * std + mean


def finish(u: Float[Tensor, "m d"], statistics: tuple[float, float] | None) -> Float[Tensor, "m d"]:
    """What is made of the search's result: every vector of unit length (it fixes directions only), then Eq. 6 with the
    mean and std of the target's word embeddings. Without these, the result as it is."""
    if statistics is None:
        return u
    return normalize_statistics(normalize(u, dim=-1), mean=statistics[0], std=statistics[1])
