"""Find target vectors whose relative representation matches (Eq. 5, 7): by least squares, or by Adam.

Let B be the row-normalised target anchors (k x d) and c the weighted sum of the sources' unit representations. The
objective cos(c, Bu) does not depend on |u|, so its maximum is a least-squares solution: u = (B'B)^-1 B'c. With a mask
M on the target's entries, u = (B'MB)^-1 B'Mc, a different matrix for every vector. Only directions are determined.
"""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from ptx.transfer.equations import matching_loss, relative_representation
from ptx.transfer.target import RANK_TOLERANCE, TargetAnchors

# Of the normal equations, relative to their right-hand side. The cosine, flat at its optimum, is then exact to
# float64's last digits, and the direction better than the float32 that prompts are kept in.
RESIDUAL = 1e-9
ROUNDS = 6  # of float32 conjugate gradients, each from the float64 residual that the one before it left
ITERATIONS = 40  # in one round
GAIN = 2e-5  # what a round is asked for; float32 cannot give much more
# How noise is judged: by every third row, which is mostly enough, else by all; with the least share after each round.
SEEN = ((3, 0.05), (1, 0.05), (1, 1e-3))
GCV_GRID = 10.0 ** torch.arange(-6, 3, 0.25, dtype=torch.float64)


def exact(
    c: Float[Tensor, "n k"],
    *,
    anchors: TargetAnchors,
    mask: Bool[Tensor, "n k"] | None = None,
    ridge: float | str = 0.0,
) -> Float[Tensor, "n d"]:
    """Vectors u_i that maximise cos(c_i, B u_i) over the entries in the mask, as least squares gives them, in float64.

    Where the solution is not unique, the shortest one. `ridge` is in units of the mean eigenvalue of B'B; "gcv" chooses
    it for every vector by generalised cross-validation over all anchors, which needs no labels.
    """
    c = c.double()
    unit = anchors.gram.diagonal().mean()  # the mean eigenvalue
    penalty = torch.full((len(c),), 0.0 if ridge == "gcv" else float(ridge), dtype=torch.float64, device=c.device)
    if ridge == "gcv":
        penalty = gcv(c if mask is None else c * mask, anchors.b, *anchors.eigen)
    if mask is None or bool(mask.all()):
        return _inverse(anchors, penalty * unit)(c @ anchors.b)
    if anchors.basis is None:
        return _masked(c, anchors, mask, penalty * unit)
    # In coordinates of what the anchors see, B'B has no direction that it maps to zero.
    return _masked(c, anchors.within(anchors.basis), mask, penalty * unit) @ anchors.basis.T


def _masked(
    c: Float[Tensor, "n k"], anchors: TargetAnchors, mask: Bool[Tensor, "n k"], penalty: Float[Tensor, " n"]
) -> Float[Tensor, "n d"]:
    """The shortest solution of each vector on its own rows of B: all vectors at once, one by one those that this fails.

    B as a whole must leave no direction open.
    """
    b = anchors.b
    u = torch.zeros(len(c), b.shape[1], dtype=torch.float64, device=c.device)
    together = mask.sum(-1) >= 2 * b.shape[1]  # with fewer entries B'MB is (nearly) singular
    if together.any():
        own, p = mask[together], penalty[together]
        inverse = _inverse(anchors, p)
        u[together], solved = _conjugate_gradients((c[together] * own) @ b, b, own, inverse, p)
        together[together.clone()] = solved & _determined(b, own, inverse, p)
    for i in (~together).nonzero().flatten().tolist():
        u[i] = _direct(c[i], b, mask[i], penalty[i])
    return u


def _determined(
    b: Float[Tensor, "k d"],
    mask: Bool[Tensor, "n k"],
    inverse: Callable[[Tensor], Tensor],
    penalty: Float[Tensor, " n"],
) -> Bool[Tensor, " n"]:
    """Whether the rows in each mask leave no direction open, nor nearly so.

    Conjugate gradients cannot tell, since a right-hand side never points there. Noise does: of it, what they do not
    find again from its image is a rest x that the rows hardly see. x'(B'MB + pI)x / x'(B'B + pI)x is next to nought
    where a direction is open, and elsewhere not below the least eigenvalue of the preconditioned matrix.
    """
    noise = torch.randn(len(b), generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(b.device)
    rest = inverse((noise @ b).expand(len(mask), -1)).float()
    for every, enough in SEEN:
        rows, kept = b[::every].float(), mask[:, ::every]
        apply = partial(_image, b=rows, mask=kept, penalty=penalty)
        image = apply(rest)
        size = image.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
        rest = rest - size * _round(image / size, apply, inverse)
        cosines, shrunk = (rest @ rows.T).square_(), penalty * rest.square().sum(-1)
        seen = ((cosines * kept).sum(-1) + shrunk) / (cosines.sum(-1) + shrunk) >= enough
        if seen.all():
            break
    return seen


def _inverse(anchors: TargetAnchors, penalty: Float[Tensor, " n"]) -> Callable[[Tensor], Tensor]:
    """right [n, d] -> (B'B + penalty_i I)^+ right_i for each row, in the precision of `right`: by one Cholesky factor
    where all rows share a penalty and the matrix is well conditioned, else by eigenvalues."""
    if bool((penalty == penalty[0]).all()):
        factor = anchors.factor(penalty[0].item())
        if factor is not None:
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
    solid = singular > RANK_TOLERANCE**0.5 * singular[:1]
    factors = torch.where(solid, singular / (torch.where(solid, singular, 1.0) ** 2 + penalty), 0.0)
    return right.T @ (factors * (left.T @ c[mask]))


def _image(
    x: Float[Tensor, "n d"], b: Float[Tensor, "k d"], mask: Bool[Tensor, "n k"], penalty: Float[Tensor, " n"]
) -> Float[Tensor, "n d"]:
    """(B'M_i B + penalty_i I) x_i for each row, in the precision of `x`."""
    return (x @ b.T).mul_(mask) @ b + penalty[:, None].to(x.dtype) * x


def _conjugate_gradients(
    right: Float[Tensor, "n d"],
    b: Float[Tensor, "k d"],
    mask: Bool[Tensor, "n k"],
    inverse: Callable[[Tensor], Tensor],
    penalty: Float[Tensor, " n"],
) -> tuple[Float[Tensor, "n d"], Bool[Tensor, " n"]]:
    """The x_i whose image is right_i, all at once, preconditioned with (B'B)^-1; and which of them are as exact as
    RESIDUAL asks for.

    Rounds of float32 iterations, each on the residual that float64 finds. A round counts only where it leaves less than
    there was: never where it went astray and gives NaN or infinity.
    """
    tiny = torch.finfo(torch.float64).tiny
    rough = b.float()
    u, residual = torch.zeros_like(right), right
    left = right.norm(dim=-1, keepdim=True)
    enough = RESIDUAL * left
    for _ in range(ROUNDS):
        scale = left.clamp_min(tiny)
        step = _round((residual / scale).float(), lambda x: _image(x, rough, mask, penalty), inverse)
        tried = u + scale * step.double()
        after = right - _image(tried, b, mask, penalty)
        better = after.norm(dim=-1, keepdim=True) < left
        u, residual = torch.where(better, tried, u), torch.where(better, after, residual)
        left = residual.norm(dim=-1, keepdim=True)
        if bool((left <= enough).all()) or not bool(better.any()):
            break
    return u, (left <= enough).flatten()


def _round(
    right: Float[Tensor, "n d"], apply: Callable[[Tensor], Tensor], inverse: Callable[[Tensor], Tensor]
) -> Float[Tensor, "n d"]:
    """Conjugate gradients in the precision of `right`, whose rows have unit length, until residuals are below GAIN."""
    u = torch.zeros_like(right)
    residual = right
    z = inverse(residual)
    direction = z
    product = (residual * z).sum(-1)
    for _ in range(ITERATIONS):
        image = apply(direction)
        step = _ratio(product, (direction * image).sum(-1))
        u = u + step[:, None] * direction
        residual = residual - step[:, None] * image
        if bool((residual.norm(dim=-1) <= GAIN).all()):
            break
        z = inverse(residual)
        previous, product = product, (residual * z).sum(-1)
        direction = z + _ratio(product, previous)[:, None] * direction
    return u


def _ratio(above: Float[Tensor, " n"], below: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Nought where `below` is not positive, as rounding leaves it where there is nothing more to find."""
    return torch.where(below > 0, above / torch.where(below > 0, below, 1.0), 0.0)


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
