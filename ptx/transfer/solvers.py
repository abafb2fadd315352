"""Find target vectors whose relative representation matches (Eq. 5, 7): by least squares, or by Adam.

Let B be the row-normalised target anchors (k x d) and c the weighted sum of the sources' unit representations. The
objective cos(c, Bu) does not depend on |u|, so its maximum is a least-squares solution: u = (B'B)^-1 B'c. With a mask
M on the target's entries, u = (B'MB)^-1 B'Mc, a different matrix for every vector. Only directions are determined.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from ptx.transfer.equations import matching_loss, relative_representation
from ptx.transfer.target import TargetAnchors

RANK_TOLERANCE = 1e-12  # eigenvalues of B'B below this share of the largest one are rounding errors
SAFE_PIVOT = 1e-8  # squared pivots of a Cholesky factor below this share of the largest: use eigenvalues instead
# Of the normal equations, relative to their right-hand side. The cosine, flat at its optimum, is then exact to
# float64's last digits, and the direction better than the float32 that prompts are kept in.
RESIDUAL = 1e-9
ROUNDS = 6  # of float32 conjugate gradients, each from the float64 residual that the one before it left
ITERATIONS = 40  # in one round
GAIN = 2e-5  # what a round is asked for; float32 cannot give much more
GCV_GRID = 10.0 ** torch.arange(-6, 3, 0.25, dtype=torch.float64)


def exact(
    c: Float[Tensor, "n k"],
    *,
    anchors: TargetAnchors,
    mask: Bool[Tensor, "n k"] | None = None,
    ridge: float | str = 0.0,
) -> Float[Tensor, "n d"]:
    """Unit vectors u_i that maximise cos(c_i, B u_i) over the entries in the mask, in float64.

    Where the solution is not unique, the shortest one. `ridge` is in units of the mean eigenvalue of B'B; "gcv" chooses
    it for every vector by generalised cross-validation over all anchors, which needs no labels.
    """
    b, c = anchors.b, c.double()
    unit = anchors.gram.diagonal().mean()  # the mean eigenvalue
    penalty = torch.full((len(c),), 0.0 if ridge == "gcv" else float(ridge), dtype=torch.float64, device=c.device)
    if ridge == "gcv":
        penalty = gcv(c if mask is None else c * mask, b, *anchors.eigen)
    if mask is None or bool(mask.all()):
        return normalize(_inverse(anchors, penalty * unit)(c @ b), dim=-1)
    d = b.shape[1]
    u = torch.empty(len(c), d, dtype=torch.float64, device=c.device)
    # With few entries per vector B'MB is (nearly) singular: solve those directly.
    few = mask.sum(-1) < 2 * d
    if few.any():
        parts = zip(c[few], mask[few], penalty[few] * unit, strict=True)
        u[few] = torch.stack([_direct(ci, b, mi, p) for ci, mi, p in parts])
    if not few.all():
        many = ~few
        u[many] = _conjugate_gradients(
            c[many], b, mask[many], _inverse(anchors, penalty[many] * unit), penalty[many] * unit
        )
    return normalize(u, dim=-1)


def _inverse(anchors: TargetAnchors, penalty: Float[Tensor, " n"]) -> Callable[[Tensor], Tensor]:
    """right [n, d] -> (B'B + penalty_i I)^+ right_i for each row, in the precision of `right`: by one Cholesky factor
    where all rows share a penalty and the matrix is well conditioned, else by eigenvalues."""
    if bool((penalty == penalty[0]).all()):
        shifted = anchors.gram.clone()
        shifted.diagonal().add_(penalty[0])
        factor, failed = torch.linalg.cholesky_ex(shifted)
        pivots = factor.diagonal() ** 2
        if not failed and pivots.min() > SAFE_PIVOT * pivots.max():
            return lambda right: torch.cholesky_solve(right.T, factor.to(right.dtype)).T
    return lambda right: _spectral(right, *anchors.eigen, penalty)


def _spectral(
    right: Float[Tensor, "n d"],
    values: Float[Tensor, " d"],
    vectors: Float[Tensor, "d d"],
    penalty: Float[Tensor, " n"],
) -> Float[Tensor, "n d"]:
    """(B'B + penalty I)^+ right, from the eigendecomposition of B'B."""
    solid = values > RANK_TOLERANCE * values[-1]
    shrunk = torch.where(solid, 1 / (torch.where(solid, values, 1.0) + penalty[:, None]), 0.0)
    vectors, shrunk = vectors.to(right.dtype), shrunk.to(right.dtype)
    return (right @ vectors * shrunk) @ vectors.T


def _direct(
    c: Float[Tensor, " k"], b: Float[Tensor, "k d"], mask: Bool[Tensor, " k"], penalty: Float[Tensor, ""]
) -> Float[Tensor, " d"]:
    """The (minimum-norm) least-squares solution of one vector, from the singular values of its rows of B."""
    left, singular, right = torch.linalg.svd(b[mask], full_matrices=False)
    solid = singular > RANK_TOLERANCE**0.5 * singular[0]
    factors = torch.where(solid, singular / (torch.where(solid, singular, 1.0) ** 2 + penalty), 0.0)
    return right.T @ (factors * (left.T @ c[mask]))


def _conjugate_gradients(
    c: Float[Tensor, "n k"],
    b: Float[Tensor, "k d"],
    mask: Bool[Tensor, "n k"],
    inverse: Callable[[Tensor], Tensor],
    penalty: Float[Tensor, " n"],
) -> Float[Tensor, "n d"]:
    """All vectors at once, preconditioned with (B'B)^-1.

    Rounds of float32 iterations, each on the residual that float64 finds; what does not converge is solved directly.
    """

    def apply(x: Tensor, b: Tensor) -> Tensor:
        return (x @ b.T).mul_(mask) @ b + penalty[:, None].to(x.dtype) * x

    right = (c * mask) @ b
    size = right.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
    rough = b.float()
    u = torch.zeros_like(right)
    residual = right
    for _ in range(ROUNDS):
        scale = residual.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
        u = u + scale * _round((residual / scale).float(), lambda x: apply(x, rough), inverse).double()
        residual = right - apply(u, b)
        if (residual.norm(dim=-1, keepdim=True) <= RESIDUAL * size).all():
            return u
    wrong = (residual.norm(dim=-1, keepdim=True) > 10 * RESIDUAL * size).flatten()
    for i in wrong.nonzero().flatten().tolist():
        u[i] = _direct(c[i], b, mask[i], penalty[i])
    return u


def _round(
    right: Float[Tensor, "n d"], apply: Callable[[Tensor], Tensor], inverse: Callable[[Tensor], Tensor]
) -> Float[Tensor, "n d"]:
    """Conjugate gradients in the precision of `right`, whose rows have unit length, until residuals are below GAIN."""
    tiny = torch.finfo(right.dtype).tiny
    u = torch.zeros_like(right)
    residual = right
    z = inverse(residual)
    direction = z
    product = (residual * z).sum(-1)
    for _ in range(ITERATIONS):
        image = apply(direction)
        step = product / (direction * image).sum(-1).clamp_min(tiny)
        u = u + step[:, None] * direction
        residual = residual - step[:, None] * image
        if (residual.norm(dim=-1) <= GAIN).all():
            break
        z = inverse(residual)
        previous, product = product, (residual * z).sum(-1)
        direction = z + (product / previous.clamp_min(tiny))[:, None] * direction
    return u


def gcv(
    c: Float[Tensor, "n k"], b: Float[Tensor, "k d"], values: Float[Tensor, " d"], vectors: Float[Tensor, "d d"]
) -> Float[Tensor, " n"]:
    """For every vector the penalty of GCV_GRID (in units of the mean eigenvalue) with the least GCV score.

    GCV(p) = |c - Hc|^2 / (1 - tr(H) / k)^2 with H = B (B'B + pI)^-1 B' (Golub, Heath and Wahba, 1979).
    """
    solid = values > RANK_TOLERANCE * values[-1]
    z = ((c @ b) @ vectors)[:, solid] / values[solid].sqrt()  # coordinates of c along B's left singular vectors
    outside = ((c * c).sum(-1) - (z * z).sum(-1)).clamp_min(0.0)
    scores = []
    for penalty in GCV_GRID * values.mean().item():
        h = values[solid] / (values[solid] + penalty)
        misfit = outside + ((z * (1 - h)) ** 2).sum(-1)
        scores.append(misfit / (1 - h.sum() / len(b)).clamp_min(1e-12) ** 2)
    return GCV_GRID.to(c.device)[torch.stack(scores).argmin(0)]


def adam(
    c: Float[Tensor, "n k"],
    start: Float[Tensor, "n d"],
    *,
    anchors: Float[Tensor, "k d"],
    mask: Bool[Tensor, "n k"] | None = None,
    steps: int,
    lr: float,
    snapshot: Callable[[int, Float[Tensor, "n d"]], None] = lambda step, u: None,
) -> Float[Tensor, "n d"]:
    """Adam on the same objective, as in the authors' code (float32, 2,000 steps, lr 5e-3). `anchors` are B.

    Vectors do not interact, so all tasks go in one batch. `snapshot` sees every step, step 0 being the start.
    """
    b = normalize(anchors.float(), dim=-1)  # once more: rounding to float32 changes lengths
    c = c.float() if mask is None else c.float() * mask
    u = start.float().clone().requires_grad_()
    optimizer = torch.optim.Adam([u], lr=lr)
    snapshot(0, u.detach())
    for step in range(1, steps + 1):
        losses = matching_loss(c, relative_representation(u, anchors=b), mask=mask)
        optimizer.zero_grad()
        losses.sum().backward()
        optimizer.step()
        snapshot(step, u.detach())
    return u.detach()
