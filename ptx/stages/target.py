"""The target's side of the search: its unit anchors, and what every search on one target shares."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import normalize

if TYPE_CHECKING:
    from jaxtyping import Float


class TargetAnchors:
    """B [k, d]: the anchors' embeddings in float64, each row of unit length.

    Its Gram matrix is computed once for all tasks and sources.
    """

    def __init__(self, embeddings: Float[Tensor, "k d"]) -> None:
        b = embeddings.to(torch.float64, copy=True)
        self.b = b.div_(b.norm(dim=-1, keepdim=True).clamp_min(1e-12))  # in place: k x d numbers once, not three times

    def cosines(self, vectors: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Eq. 3, as in `relative.cosines`."""
        return normalize(vectors.double(), dim=-1) @ self.b.T

    @functools.cached_property
    def gram(self) -> Float[Tensor, "d d"]:
        """B'B by blocks of rows from the diagonal on, the rest mirrored: five eighths of the work of a full product."""
        d = self.b.shape[1]
        gram = self.b.new_empty(d, d)
        step = -(-d // 4)
        for first in range(0, d, step):
            last = min(first + step, d)
            gram[first:last, first:] = self.b[:, first:last].T @ self.b[:, first:]
            gram[last:, first:last] = gram[first:last, last:].T
        return gram

    @functools.cached_property
    def eigen(self) -> tuple[Float[Tensor, " d"], Float[Tensor, "d d"]]:
        """Eigenvalues of B'B in rising order, and its eigenvectors as columns."""
        values, vectors = torch.linalg.eigh(self.gram)
        return values, vectors
