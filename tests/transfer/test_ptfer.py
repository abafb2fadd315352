"""`--solver ptfer` against the authors' search as it is described, written out vector by vector in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ptx.transfer import ptfer

K, D = 30, 6


def noise(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b) / (a.norm() * b.norm())


def described(
    sources: list[Tensor],
    count: int,
    start: Tensor,
    anchors: Tensor,
    statistics: tuple[float, float] | None,
    steps: int,
) -> list[tuple[int, Tensor, float]]:
    """One task. Of every step that is a multiple of 50 its number, the prompt that its loss is of, and the loss."""
    m = len(start)
    keep = torch.zeros(m, K, dtype=torch.float64)
    for i in range(m):
        for j in sorted(range(K), key=lambda j: -sources[-1][i, j].item())[:count]:
            keep[i, j] = 1
    u, found = start.double(), []
    mean, square = torch.zeros_like(u), torch.zeros_like(u)
    for step in range(1, steps + 1):
        leaf = u.clone().requires_grad_()
        prompt = leaf
        if statistics is not None:
            middle = leaf.sum() / leaf.numel()
            spread = (((leaf - middle) ** 2).sum() / (leaf.numel() - 1)).sqrt()
            prompt = (leaf - middle) / spread * statistics[1] + statistics[0]
        losses = []
        for i in range(m):
            own = torch.stack([cosine(prompt[i], anchor) for anchor in anchors.double()]) * keep[i]
            of_sources = [1 - cosine(own, source[i].double() * keep[i]) for source in sources]
            losses.append(torch.stack(of_sources).mean())
        loss = torch.stack(losses).mean()
        loss.backward()
        assert leaf.grad is not None
        if step % 50 == 0:
            found.append((step, prompt.detach(), loss.item()))
        mean = 0.9 * mean + 0.1 * leaf.grad
        square = 0.999 * square + 0.001 * leaf.grad**2
        u = u - 5e-3 * (mean / (1 - 0.9**step)) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
    return found


@pytest.mark.parametrize("statistics", [(0.02, 0.5), None])
@pytest.mark.parametrize("count", [12, K])
def test_every_fiftieth_step_is_that_of_a_plain_loop(count: int, statistics: tuple[float, float] | None) -> None:
    """Two tasks side by side, of 3 vectors and two sources, and of 2 vectors and one."""
    anchors, lengths = noise(K, D, seed=1), (3, 2)
    similar = [[noise(3, K, seed=2), noise(3, K, seed=3)], [noise(2, K, seed=4)]]
    start = noise(5, D, seed=5)
    before = start.clone()
    first, second, mask = map(
        torch.cat, zip(*(ptfer.goals([r.double() for r in of], count) for of in similar), strict=True)
    )
    found = [*ptfer.search(first, second, mask, start, lengths=lengths, anchors=anchors, statistics=statistics,
                           steps=120, lr=5e-3)]  # fmt: skip
    assert torch.equal(start, before)
    assert [candidate.step for candidate in found] == [50, 100]
    for task, (of, begun) in enumerate(zip(similar, start.split(lengths), strict=True)):
        wanted = described(of, count, begun, anchors, statistics, 120)
        for candidate, (_, prompt, loss) in zip(found, wanted, strict=True):
            assert candidate.losses[task] == pytest.approx(loss, abs=1e-5)
            torch.testing.assert_close(candidate.prompts[task].double(), prompt, rtol=1e-3, atol=1e-4)
            assert not candidate.prompts[task].requires_grad
    if statistics is not None:
        prompt = found[0].prompts[0]
        assert (prompt.mean().item(), prompt.std().item()) == pytest.approx(statistics, abs=1e-5)


def test_what_was_found_is_not_changed_by_later_steps() -> None:
    anchors, r = noise(K, D, seed=1), noise(2, K, seed=2)
    for statistics in ((0.0, 1.0), None):
        run = ptfer.search(*ptfer.goals([r], 9), noise(2, D, seed=3), lengths=[2], anchors=anchors,
                           statistics=statistics, steps=100, lr=5e-3)  # fmt: skip
        first = next(run).prompts[0]
        kept = first.clone()
        second = next(run).prompts[0]
        assert torch.equal(first, kept)
        assert not torch.allclose(first, second)
        assert math.isfinite(second.norm().item())


def test_of_two_sources_the_second_has_the_mask() -> None:
    one, two = noise(2, K, seed=2), noise(2, K, seed=3)
    first, second, mask = ptfer.goals([one, two], "20%")
    for i in range(2):
        highest = sorted(range(K), key=lambda j: -two[i, j].item())[:6]
        assert mask[i].nonzero().flatten().tolist() == sorted(highest)
        assert torch.equal(first[i], torch.where(mask[i], one[i], 0.0))
        assert torch.equal(second[i], torch.where(mask[i], two[i], 0.0))
    assert not torch.equal(mask, ptfer.goals([two, one], "20%")[2])
