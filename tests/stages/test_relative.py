from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cosine_similarity, normalize

from ptx.errors import PtxError
from ptx.stages import relative, solvers
from ptx.stages.target import TargetAnchors


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_cosines_equal_a_loop() -> None:
    prompt, anchors = draw(3, 7), draw(11, 7, seed=1)
    r = relative.cosines(prompt, anchors=anchors)
    for i in range(3):
        for j in range(11):
            assert r[i, j].item() == pytest.approx(cosine_similarity(prompt[i], anchors[j], dim=0).item(), abs=1e-12)


def test_top_k_keeps_the_highest_signed_entries() -> None:
    mask = relative.top_k_mask(torch.tensor([[-3.0, 1.0, 0.5, -0.1]]), 2)
    assert mask.tolist() == [[False, True, True, False]]
    assert relative.top_k_mask(torch.zeros(2, 4), 9).all()


def test_top_k_keeps_as_many_where_values_are_equal() -> None:
    ties = torch.tensor([[1.0, 1.0, 1.0, 2.0], [4.0, 3.0, 2.0, 1.0]])
    mask = relative.top_k_mask(ties, 2)
    assert mask.sum(-1).tolist() == [2, 2]
    assert mask[0, 3]
    assert mask[1].tolist() == [True, True, False, False]


@pytest.mark.parametrize("mask", ["both", "source"])
@pytest.mark.parametrize("top_k", [9, 40])
def test_two_sources_are_their_weighted_sum(mask: str, top_k: int) -> None:
    """Eq. 7: the best common direction is that of the weighted sum of unit representations."""
    r, q, anchors = draw(4, 40), draw(4, 40, seed=1), draw(40, 6, seed=2)
    c, shared = relative.combine([r, q], weights=[0.7, 0.3], top_k=top_k, mask=mask)
    keep = relative.top_k_mask(0.7 * r + 0.3 * q, top_k)
    masks = [keep, keep] if mask == "both" else [relative.top_k_mask(r, top_k), relative.top_k_mask(q, top_k)]
    expected = 0.7 * normalize(r * masks[0], dim=-1) + 0.3 * normalize(q * masks[1], dim=-1)
    torch.testing.assert_close(c, expected)
    u = solvers.exact(expected, anchors=TargetAnchors(anchors), mask=shared)
    best = relative.matching_loss(c, relative.cosines(u, anchors=anchors), mask=shared)
    for seed in range(30):
        other = u + 0.1 * draw(4, 6, seed=seed)
        loss = relative.matching_loss(c, relative.cosines(other, anchors=anchors), mask=shared)
        assert (loss >= best - 1e-12).all()


def test_matching_loss_is_the_weighted_mean_of_the_sources_losses() -> None:
    r, q, anchors, u = draw(4, 20), draw(4, 20, seed=1), draw(20, 6, seed=2), draw(4, 6, seed=3)
    c, shared = relative.combine([r, q], weights=[0.25, 0.75], top_k=8, mask="both")
    assert shared is not None
    target = relative.cosines(u, anchors=anchors) * shared
    separate = [1 - cosine_similarity(x * shared, target, dim=-1) for x in (r, q)]
    loss = relative.matching_loss(c, relative.cosines(u, anchors=anchors), mask=shared)
    torch.testing.assert_close(loss, 0.25 * separate[0] + 0.75 * separate[1])


def test_order_of_sources_does_not_matter() -> None:
    r, q = draw(2, 20), draw(2, 20, seed=1)
    one, mask = relative.combine([r, q], weights=[0.5, 0.5], top_k=7, mask="both")
    other, same = relative.combine([q, r], weights=[0.5, 0.5], top_k=7, mask="both")
    torch.testing.assert_close(one, other)
    assert mask is not None
    assert same is not None
    assert torch.equal(mask, same)


def test_statistics_of_eq_6() -> None:
    prompt = relative.normalize_statistics(draw(5, 16), mean=0.3, std=0.07)
    assert prompt.mean().item() == pytest.approx(0.3)
    assert prompt.std(correction=0).item() == pytest.approx(0.07)
    batch = relative.normalize_statistics(torch.stack([draw(5, 16), 9 * draw(5, 16, seed=1) + 4]), mean=0.3, std=0.07)
    torch.testing.assert_close(batch[0], prompt)  # statistics are those of one prompt, not of the batch
    assert batch[1].std(correction=0).item() == pytest.approx(0.07)


def test_prompts_of_different_lengths_are_refused() -> None:
    with pytest.raises(PtxError, match="3 vectors x 20 anchors and 5 vectors x 20 anchors") as raised:
        relative.combine([draw(5, 20), draw(3, 20)], weights=[0.5, 0.5], top_k=4, mask="both")
    assert "--prompt-length" in raised.value.hint
