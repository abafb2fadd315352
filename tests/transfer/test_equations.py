from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cosine_similarity, normalize

from ptx.errors import PtxError
from ptx.transfer import equations, solvers
from ptx.transfer.equations import relative_representation, unit_rows
from ptx.transfer.target import TargetAnchors


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_cosines_equal_a_loop() -> None:
    prompt, anchors = draw(3, 7), draw(11, 7, seed=1)
    r = relative_representation(prompt, anchors=unit_rows(anchors))
    for i in range(3):
        for j in range(11):
            assert r[i, j].item() == pytest.approx(cosine_similarity(prompt[i], anchors[j], dim=0).item(), abs=1e-12)


def test_top_k_keeps_the_highest_signed_entries() -> None:
    mask = equations.top_k_mask(torch.tensor([[-3.0, 1.0, 0.5, -0.1]]), 2)
    assert mask.tolist() == [[False, True, True, False]]
    assert equations.top_k_mask(torch.zeros(2, 4), 9).all()


def test_top_k_keeps_as_many_where_values_are_equal() -> None:
    ties = torch.tensor([[1.0, 1.0, 1.0, 2.0], [4.0, 3.0, 2.0, 1.0]])
    mask = equations.top_k_mask(ties, 2)
    assert mask.sum(-1).tolist() == [2, 2]
    assert mask[0, 3]
    assert mask[1].tolist() == [True, True, False, False]


@pytest.mark.parametrize("mask", ["both", "source"])
@pytest.mark.parametrize("top_k", [9, 40])
def test_two_sources_are_their_weighted_sum(mask: str, top_k: int) -> None:
    """Eq. 7: the best common direction is that of the weighted sum of unit representations."""
    r, q, anchors = draw(4, 40), draw(4, 40, seed=1), draw(40, 6, seed=2)
    c, shared = equations.combine([r, q], weights=[0.7, 0.3], top_k=top_k, mask=mask)
    keep = equations.top_k_mask(0.7 * r + 0.3 * q, top_k)
    masks = [keep, keep] if mask == "both" else [equations.top_k_mask(r, top_k), equations.top_k_mask(q, top_k)]
    expected = 0.7 * normalize(r * masks[0], dim=-1) + 0.3 * normalize(q * masks[1], dim=-1)
    torch.testing.assert_close(c, expected)
    u = solvers.exact(expected, anchors=TargetAnchors(anchors), mask=shared)
    best = equations.matching_loss(c, relative_representation(u, anchors=unit_rows(anchors)), mask=shared)
    for seed in range(30):
        other = u + 0.1 * draw(4, 6, seed=seed)
        loss = equations.matching_loss(c, relative_representation(other, anchors=unit_rows(anchors)), mask=shared)
        assert (loss >= best - 1e-12).all()


def test_matching_loss_is_the_weighted_mean_of_the_sources_losses() -> None:
    r, q, anchors, u = draw(4, 20), draw(4, 20, seed=1), draw(20, 6, seed=2), draw(4, 6, seed=3)
    c, shared = equations.combine([r, q], weights=[0.25, 0.75], top_k=8, mask="both")
    assert shared is not None
    target = relative_representation(u, anchors=unit_rows(anchors)) * shared
    separate = [1 - cosine_similarity(x * shared, target, dim=-1) for x in (r, q)]
    loss = equations.matching_loss(c, relative_representation(u, anchors=unit_rows(anchors)), mask=shared)
    torch.testing.assert_close(loss, 0.25 * separate[0] + 0.75 * separate[1])


def test_order_of_sources_does_not_matter() -> None:
    r, q = draw(2, 20), draw(2, 20, seed=1)
    one, mask = equations.combine([r, q], weights=[0.5, 0.5], top_k=7, mask="both")
    other, same = equations.combine([q, r], weights=[0.5, 0.5], top_k=7, mask="both")
    torch.testing.assert_close(one, other)
    assert mask is not None
    assert same is not None
    assert torch.equal(mask, same)


def test_statistics_of_eq_6() -> None:
    prompt = equations.normalize_statistics(draw(5, 16), mean=0.3, std=0.07)
    assert prompt.mean().item() == pytest.approx(0.3)
    assert prompt.std(correction=0).item() == pytest.approx(0.07)
    batch = equations.normalize_statistics(torch.stack([draw(5, 16), 9 * draw(5, 16, seed=1) + 4]), mean=0.3, std=0.07)
    torch.testing.assert_close(batch[0], prompt)  # statistics are those of one prompt, not of the batch
    assert batch[1].std(correction=0).item() == pytest.approx(0.07)


def test_prompts_of_different_lengths_are_refused() -> None:
    with pytest.raises(PtxError, match="3 vectors x 20 anchors and 5 vectors x 20 anchors") as raised:
        equations.combine([draw(5, 20), draw(3, 20)], weights=[0.5, 0.5], top_k=4, mask="both")
    assert "--prompt-length" in raised.value.hint


def test_anchors_of_unit_length_are_a_copy_in_float64() -> None:
    embeddings = draw(4, 5)
    embeddings[2] = 0
    before = embeddings.clone()
    b = unit_rows(embeddings)
    assert b.dtype == torch.float64
    assert torch.equal(embeddings, before)
    for i in (0, 1, 3):
        length = sum(x * x for x in embeddings[i].tolist()) ** 0.5
        assert b[i].tolist() == pytest.approx([x / length for x in embeddings[i].tolist()], abs=1e-15)
    assert b[2].tolist() == [0] * 5  # not nan
    torch.testing.assert_close(unit_rows(embeddings.float()), b, rtol=0, atol=1e-6)


def test_cosines_are_in_the_precision_of_the_anchors() -> None:
    prompt, b = draw(2, 5), unit_rows(draw(4, 5, seed=1))
    assert relative_representation(prompt.float(), anchors=b).dtype == torch.float64
    assert relative_representation(prompt, anchors=b.float()).dtype == torch.float32
    assert relative_representation(torch.zeros(1, 5), anchors=b).tolist() == [[0] * 4]


@pytest.mark.parametrize("top_k", range(1, 12))
def test_top_k_equals_sorting(top_k: int) -> None:
    """With and without ties, also between rows that have none."""
    plain, tied = draw(5, 9), draw(5, 9, seed=1).mul(2).round()
    for similarities in (plain, tied, torch.cat([plain, tied])):
        mask = equations.top_k_mask(similarities, top_k)
        assert mask.dtype == torch.bool
        for row, keep in zip(similarities.tolist(), mask.tolist(), strict=True):
            wanted = sorted(row, reverse=True)[:top_k]
            assert sorted((x for x, kept in zip(row, keep, strict=True) if kept), reverse=True) == wanted


def test_top_k_sorts_only_where_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sorting takes three times as long; without ties the k-th value is enough."""

    def refuse(*args: object, **more: object) -> None:
        raise AssertionError("sorted")

    monkeypatch.setattr(torch.Tensor, "topk", refuse)
    for top_k in range(1, 10):
        assert equations.top_k_mask(draw(5, 9), top_k).sum().item() == 5 * top_k
    with pytest.raises(AssertionError, match="sorted"):
        equations.top_k_mask(torch.zeros(2, 9), 3)


@pytest.mark.parametrize(
    ("top_k", "k", "wanted"),
    [
        ("all", 50, 50), (7, 50, 7), ("7", 50, 7), (50, 50, 50), ("80", 50, 50), (80, 50, 50), ("48%", 50, 24),
        ("100%", 50, 50), ("0.1%", 50, 1), ("26%", 10, 3), ("24%", 10, 2), ("12.5%", 40, 5), ("30%", 3736, 1121),
    ],
)  # fmt: skip
def test_how_many_are_kept(top_k: int | str, k: int, wanted: int) -> None:
    found = equations.kept(top_k, k)
    assert (found, type(found)) == (wanted, int)


def test_a_share_of_the_similarities_can_be_kept() -> None:
    r = draw(3, 40)
    one, mask = equations.combine([r], weights=[1.0], top_k="25%", mask="both")
    assert mask is not None
    assert torch.equal(mask, equations.top_k_mask(r, 10))
    torch.testing.assert_close(one, normalize(r * mask, dim=-1))


def test_representations_can_be_of_other_length_than_one() -> None:
    """The mask is that of the weighted sum; what is summed in the end has unit length."""
    r, q = 5 * draw(4, 20), draw(4, 20, seed=1)
    c, shared = equations.combine([r, q], weights=[0.1, 0.9], top_k=6, mask="both")
    assert shared is not None
    for i in range(4):
        total = [0.1 * x + 0.9 * y for x, y in zip(r[i].tolist(), q[i].tolist(), strict=True)]
        keep = sorted(range(20), key=lambda j: -total[j])[:6]
        assert sorted(shared[i].nonzero().flatten().tolist()) == sorted(keep)
        lengths = [sum(x[i, j].item() ** 2 for j in keep) ** 0.5 for x in (r, q)]
        for j in range(20):
            value = 0.1 * r[i, j].item() / lengths[0] + 0.9 * q[i, j].item() / lengths[1] if j in keep else 0
            assert c[i, j].item() == pytest.approx(value, abs=1e-14)


def test_matching_loss_without_a_mask_is_one_minus_the_cosine() -> None:
    c, target = normalize(draw(4, 9), dim=-1), 3 * draw(4, 9, seed=1)
    loss = equations.matching_loss(c, target, mask=None)
    for i in range(4):
        length = sum(x * x for x in target[i].tolist()) ** 0.5
        dot = sum(x * y for x, y in zip(c[i].tolist(), target[i].tolist(), strict=True))
        assert loss[i].item() == pytest.approx(1 - dot / length, abs=1e-14)
    torch.testing.assert_close(
        equations.matching_loss(c, c, mask=None), torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-14
    )


def test_eq_6_number_for_number() -> None:
    prompt = draw(3, 4) + 5
    values = prompt.flatten().tolist()
    mean = sum(values) / 12
    std = (sum((x - mean) ** 2 for x in values) / 12) ** 0.5
    found = equations.normalize_statistics(prompt, mean=0.3, std=0.07)
    assert found.flatten().tolist() == pytest.approx([(x - mean) / std * 0.07 + 0.3 for x in values], abs=1e-14)


def test_a_search_ends_with_unit_vectors_then_eq_6() -> None:
    u = 3 * draw(3, 5)
    unit = u / u.square().sum(-1, keepdim=True).sqrt()
    found = equations.finish(u, (0.3, 0.07))
    torch.testing.assert_close(found, equations.normalize_statistics(unit, mean=0.3, std=0.07))
    assert found.mean().item() == pytest.approx(0.3)
    assert found.std(correction=0).item() == pytest.approx(0.07)


def test_without_eq_6_the_result_of_a_search_is_as_it_was_found() -> None:
    u = 3 * draw(3, 5)
    assert torch.equal(equations.finish(u, None), u)


def test_sources_of_other_anchors_are_named_in_order() -> None:
    for sizes in ((9, 20), (20, 9)):
        with pytest.raises(PtxError, match="3 vectors x 9 anchors and 3 vectors x 20 anchors"):
            equations.combine([draw(3, k) for k in sizes], weights=[0.5, 0.5], top_k=4, mask="source")
