"""The target's side of the search: its unit anchors, and what every search on one target shares."""

import functools

import torch
from jaxtyping import Float
from torch import Tensor

from ptx.transfer.equations import unit_rows


class TargetAnchors:
    """B [k, d], the anchors' embeddings with rows of unit length, and its Gram matrix, computed once for all tasks and
    sources."""

    def __init__(self, embeddings: Float[Tensor, "k d"]) -> None:
        self.b = unit_rows(embeddings)

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
