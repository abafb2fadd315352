"""Orthogonal matching pursuit against a plain loop with numpy's least squares in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ptx.transfer.nearest import combination
from ptx.transfer.omp import pursuit


def by_hand(vector: np.ndarray, words: np.ndarray, count: int) -> dict[int, float]:
    """Row -> coefficient."""
    chosen: list[int] = []
    rest, coefficients = vector, np.zeros(0)
    for _ in range(count):
        cosines = [0.0 if i in chosen else abs(rest @ word) / np.linalg.norm(word) for i, word in enumerate(words)]
        chosen.append(int(np.argmax(cosines)))
        coefficients = np.linalg.lstsq(words[chosen].T, vector, rcond=None)[0]
        rest = vector - words[chosen].T @ coefficients
    return dict(zip(chosen, coefficients.tolist(), strict=True))


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_every_step_is_that_of_a_plain_loop(count: int) -> None:
    """Words of all lengths, on which nothing but the coefficients depends; the same words in the same order."""
    generator = torch.Generator().manual_seed(1)
    vectors, words = torch.randn(4, 12, generator=generator), torch.randn(40, 12, generator=generator)
    words *= torch.logspace(-2, 2, 40)[:, None]
    rows, weights = pursuit(vectors, words, count=count)
    for i, vector in enumerate(vectors):
        wanted = by_hand(vector.double().numpy(), words.double().numpy(), count)
        assert rows[i].tolist() == [*wanted]
        np.testing.assert_allclose(weights[i].numpy(), [*wanted.values()], rtol=1e-8)


def test_a_sum_of_words_is_found_again() -> None:
    """2.5 of one word less 3 of another, each word with its length; in the target the same of theirs."""
    generator = torch.Generator().manual_seed(2)
    words = 5 * torch.randn(30, 64, generator=generator)
    target = torch.randn(30, 7, generator=generator)
    vector = 2.5 * words[4] - 3 * words[9]
    rows, weights = pursuit(vector[None], words, count=2)
    assert dict(zip(rows[0].tolist(), weights[0].tolist(), strict=True)) == pytest.approx({4: 2.5, 9: -3}, rel=1e-6)
    wanted = 2.5 * target[4].double() - 3 * target[9].double()
    torch.testing.assert_close(combination(rows, weights, embeddings=target)[0], wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("count", [3, 6, 9])
def test_more_words_than_a_vector_needs_add_nothing(count: int) -> None:
    """Twins among them, and more than there are directions (4), or words (6)."""
    words = torch.eye(4)[[0, 1, 2, 3, 0, 1]]
    target = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    rows, weights = pursuit(torch.tensor([[0.0, 2.0, 0.0, 0.0]]), words, count=count)
    assert rows.shape == (1, min(count, 6))
    assert len(set(rows[0].tolist())) == rows.shape[1]
    torch.testing.assert_close(weights.double() @ words[rows[0]].double(), torch.tensor([[0.0, 2, 0, 0]]).double())
    own = {row: weight for row, weight in zip(rows[0].tolist(), weights[0].tolist(), strict=True) if abs(weight) > 1e-9}
    assert own.keys() <= {1, 5}
    assert sum(own.values()) == pytest.approx(2)
    assert torch.isfinite(combination(rows, weights, embeddings=target)).all()
