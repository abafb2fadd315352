"""The solvers against float64 references, brute force, and each other."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from ptx.stages import solvers
from ptx.stages.relative import cosines, top_k_mask
from ptx.stages.target import TargetAnchors


def problem(n: int = 6, k: int = 80, d: int = 10, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    anchors = torch.randn(k, d, generator=generator, dtype=torch.float64)
    c = normalize(torch.randn(n, k, generator=generator, dtype=torch.float64), dim=-1)
    return c, anchors


def exact(c: torch.Tensor, *, anchors: torch.Tensor, **more: Any) -> torch.Tensor:
    return solvers.exact(c, anchors=TargetAnchors(anchors), **more)


def objective(c: torch.Tensor, u: torch.Tensor, anchors: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """cos(c, Bu) over the entries in the mask, written out for one vector at a time."""
    b = anchors / anchors.norm(dim=1, keepdim=True)
    values = []
    for i in range(len(c)):
        keep = torch.ones(c.shape[1], dtype=torch.bool) if mask is None else mask[i]
        left, right = c[i][keep], b[keep] @ u[i]
        values.append(left @ right / (left.norm() * right.norm()))
    return torch.stack(values)


@pytest.mark.parametrize("top_k", [None, 60, 30, 15, 7])
def test_exact_equals_lstsq_of_each_vector(top_k: int | None) -> None:
    c, anchors = problem()
    mask = None if top_k is None else top_k_mask(c, top_k)
    u = exact(c, anchors=anchors, mask=mask)
    b = normalize(anchors, dim=-1)
    for i in range(len(c)):
        keep = torch.ones(c.shape[1], dtype=torch.bool) if mask is None else mask[i]
        reference = torch.linalg.lstsq(b[keep], c[i][keep, None], driver="gelsd").solution[:, 0]
        torch.testing.assert_close(u[i], normalize(reference, dim=0), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("top_k", [None, 60, 25])
def test_nothing_nearby_is_better_than_exact(top_k: int | None) -> None:
    c, anchors = problem()
    mask = None if top_k is None else top_k_mask(c, top_k)
    u = exact(c, anchors=anchors, mask=mask)
    best = objective(c, u, anchors, mask)
    generator = torch.Generator().manual_seed(1)
    for scale in (1e-3, 1e-1, 1.0):
        for _ in range(50):
            other = u + scale * torch.randn(u.shape, generator=generator, dtype=torch.float64)
            assert (objective(c, other, anchors, mask) <= best + 1e-12).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(12, 60), d=st.integers(2, 12), share=st.floats(0.3, 1.0))
def test_exact_is_never_below_adam(seed: int, k: int, d: int, share: float) -> None:
    c, anchors = problem(3, k, d, seed)
    mask = top_k_mask(c, max(1, int(share * k)))
    start = torch.randn(3, d, generator=torch.Generator().manual_seed(seed))
    by_adam = solvers.adam(c, start, anchors=anchors, mask=mask, steps=300, lr=5e-2)
    exactly = objective(c, exact(c, anchors=anchors, mask=mask), anchors, mask)
    assert (exactly >= objective(c, by_adam.double(), anchors, mask) - 1e-9).all()


def test_adam_comes_close_to_exact() -> None:
    c, anchors = problem()
    mask = top_k_mask(c, 40)
    u = solvers.adam(c, torch.randn(6, 10), anchors=anchors, mask=mask, steps=2000, lr=5e-3)
    best = objective(c, exact(c, anchors=anchors, mask=mask), anchors, mask)
    torch.testing.assert_close(objective(c, u.double(), anchors, mask), best, rtol=0, atol=1e-3)


def test_best_cosine_is_that_of_the_projection() -> None:
    c, anchors = problem()
    b = normalize(anchors, dim=-1)
    projected = b @ torch.linalg.pinv(b) @ c.T
    torch.testing.assert_close(
        objective(c, exact(c, anchors=anchors), anchors, None), projected.norm(dim=0) / c.norm(dim=1)
    )


@pytest.mark.parametrize("top_k", [None, 8, 20])
def test_rank_deficient_anchors_give_the_shortest_solution(top_k: int | None) -> None:
    c, anchors = problem(k=40, d=12)
    anchors[:, 8:] = 0  # four directions that no anchor sees
    mask = None if top_k is None else top_k_mask(c, top_k)
    u = exact(c, anchors=anchors, mask=mask)
    assert torch.isfinite(u).all()
    assert u[:, 8:].abs().max() < 1e-10


def test_fewer_anchors_than_width_give_the_minimum_norm_solution() -> None:
    c, anchors = problem(k=6, d=10)
    reference = normalize(c @ torch.linalg.pinv(normalize(anchors, dim=-1)).T, dim=-1)
    torch.testing.assert_close(exact(c, anchors=anchors), reference)


def test_vectors_do_not_depend_on_their_batch() -> None:
    c, anchors = problem(n=8)
    mask = top_k_mask(c, 30)
    together = exact(c, anchors=anchors, mask=mask)
    alone = torch.cat([exact(c[i : i + 1], anchors=anchors, mask=mask[i : i + 1]) for i in range(8)])
    torch.testing.assert_close(together, alone, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("top_k", [None, 60, 15])
def test_ridge_solves_the_penalised_normal_equations(top_k: int | None) -> None:
    c, anchors = problem()
    mask = torch.ones_like(c, dtype=torch.bool) if top_k is None else top_k_mask(c, top_k)
    b = normalize(anchors, dim=-1)
    penalty = 0.3 * len(b) / b.shape[1]  # the mean eigenvalue of B'B is its trace over d, and every row has length 1
    u = exact(c, anchors=anchors, mask=None if top_k is None else mask, ridge=0.3)
    for i in range(len(c)):
        kept = b[mask[i]]
        reference = torch.linalg.solve(
            kept.T @ kept + penalty * torch.eye(10, dtype=torch.float64), kept.T @ c[i][mask[i]]
        )
        torch.testing.assert_close(u[i], normalize(reference, dim=0), rtol=1e-8, atol=1e-8)


def test_gcv_minimises_the_score_computed_from_the_hat_matrix() -> None:
    c, anchors = problem(n=4)
    b = normalize(anchors, dim=-1)
    values, vectors = torch.linalg.eigh(b.T @ b)
    chosen = solvers.gcv(c, b, values, vectors)
    for i in range(len(c)):
        scores = []
        for penalty in solvers.GCV_GRID * values.mean():
            hat = b @ torch.linalg.solve(b.T @ b + penalty * torch.eye(10, dtype=torch.float64), b.T)
            scores.append((c[i] - hat @ c[i]).square().sum() / (1 - hat.trace() / len(b)) ** 2)
        assert chosen[i] == solvers.GCV_GRID[torch.stack(scores).argmin()]


def test_gcv_shrinks_more_where_there_is_more_noise() -> None:
    c, anchors = problem(n=1, k=200)
    b = normalize(anchors, dim=-1)
    values, vectors = torch.linalg.eigh(b.T @ b)
    clean = (b @ torch.randn(10, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))).T
    assert solvers.gcv(clean, b, values, vectors) < solvers.gcv(clean + 20 * c, b, values, vectors)


def test_what_searches_on_a_target_share_equals_its_definition() -> None:
    _, anchors = problem(k=50, d=13)
    target = TargetAnchors(anchors)
    b = anchors / anchors.norm(dim=1, keepdim=True)
    torch.testing.assert_close(target.b, b)
    torch.testing.assert_close(target.gram, b.T @ b)
    torch.testing.assert_close(target.cosines(anchors[:4]), cosines(anchors[:4], anchors=anchors))


def test_own_similarities_give_back_the_vector() -> None:
    _, anchors = problem()
    v = torch.randn(5, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    r = cosines(v, anchors=anchors)
    for mask in (None, top_k_mask(r, 40)):
        found = exact(normalize(r if mask is None else r * mask, dim=-1), anchors=anchors, mask=mask)
        torch.testing.assert_close(found, normalize(v, dim=-1), rtol=0, atol=1e-10)
