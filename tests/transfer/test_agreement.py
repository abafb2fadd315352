"""Agreement against counting by hand, and which of equals counts."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ptx.transfer.agreement import Answered, agreement, averaged, first_choice, kappa, most_agreeing


def answered(probabilities: list[list[float]], kept: int) -> Answered:
    """What a source with these probabilities stores."""
    p = torch.tensor(probabilities, dtype=torch.float64)
    best = p.topk(kept, dim=-1)
    return Answered(best.indices.int(), best.values.log(), (1 - best.values.sum(-1)).float())


def test_probabilities_are_averaged_by_weight() -> None:
    one, other = [[0.6, 0.3, 0.1], [0.1, 0.2, 0.7]], [[0.1, 0.8, 0.1], [0.5, 0.4, 0.1]]
    mean = averaged([answered(one, 3), answered(other, 3)], [0.75, 0.25], 3)
    wanted = [[0.75 * a + 0.25 * b for a, b in zip(x, y, strict=True)] for x, y in zip(one, other, strict=True)]
    torch.testing.assert_close(mean, torch.tensor(wanted, dtype=torch.float64))


def test_words_that_were_not_kept_share_the_rest() -> None:
    mean = averaged([answered([[0.6, 0.25, 0.1, 0.05]], 2)], [1.0], 4)
    torch.testing.assert_close(mean.float(), torch.tensor([[0.6, 0.25, 0.075, 0.075]]))


def test_of_equal_words_the_first_is_the_choice() -> None:
    assert first_choice(torch.tensor([[0.2, 0.4, 0.4], [0.5, 0.5, 0.0], [0.1, 0.2, 0.7]])).tolist() == [1, 0, 2]


def test_agreement_is_a_share() -> None:
    assert agreement([1, 2, 3, 4], [1, 0, 3, 0]) == 0.5
    with pytest.raises(ValueError, match="argument 2"):
        agreement([1, 2], [1, 2, 3])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_kappa_is_what_is_left_of_chance(pairs: list[tuple[int, int]]) -> None:
    """Against chance counted pair by pair: each answer of the one beside each of the other."""
    one, other = [a for a, _ in pairs], [b for _, b in pairs]
    agreed = sum(a == b for a, b in pairs) / len(pairs)
    chance = sum(a == b for a in one for b in other) / len(pairs) ** 2
    assert kappa(one, other) == pytest.approx((agreed - chance) / (1 - chance) if chance != 1 else 0)
    assert kappa(one, other) == pytest.approx(kappa(other, one))
    assert kappa(one, one) in (0.0, pytest.approx(1.0))


def test_who_always_says_what_the_source_mostly_says_agrees_by_chance() -> None:
    source, always, knows = [7, 7, 7, 1, 2, 3], [7] * 6, [4, 5, 6, 1, 2, 3]
    assert agreement(always, source) == agreement(knows, source)
    assert kappa(always, source) == 0 < kappa(knows, source)
    assert most_agreeing([always, knows], source) == 1


def test_of_equal_candidates_the_first_stays() -> None:
    source = [1, 2, 3, 4]
    assert most_agreeing([[1, 0, 0, 0], [1, 2, 3, 0], [0, 2, 3, 4], [0, 0, 0, 0]], source) == 1
    assert most_agreeing([[0] * 4, [5] * 4], source) == 0
    assert most_agreeing([[0] * 4, [5] * 4], [5] * 4) == 0  # chance explains all of it


def test_what_may_be_chance_is_no_reason() -> None:
    """Right once in 200 where that may be luck, and in 20, where it may not."""
    source = [i % 50 for i in range(200)]
    lucky, knows = ([*source[:count], *((i + 7) % 50 for i in range(count, 200))] for count in (1, 20))
    assert kappa(lucky, source) < 0 < kappa(knows, source)
    lucky[1:6] = source[1:6]
    assert 0 < kappa(lucky, source) < 0.02
    assert most_agreeing([[60] * 200, lucky], source) == 0
    assert most_agreeing([[60] * 200, lucky, knows], source) == 2
