"""Nearest words, their mixtures and CSLS against plain loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ptx.transfer import nearest
from ptx.transfer.nearest import combination, crowding, nearest_words, shares


@pytest.mark.parametrize("top", [1, 3, 20, 30])
def test_nearest_words_equal_brute_force(top: int) -> None:
    generator = torch.Generator().manual_seed(2)
    prompt, embeddings = torch.randn(5, 6, generator=generator), torch.randn(20, 6, generator=generator)
    embeddings *= torch.arange(1, 21)[:, None]  # lengths do not matter
    values, rows = nearest_words(prompt, embeddings=embeddings, top=top)
    for i in range(5):
        cosines = torch.tensor([torch.cosine_similarity(prompt[i], row, dim=0).item() for row in embeddings])
        order = sorted(range(20), key=lambda j: -cosines[j].item())[:top]
        assert rows[i].tolist() == order
        torch.testing.assert_close(values[i].float(), cosines[order], rtol=0, atol=1e-6)


@pytest.mark.parametrize("words", [1, 4, 9, 12])
@pytest.mark.parametrize("temperature", [0.05, 1e-4, 3.0])
def test_a_mixture_is_a_softmax_over_the_best_words(words: int, temperature: float) -> None:
    """Of nine words; more than there are is all of them."""
    generator = torch.Generator().manual_seed(3)
    scores, target = 2 * torch.rand(5, 9, generator=generator) - 1, torch.randn(9, 4, generator=generator)
    rows, share = shares(scores, words=words, temperature=temperature)
    found = combination(rows, share, embeddings=target)
    for i in range(5):
        own = scores[i].double().tolist()
        best = sorted(range(9), key=lambda j: -own[j])[:words]
        assert rows[i].tolist() == best
        weights = [math.exp((own[j] - own[best[0]]) / temperature) for j in best]
        wanted = sum(w / sum(weights) * target[j].double() for w, j in zip(weights, best, strict=True))
        torch.testing.assert_close(found[i], wanted)
        assert share[i].sum().item() == pytest.approx(1)


def crowded(embeddings: Tensor) -> list[float]:
    """In float64, every cosine of every word by itself."""
    rows = embeddings.double()
    means = []
    for i, row in enumerate(rows):
        cosines = [torch.dot(row, other).item() / (row.norm() * other.norm()).item() for other in rows]
        near = sorted(cosines[:i] + cosines[i + 1 :])[-10:]
        means.append(sum(near) / len(near))
    return means


@pytest.mark.parametrize("count", [2, 7, 11, 40])
@pytest.mark.parametrize("together", [1, 100, 2**24])
def test_crowding_is_the_mean_cosine_to_ten_others(count: int, together: int, monkeypatch) -> None:
    """However many are looked at at a time; a twin counts as another word."""
    monkeypatch.setattr(nearest, "TOGETHER", together)
    embeddings = torch.randn(count, 5, generator=torch.Generator().manual_seed(count))
    embeddings[-1] = 3 * embeddings[0]
    assert crowding(embeddings).tolist() == pytest.approx(crowded(embeddings), abs=1e-6)


def test_a_word_alone_is_not_crowded() -> None:
    assert crowding(torch.ones(1, 3)).tolist() == [0.0]


def test_ten_neighbours_as_published() -> None:
    assert nearest.NEIGHBOURS == 10
