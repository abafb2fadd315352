"""Relative representations: a prompt as cosine similarities to anchors (Eq. 3), their comparison (Eq. 5), and the
normalisation of what the search returns (Eq. 6). m vectors, d embedding width, k anchors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from ptx.cache import Store
from ptx.errors import PtxError
from ptx.lms.lm import load_embeddings
from ptx.pipeline import Payload, Stopwatch, Tick, payload_of
from ptx.prompts import FILE as PROMPT_FILE
from ptx.prompts import read_prompt
from ptx.stages.anchors import read_words
from ptx.step import Step

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

FILE = "relative.safetensors"
TOGETHER = 64  # prompts per product with the anchors: bounds memory


def cosines(prompt: Float[Tensor, "n d"], *, anchors: Float[Tensor, "k d"]) -> Float[Tensor, "n k"]:
    """Eq. 3: the cosine of every vector to every anchor, in float64."""
    v = torch.nn.functional.normalize(prompt.double(), dim=-1)
    return v @ torch.nn.functional.normalize(anchors.double(), dim=-1).T


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


def combine(
    encodings: Sequence[Float[Tensor, "n k"]], *, weights: Sequence[float], top_k: int | str, mask: str
) -> tuple[Float[Tensor, "n k"], Bool[Tensor, "n k"] | None]:
    """The weighted sum of the sources' relative representations, masked and of unit length, and the target's mask.

    `mask="both"`: one mask, the top-k of the weighted sum, for every source and the target, so that all terms of the
    multi-source objective (Eq. 7) share a denominator. `mask="source"`: each source has its own, the target none.
    """
    shapes = {tuple(r.shape) for r in encodings}
    if len(shapes) > 1:
        found = " and ".join(f"{n} vectors x {k} anchors" for n, k in sorted(shapes))
        raise PtxError(
            f"the sources' prompts differ in length or anchors: {found}",
            "tune and encode all sources with the same --prompt-length and --anchors",
        )
    shared: Tensor | None = None
    count = kept(top_k, encodings[0].shape[-1])
    if mask == "both":
        summed = torch.stack([w * r for w, r in zip(weights, encodings, strict=True)]).sum(0)
        shared = top_k_mask(summed, count)
    masked = [r * (top_k_mask(r, count) if shared is None else shared) for r in encodings]
    unit = [torch.nn.functional.normalize(r, dim=-1) for r in masked]
    return torch.stack([w * r for w, r in zip(weights, unit, strict=True)]).sum(0), shared


def matching_loss(
    c: Float[Tensor, "n k"], target: Float[Tensor, "n k"], *, mask: Bool[Tensor, "n k"] | None
) -> Float[Tensor, " n"]:
    """Eq. 5 and 7: 1 - cosine between source and target representations, averaged over the sources by their weights.

    `c` is what `combine` returns, `target` the target's similarities.
    """
    r = target if mask is None else target * mask
    return 1 - (c * torch.nn.functional.normalize(r, dim=-1)).sum(-1)


def normalize_statistics(
    prompt: Float[Tensor, "*b m d"], *, mean: float | Tensor, std: float | Tensor
) -> Float[Tensor, "*b m d"]:
    """Eq. 6: map the mean and (population) std over the m x d values of one prompt to the target's."""
    own_mean = prompt.mean(dim=(-2, -1), keepdim=True)
    own_std = prompt.std(dim=(-2, -1), correction=0, keepdim=True)
    return (prompt - own_mean) / own_std * std + mean


def read_cosines(step: Step, store: Store) -> Float[Tensor, "m k"]:
    """The similarities of a finished encoding, before the top-k is applied."""
    return load_safetensors(payload_of(step, store, FILE).read_bytes())["cosines"].double()


def build(steps: Sequence[Step], store: Store, device: str, tick: Tick) -> Iterator[tuple[Step, Payload | PtxError]]:
    """See pipeline.BUILDERS. All similarities are stored: with several sources the top-k is that of their sum."""
    if not steps:
        return
    watch = Stopwatch()
    model = load_embeddings(steps[0].models[0], device)
    anchors = model.word_embeddings(read_words(steps[0].parents_at("anchors")[0], store)).double()
    for start in range(0, len(steps), TOGETHER):
        part = steps[start : start + TOGETHER]
        prompts = [read_prompt(payload_of(step.parents_at("tune")[0], store, PROMPT_FILE)) for step in part]
        together = cosines(torch.cat(prompts).to(anchors.device), anchors=anchors).float().cpu()
        seconds = watch.lap() / len(part)
        for step, r in zip(part, together.split([len(prompt) for prompt in prompts]), strict=True):
            metrics = {"anchors": r.shape[1], "top_k": kept(step.settings["top_k"], r.shape[1])}
            yield step, Payload({FILE: save_safetensors({"cosines": r.contiguous()})}, metrics, seconds)
            tick(1)
