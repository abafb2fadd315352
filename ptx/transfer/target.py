"""The target's side of the search: its unit anchors, and what every search on one target shares."""

import functools

import torch
from jaxtyping import Float
from torch import Tensor

from ptx.transfer.equations import unit_rows

RANK_TOLERANCE = 1e-12  # eigenvalues of B'B below this share of the largest one are rounding errors
SAFE_PIVOT = 1e-8  # squared pivots of a Cholesky factor below this share of the largest: use eigenvalues instead


class TargetAnchors:
    """B [k, d], the anchors' embeddings with rows of unit length (or as they are) in float64, and its Gram matrix,
    computed once for all tasks and sources."""

    def __init__(self, embeddings: Float[Tensor, "k d"], *, unit: bool = True) -> None:
        self.b = unit_rows(embeddings) if unit else embeddings.double()

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

    def factor(self, penalty: float) -> Float[Tensor, "d d"] | None:
        """The Cholesky factor of B'B + penalty I; None where that is not safely positive."""
        shifted = self.gram.clone()
        shifted.diagonal().add_(penalty)
        factor, failed = torch.linalg.cholesky_ex(shifted)
        pivots = factor.diagonal() ** 2
        return factor if not failed and pivots.min() > SAFE_PIVOT * pivots.max() else None

    @functools.cached_property
    def basis(self) -> Float[Tensor, "d r"] | None:
        """Orthonormal columns that span what the anchors see, fewer than d; None where that is everything."""
        if self.factor(0.0) is not None:
            return None
        values, vectors = self.eigen
        solid = values >= RANK_TOLERANCE * values[-1]  # all of them where every anchor is nought
        return None if bool(solid.all()) else vectors[:, solid]

    def within(self, basis: Float[Tensor, "d r"]) -> "TargetAnchors":
        """The same anchors in the coordinates of a basis."""
        return TargetAnchors(self.b @ basis, unit=False)
