"""What searches on one target share, against its definition, for every way in which its blocks can fall."""

from __future__ import annotations

import pytest
import torch

from ptx.transfer.target import TargetAnchors


def draw(k: int, d: int) -> torch.Tensor:
    return torch.randn(k, d, generator=torch.Generator().manual_seed(d), dtype=torch.float64)


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17])
def test_gram_is_that_of_unit_rows(d: int) -> None:
    anchors = 3 * draw(2 * d, d)
    before = anchors.clone()
    target = TargetAnchors(anchors)
    lengths = [sum(x * x for x in row) ** 0.5 for row in anchors.tolist()]
    b = torch.tensor(
        [[x / length for x in row] for row, length in zip(anchors.tolist(), lengths, strict=True)], dtype=torch.float64
    )
    torch.testing.assert_close(target.b, b, rtol=0, atol=1e-14)
    torch.testing.assert_close(target.gram, torch.einsum("ki,kj->ij", b, b), rtol=0, atol=1e-12)
    assert torch.equal(anchors, before)


def test_only_five_eighths_of_the_gram_matrix_are_multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four blocks of rows, each from the diagonal on."""
    multiplied = []
    product = torch.Tensor.__matmul__

    def count(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        found = product(one, other)
        multiplied.append(found.numel())
        return found

    target = TargetAnchors(draw(25, 20))
    monkeypatch.setattr(torch.Tensor, "__matmul__", count)
    assert target.gram.shape == (20, 20)
    assert multiplied == [5 * 20, 5 * 15, 5 * 10, 5 * 5]


def test_eigenvalues_rise_and_give_back_the_gram_matrix() -> None:
    target = TargetAnchors(draw(30, 7))
    values, vectors = target.eigen
    assert values.tolist() == sorted(values.tolist())
    torch.testing.assert_close(vectors.T @ vectors, torch.eye(7, dtype=torch.float64), rtol=0, atol=1e-12)
    for i in range(7):
        torch.testing.assert_close(target.gram @ vectors[:, i], values[i] * vectors[:, i], rtol=0, atol=1e-12)
