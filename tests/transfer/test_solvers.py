"""The solvers against float64 references, brute force, and each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from ptx.transfer import solvers
from ptx.transfer.equations import relative_representation, top_k_mask, unit_rows
from ptx.transfer.target import TargetAnchors


def problem(n: int = 6, k: int = 80, d: int = 10, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    anchors = torch.randn(k, d, generator=generator, dtype=torch.float64)
    c = normalize(torch.randn(n, k, generator=generator, dtype=torch.float64), dim=-1)
    return c, anchors


def exact(c: torch.Tensor, *, anchors: torch.Tensor, **more: Any) -> torch.Tensor:
    """The directions alone."""
    return normalize(solvers.exact(c, anchors=TargetAnchors(anchors), **more), dim=-1)


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
    u = solvers.exact(c, anchors=TargetAnchors(anchors), mask=mask)
    b = normalize(anchors, dim=-1)
    for i in range(len(c)):
        keep = torch.ones(c.shape[1], dtype=torch.bool) if mask is None else mask[i]
        reference = torch.linalg.lstsq(b[keep], c[i][keep, None], driver="gelsd").solution[:, 0]
        torch.testing.assert_close(u[i], reference, rtol=1e-8, atol=1e-8)


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


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(12, 60), d=st.integers(2, 12), share=st.floats(0.3, 1.0))
def test_exact_is_never_below_adam(seed: int, k: int, d: int, share: float) -> None:
    c, anchors = problem(3, k, d, seed)
    mask = top_k_mask(c, max(1, int(share * k)))
    start = torch.randn(3, d, generator=torch.Generator().manual_seed(seed))
    by_adam = solvers.adam(c, start, anchors=anchors, mask=mask, steps=150, lr=5e-2)
    exactly = objective(c, exact(c, anchors=anchors, mask=mask), anchors, mask)
    assert (exactly >= objective(c, by_adam.double(), anchors, mask) - 1e-9).all()


def test_adam_comes_close_to_exact() -> None:
    c, anchors = problem()
    mask = top_k_mask(c, 40)
    u = solvers.adam(c, torch.randn(6, 10), anchors=anchors, mask=mask, steps=1000, lr=1e-2)
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


def test_own_similarities_give_back_the_vector() -> None:
    _, anchors = problem()
    v = torch.randn(5, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    r = relative_representation(v, anchors=unit_rows(anchors))
    for mask in (None, top_k_mask(r, 40)):
        found = exact(normalize(r if mask is None else r * mask, dim=-1), anchors=anchors, mask=mask)
        torch.testing.assert_close(found, normalize(v, dim=-1), rtol=0, atol=1e-10)


def pseudo_inverse(matrix: torch.Tensor, penalty: float = 0.0, tolerance: float = 1e-12) -> torch.Tensor:
    """(matrix + penalty I)^+ of a symmetric matrix, whose small eigenvalues are nought."""
    values, vectors = torch.linalg.eigh(matrix)
    kept = values > tolerance * values.max()
    return vectors[:, kept] @ torch.diag(1 / (values[kept] + penalty)) @ vectors[:, kept].T


def masks(n: int, k: int, counts: list[int]) -> torch.Tensor:
    """Row i keeps the first counts[i] entries."""
    return torch.arange(k)[None, :] < torch.tensor(counts)[:, None].expand(n, 1)


def with_spectrum(values: list[float]) -> TargetAnchors:
    """A target whose Gram matrix has these eigenvalues; its anchors need not have unit length then."""
    d = len(values)
    target = TargetAnchors(torch.ones(1, 1))
    left = torch.linalg.qr(problem(k=3 * d, d=d)[1])[0]
    right = torch.linalg.qr(problem(k=d, d=d, seed=1)[1])[0]
    target.b = left @ torch.diag(torch.tensor(values, dtype=torch.float64).sqrt()) @ right.T
    return target


@pytest.mark.parametrize("ridge", [0.0, 0.3, "gcv"])
@pytest.mark.parametrize("counts", [None, [80] * 4, [60, 70, 50, 45], [7, 12, 9, 3], [60, 7, 20, 19]])
def test_every_vector_is_solved_by_itself(counts: list[int] | None, ridge: float | str) -> None:
    """With many entries, with few, and with both in one batch; float32 is as good as float64 on the way in."""
    c, anchors = problem(n=4)
    c, b = c.float().double(), unit_rows(anchors)
    mask = None if counts is None else masks(4, 80, counts)
    u = exact(c.float(), anchors=anchors, mask=mask, ridge=ridge)
    assert u.dtype == torch.float64
    for i in range(4):
        keep = torch.ones(80, dtype=torch.bool) if mask is None else mask[i]
        share = ridge
        if isinstance(share, str):
            share = solvers.gcv((c * keep)[i : i + 1], b, *TargetAnchors(anchors).eigen).item()
        penalty = share * (b.T @ b).diagonal().sum().item() / 10
        if penalty:
            system = b[keep].T @ b[keep] + penalty * torch.eye(10, dtype=torch.float64)
            wanted = torch.linalg.solve(system, b[keep].T @ c[i][keep])
        else:
            wanted = torch.linalg.lstsq(b[keep], c[i][keep, None], driver="gelsd").solution[:, 0]
        iterated = counts is not None and 20 <= counts[i] < 80
        torch.testing.assert_close(u[i], wanted / wanted.norm(), rtol=0, atol=1e-7 if iterated else 1e-12)


def test_a_mask_that_keeps_everything_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """One factor serves all vectors then."""

    def refuse(*_: Any) -> None:
        raise AssertionError("iterated")

    c, anchors = problem()
    monkeypatch.setattr(solvers, "_conjugate_gradients", refuse)
    everything = exact(c, anchors=anchors, mask=torch.ones_like(c, dtype=torch.bool))
    assert torch.equal(everything, exact(c, anchors=anchors))
    with pytest.raises(AssertionError, match="iterated"):
        exact(c, anchors=anchors, mask=masks(6, 80, [80] * 5 + [79]))


def test_similarities_of_nought_give_no_direction() -> None:
    c, anchors = problem()
    c[2] = 0
    for mask in (None, masks(6, 80, [60] * 6), masks(6, 80, [7] * 6)):
        u = exact(c, anchors=anchors, mask=mask)
        assert u[2].abs().max() == 0
        torch.testing.assert_close(u.norm(dim=-1), torch.tensor([1.0, 1, 0, 1, 1, 1], dtype=torch.float64))


@pytest.mark.parametrize("penalties", [[0.0] * 3, [0.7] * 3, [0.0, 0.7, 2.0]])
@pytest.mark.parametrize("least", [1.0, 1e-5, 1e-10, 1e-15, 0.0])
def test_the_inverse_of_the_gram_matrix(least: float, penalties: list[float]) -> None:
    """By a Cholesky factor or by eigenvalues, of which those below 1e-12 of the largest are nought."""
    target = with_spectrum([least, 0.5, 1.0, 3.0])
    inverse = solvers._inverse(target, torch.tensor(penalties, dtype=torch.float64))
    right = problem(n=3, k=4)[0]
    found = inverse(right)
    for i, penalty in enumerate(penalties):
        wanted = pseudo_inverse(target.gram, penalty) @ right[i]
        if least in (1e-15, 0.0) and penalty:  # the penalty makes the matrix regular; the direction is still no one's
            seen = target.gram @ wanted
            torch.testing.assert_close(target.gram @ found[i], seen, rtol=1e-8, atol=1e-8)
        else:
            torch.testing.assert_close(found[i], wanted, rtol=1e-4 if least == 1e-10 else 1e-8, atol=1e-8)
    single = inverse(right.float())
    assert single.dtype == torch.float32
    if least == 1.0:
        torch.testing.assert_close(single.double(), found, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize(
    ("least", "alike", "spectral"),
    [(1.0, True, False), (1e-6, True, False), (1e-10, True, True), (0.0, True, True), (1.0, False, True)],
)
def test_eigenvalues_are_used_only_where_a_factor_does_not_do(
    least: float, alike: bool, spectral: bool, scale: float
) -> None:
    target = with_spectrum([scale * value for value in (least, 0.5, 1.0, 3.0)])
    inverse = solvers._inverse(target, torch.tensor([0.0, 0.0 if alike else scale], dtype=torch.float64))
    inverse(problem(n=2, k=4)[0])
    assert ("eigen" in vars(target)) == spectral


def test_the_gram_matrix_is_not_changed_by_a_penalty() -> None:
    target = with_spectrum([0.2, 0.5, 1.0, 3.0])
    before = target.gram.clone()
    solvers._inverse(target, torch.tensor([0.7, 0.7], dtype=torch.float64))
    assert torch.equal(target.gram, before)


@pytest.mark.parametrize(("least", "kept"), [(1e-11, True), (1e-13, False)])
def test_eigenvalues_that_are_rounding_errors(least: float, kept: bool) -> None:
    """Relative to the largest, which is 4."""
    values = torch.tensor([4 * least, 1.0, 4.0], dtype=torch.float64)
    found = solvers._spectral(
        torch.ones(1, 3, dtype=torch.float64),
        values,
        torch.eye(3, dtype=torch.float64),
        torch.zeros(1, dtype=torch.float64),
    )
    assert found.tolist() == [[pytest.approx(1 / (4 * least)) if kept else 0, 1, 0.25]]


@pytest.mark.parametrize(("least", "kept"), [(1e-5, True), (1e-7, False)])
def test_singular_values_that_are_rounding_errors(least: float, kept: bool) -> None:
    """Relative to the largest, which is 200; squared they are eigenvalues."""
    b = torch.diag(torch.tensor([200.0, 1.0, 200 * least], dtype=torch.float64))
    mask = torch.ones(3, dtype=torch.bool)
    found = solvers._direct(torch.ones(3, dtype=torch.float64), b, mask, torch.zeros((), dtype=torch.float64))
    assert found.tolist() == pytest.approx([0.005, 1, 1 / (200 * least) if kept else 0])


@pytest.mark.parametrize("penalty", [0.0, 0.4])
@pytest.mark.parametrize("count", [3, 10, 30])
def test_one_vector_directly(count: int, penalty: float) -> None:
    c, anchors = problem(n=1)
    mask = masks(1, 80, [count])[0].flip(0)
    found = solvers._direct(c[0], anchors, mask, torch.tensor(penalty, dtype=torch.float64))
    rows = anchors[80 - count :]
    wanted = pseudo_inverse(rows.T @ rows, penalty) @ rows.T @ c[0, 80 - count :]
    torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-8)


def masked_solutions(c: torch.Tensor, b: torch.Tensor, mask: torch.Tensor, penalty: torch.Tensor) -> torch.Tensor:
    """(B'M_i B + penalty_i I)^-1 B'M_i c_i for each row."""
    eye = torch.eye(b.shape[1], dtype=torch.float64)
    solved = [
        torch.linalg.solve(b.T @ (m[:, None] * b) + p * eye, b.T @ (m * x))
        for x, m, p in zip(c, mask.double(), penalty, strict=True)
    ]
    return torch.stack(solved)


PENALTIES = torch.tensor([0.0, 0.5, 0.0, 3.0, 0.1, 0.0], dtype=torch.float64)


def test_conjugate_gradients_need_no_help(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every vector converges, to float64's accuracy, in a few rounds of float32."""
    c, anchors = problem(k=200)
    b, mask = unit_rows(anchors), masks(6, 200, [150, 120, 180, 100, 199, 60])
    rounds = []
    one_round = solvers._round

    def counted(right: torch.Tensor, *more: Any) -> torch.Tensor:
        rounds.append(right)
        return one_round(right, *more)

    monkeypatch.setattr(solvers, "_round", counted)
    inverse = solvers._inverse(TargetAnchors(anchors), PENALTIES)
    lengths = torch.tensor([1, 1e-4, 1e4, 1, 10, 1e-2], dtype=torch.float64)[:, None]
    u, solved = solvers._conjugate_gradients((lengths * c * mask) @ b, b, mask, inverse, PENALTIES)
    assert solved.all()
    torch.testing.assert_close(u / lengths, masked_solutions(c, b, mask, PENALTIES), rtol=1e-8, atol=1e-8)
    assert 2 <= len(rounds) <= 3
    for right in rounds:
        assert right.dtype == torch.float32
        torch.testing.assert_close(right.norm(dim=-1), torch.ones(6))


@pytest.mark.parametrize("scale", [1e-60, 1.0, 1e60])
def test_conjugate_gradients_do_not_depend_on_scale(scale: float) -> None:
    c, anchors = problem()
    b, mask = unit_rows(anchors), masks(6, 80, [60, 40, 50, 70, 30, 80])
    inverse = solvers._inverse(TargetAnchors(anchors), PENALTIES)
    u, solved = solvers._conjugate_gradients((scale * c * mask) @ b, b, mask, inverse, PENALTIES)
    assert solved.all()
    torch.testing.assert_close(u / scale, masked_solutions(c, b, mask, PENALTIES), rtol=1e-7, atol=1e-7)


def test_what_does_not_converge_is_solved_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only that: here the row that a single step does not solve."""
    c, anchors = problem(n=3)
    mask = masks(3, 80, [60, 50, 80])
    solved, direct = [], solvers._direct

    def counted(*args: Any) -> torch.Tensor:
        solved.append(args[2].sum().item())
        return direct(*args)

    monkeypatch.setattr(solvers, "_direct", counted)
    wanted = solvers.exact(1e-5 * c, anchors=TargetAnchors(anchors), mask=mask)
    assert solved == []
    monkeypatch.setattr(solvers, "ITERATIONS", 1)
    # The preconditioner is the third row's own inverse: one step solves it.
    found = solvers.exact(1e-5 * c, anchors=TargetAnchors(anchors), mask=mask)
    assert solved == [60, 50]
    torch.testing.assert_close(found, wanted, rtol=1e-7, atol=1e-12)


DEFICIENT = {
    "duplicated": lambda a: a[torch.arange(len(a)) % (a.shape[1] - 2)],
    "centred": lambda a: a - a.mean(1, keepdim=True),
    "collinear": lambda a: torch.cat([a[:, :5], a[:, :5] @ torch.ones(5, a.shape[1] - 5).double()], dim=1),
    "on one line": lambda a: a[:1] * a[:, :1],
    "one is nought": lambda a: torch.cat([a[:-1], 0 * a[-1:]]),
    "all are nought": lambda a: 0 * a,
}


def shortest(c: torch.Tensor, b: torch.Tensor, mask: torch.Tensor, penalty: torch.Tensor) -> torch.Tensor:
    """The minimum-norm solution of every vector on its own rows, by numpy's singular values."""
    solved = []
    for x, m, p in zip(c.numpy(), mask.numpy(), penalty.tolist(), strict=True):
        left, singular, right = np.linalg.svd(b.numpy()[m], full_matrices=False)
        there = singular > 1e-9 * singular.max(initial=0.0)
        solved.append(right.T[:, there] @ ((left.T @ x[m])[there] * singular[there] / (singular[there] ** 2 + p)))
    return torch.from_numpy(np.stack(solved))


def check_shortest(c: torch.Tensor, anchors: torch.Tensor, mask: torch.Tensor, ridge: float | str) -> None:
    target = TargetAnchors(anchors)
    b = unit_rows(anchors)
    share = solvers.gcv(c * mask, b, *target.eigen)
    if not isinstance(ridge, str):
        share = torch.full_like(share, ridge)
    wanted = shortest(c, b, mask, share * b.square().sum() / b.shape[1])
    found = solvers.exact(c, anchors=target, mask=mask, ridge=ridge)
    torch.testing.assert_close(found, wanted, rtol=1e-7, atol=1e-7)
    reached, best = (((c * mask) * normalize((u @ b.T) * mask, dim=-1)).sum(-1) for u in (found, wanted))
    torch.testing.assert_close(reached, best, rtol=0, atol=1e-9)


@pytest.mark.parametrize("ridge", [0.0, 0.1, "gcv"])
@pytest.mark.parametrize("counts", [[390, 200, 150, 60], [400, 100, 7, 1]])
@pytest.mark.parametrize("name", DEFICIENT)
def test_anchors_that_do_not_determine_every_direction(name: str, counts: list[int], ridge: float | str) -> None:
    c, anchors = problem(n=4, k=400, d=24)
    check_shortest(c, DEFICIENT[name](anchors), masks(4, 400, counts), ridge)


@pytest.mark.parametrize("ridge", [0.0, 0.1, "gcv"])
@pytest.mark.parametrize("name", DEFICIENT)
def test_rows_in_a_mask_that_do_not_determine_every_direction(name: str, ridge: float | str) -> None:
    """Though all anchors do: of the first three hundred some directions are seen by none. The last mask has more."""
    c, anchors = problem(n=4, k=400, d=24)
    anchors = torch.cat([DEFICIENT[name](anchors)[:300], anchors[300:]])
    check_shortest(c, anchors, masks(4, 400, [300, 150, 60, 399]), ridge)


@pytest.mark.parametrize("few", [1, 7])
def test_one_direction_that_only_few_anchors_see(few: int) -> None:
    """Masks with them and without them, in one batch."""
    c, anchors = problem(n=3, k=400, d=24)
    anchors[:-few, 3] = 0
    mask = masks(3, 400, [400 - few, 400, 390 - few])
    mask[2, -few:] = True
    check_shortest(c, anchors, mask, 0.0)


def test_a_round_that_goes_astray_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN, infinity and what is worse than before: each vector is then solved directly."""
    c, anchors = problem(n=4, k=200)
    mask = masks(4, 200, [150, 120, 180, 100])
    wanted = solvers.exact(c, anchors=TargetAnchors(anchors), mask=mask)
    one_round = solvers._round

    def astray(*args: Any) -> torch.Tensor:
        u = one_round(*args)
        u[0], u[1], u[2] = torch.nan, torch.inf, 1e30
        return u

    monkeypatch.setattr(solvers, "_round", astray)
    found = solvers.exact(c, anchors=TargetAnchors(anchors), mask=mask)
    torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_what_a_round_has_nothing_to_find_for(scale: float) -> None:
    """A right-hand side of nought, and one that the preconditioner maps to nought: no NaN, whatever the scale."""
    right = torch.zeros(3, 4)
    right[1, 3] = right[2, 0] = 1
    kept = torch.tensor([1.0, 1.0, 1.0, 0.0])
    u = solvers._round(right, lambda x: scale * x * kept, lambda x: x * kept / scale)
    torch.testing.assert_close(u, torch.tensor([[0.0] * 4, [0.0] * 4, [1 / scale, 0, 0, 0]]))


def test_a_round_is_textbook_conjugate_gradients() -> None:
    """One vector after the other in plain numbers, until all residuals are small."""
    generator = torch.Generator().manual_seed(4)
    roots = torch.randn(3, 6, 6, generator=generator, dtype=torch.float64)
    systems = roots @ roots.transpose(1, 2) + torch.eye(6, dtype=torch.float64)
    shape = torch.diag(torch.rand(6, generator=generator, dtype=torch.float64) + 0.5)
    right = normalize(torch.randn(3, 6, generator=generator, dtype=torch.float64), dim=-1)
    images = []

    def apply(x: torch.Tensor) -> torch.Tensor:
        images.append(x)
        return torch.einsum("nij,nj->ni", systems, x)

    found = solvers._round(right, apply, lambda x: x @ shape)
    x = [torch.zeros(6, dtype=torch.float64) for _ in range(3)]
    r = [right[i].clone() for i in range(3)]
    z = [shape @ r[i] for i in range(3)]
    p = [z[i].clone() for i in range(3)]
    steps = 0
    while max(r[i].norm().item() for i in range(3)) > 2e-5:
        for i in range(3):
            alpha = (r[i] @ z[i]) / (p[i] @ systems[i] @ p[i])
            x[i] = x[i] + alpha * p[i]
            after = r[i] - alpha * (systems[i] @ p[i])
            beta = (after @ shape @ after) / (r[i] @ z[i])
            r[i], z[i] = after, shape @ after
            p[i] = z[i] + beta * p[i]
        steps += 1
    assert len(images) == steps
    torch.testing.assert_close(found, torch.stack(x), rtol=1e-10, atol=1e-12)


def test_a_round_ends_after_forty_steps_and_where_nothing_is_left() -> None:
    steps = []
    scales = torch.logspace(0, 8, 200, dtype=torch.float64)
    right = torch.full((1, 200), 200**-0.5, dtype=torch.float64)

    def apply(x: torch.Tensor) -> torch.Tensor:
        steps.append(0)
        return x * scales

    solvers._round(right, apply, lambda x: x)
    assert len(steps) == 40
    both = torch.cat([right, torch.zeros_like(right)])
    u = solvers._round(both, lambda x: x * scales, lambda x: x)
    assert u[1].abs().max() == 0


@pytest.mark.parametrize("rank", [10, 6])
def test_gcv_equals_the_hat_matrix_also_where_anchors_see_less(rank: int) -> None:
    c, anchors = problem(n=40, k=30)
    anchors[:, rank:] = 0
    b = unit_rows(anchors)
    noise = torch.linspace(0, 3, 40, dtype=torch.float64)[:, None]
    c = normalize(b @ b.T @ problem(n=40, k=30, seed=2)[0].T, dim=0).T + noise * c
    target = TargetAnchors(anchors)
    chosen = solvers.gcv(c, b, *target.eigen)
    grid = [10 ** (-6 + i / 4) for i in range(36)]
    left = torch.linalg.svd(b, full_matrices=False)
    u, s = left.U[:, :rank], left.S[:rank]
    for i in range(40):
        scores = []
        for penalty in grid:
            h = u @ torch.diag(s**2 / (s**2 + penalty * (b**2).sum() / 10)) @ u.T
            scores.append(((c[i] - h @ c[i]) ** 2).sum().item() / (1 - h.trace().item() / 30) ** 2)
        assert chosen[i].item() == pytest.approx(grid[scores.index(min(scores))])
    assert len(set(chosen.tolist())) > 5


def test_gcv_where_anchors_explain_everything() -> None:
    """As many anchors as width: nothing is left outside, whatever rounding says, and all of the trace is used."""
    _, anchors = problem(k=10, d=10)
    b = unit_rows(anchors)
    chosen = solvers.gcv(problem(n=5, k=10)[0], b, *TargetAnchors(anchors).eigen)
    assert torch.isfinite(chosen).all()


@pytest.mark.parametrize("count", [None, 30])
def test_adam_is_that_of_its_paper(count: int | None) -> None:
    """Update rule and gradient written out, in float64."""
    c, anchors = problem(n=3)
    mask = None if count is None else top_k_mask(c, count)
    start = torch.randn(3, 10, generator=torch.Generator().manual_seed(5))
    before = start.clone()
    seen: dict[int, torch.Tensor] = {}
    found = solvers.adam(
        c, start, anchors=2 * anchors, mask=mask, steps=7, lr=0.05, snapshot=lambda n, u: seen.update({n: u.clone()})
    )
    keep = torch.ones_like(c) if mask is None else mask.double()
    b, u = unit_rows(anchors), start.double()
    mean, square = torch.zeros_like(u), torch.zeros_like(u)
    assert [*seen] == [*range(8)]
    assert torch.equal(seen[0], start)
    for step in range(1, 8):
        gradient = torch.empty_like(u)
        for i in range(3):
            rows = keep[i][:, None] * b
            image, goal = rows @ u[i], keep[i] * c[i]
            size = image.norm()
            gradient[i] = -(rows.T @ goal / size - (goal @ image) * (rows.T @ image) / size**3)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        u = u - 0.05 * (mean / (1 - 0.9**step)) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
        torch.testing.assert_close(seen[step].double(), u, rtol=1e-3, atol=1e-4)
    assert torch.equal(found, seen[7])
    assert (found.dtype, found.requires_grad) == (torch.float32, False)
    assert torch.equal(start, before)


def test_adam_computes_in_float32() -> None:
    """As the authors' code does: what comes in float64 is rounded first. What a snapshot sees has no gradient."""
    c, anchors = problem(n=3)
    start, seen = torch.randn(3, 10, generator=torch.Generator().manual_seed(5), dtype=torch.float64), []
    for mask in (None, top_k_mask(c, 30)):
        found = [
            solvers.adam(
                x, y, anchors=z, mask=mask, steps=9, lr=0.05, snapshot=lambda _, u: seen.append(u.requires_grad)
            )
            for x, y, z in ((c, start, anchors), (c.float(), start.float(), anchors.float()))
        ]
        assert found[0].dtype == torch.float32
        assert torch.equal(*found)
    assert not any(seen)


def test_gcv_chooses_from_quarters_of_decades() -> None:
    assert solvers.GCV_GRID.tolist() == pytest.approx([10 ** (-6 + i / 4) for i in range(36)], rel=1e-14)
