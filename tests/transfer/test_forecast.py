"""The accuracy to expect: against scipy's intervals, and against models whose answers are drawn."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from ptx.transfer.agreement import agreement, kappa
from ptx.transfer.forecast import FACTORS, Seen, calibration, estimate, forecast, wilson


@given(st.integers(1, 300), st.data())
def test_intervals_are_wilsons(n: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, n))
    wanted = binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert wilson(right / n, n) == pytest.approx((wanted.low, wanted.high), abs=1e-4)


def test_of_nothing_nothing_is_known() -> None:
    assert wilson(0.0, 0) == (0.0, 1.0)


@given(*[st.floats(0, 1)] * 5, st.floats(0.5, 2))
def test_what_is_expected_lies_in_its_range(
    a: float, chance: float, c: float, p: float, m: float, factor: float
) -> None:
    kappa = (a - chance) / (1 - chance) if chance < 1 else 0.0
    found = forecast(Seen(a, kappa, c, 200), p, m, 50, factor)
    assert 0 <= found.low <= found.accuracy <= found.high <= 1


def test_what_agrees_and_is_sure_is_expected_to_be_right() -> None:
    """As often as both say, in the geometric mean; within what the sources' accuracy allows."""
    assert forecast(Seen(0.4, 0.4, 0.9, 200), 0.7, 0.1, 60).accuracy == pytest.approx(0.6)
    assert forecast(Seen(0.4, 0.4, 0.1, 200), 0.7, 0.1, 60).accuracy == pytest.approx(0.2)
    assert forecast(Seen(0.9, 0.9, 0.1, 2000), 0.7, 0.1, 60).accuracy == pytest.approx(0.6)  # differs on 10%
    assert forecast(Seen(0.9, 0.9, 1.0, 2000), 0.3, 0.1, 600).accuracy == pytest.approx(0.4)


def test_what_answers_alike_is_as_good() -> None:
    found = forecast(Seen(1.0, 1.0, 0.9, 10_000), 0.3, 0.1, 10_000)
    assert found.accuracy == pytest.approx(0.3, abs=1e-3)
    assert found.high - found.low < 0.03
    assert forecast(Seen(0.0, 0.0, 0.9, 10_000), 0.9, 0.01, 10_000).accuracy < 0.01


def test_always_the_same_answer_is_no_reason_to_expect_anything() -> None:
    """A source that says one word for 58% of the inputs, and a target that says it always, and surely."""
    assert forecast(Seen(0.58, 0.0, 0.9, 200), 0.7, 0.1, 60).accuracy == pytest.approx(0.28)  # the least 0.58 allows
    assert forecast(Seen(0.3, 0.0, 0.9, 200), 0.7, 0.1, 60).accuracy == pytest.approx(0.05)
    assert forecast(Seen(1.0, 0.0, 0.9, 200), 0.1, 0.1, 60).accuracy == pytest.approx(0.1)  # and the source always, too


@pytest.mark.parametrize("sure", [0.5, 1.5])
def test_what_chance_gives_says_nothing(sure: float) -> None:
    """A kappa within 1.96 standard errors of 0 is no reason to expect more than half of the majority."""
    error = math.sqrt(0.25 / 0.75 / 100)
    kappa = sure * 1.96 * error
    seen = Seen(0.25 + 0.75 * kappa, kappa, 0.6, 100)
    assert seen.chance == pytest.approx(0.25)
    expected = 0.1 if sure < 1 else math.sqrt(seen.agreement * 0.6)
    assert forecast(seen, 0.5, 0.2, 100).accuracy == pytest.approx(expected)


@pytest.mark.parametrize(("p", "q"), [(0.9, 0.6), (0.6, 0.6), (0.5, 0.9), (0.8, 0.05), (0.95, 0.95)])
def test_models_that_err_by_themselves_are_within_the_range(p: float, q: float) -> None:
    """Right or wrong at random, of a hundred answers that are equally frequent."""
    drawn, n = random.Random(0), 2000
    truth = [drawn.randrange(100) for _ in range(n)]
    one, other = ([t if drawn.random() < of else drawn.randrange(100) for t in truth] for of in (p, q))
    right = [sum(a == b for a, b in zip(of, truth, strict=True)) / n for of in (one, other)]
    found = forecast(Seen(agreement(other, one), kappa(other, one), q, n), right[0], 0.01, n)
    assert found.low <= right[1] <= found.high


def test_pairs_of_sources_tell_the_factor() -> None:
    assert estimate(0.5, 0.32) == pytest.approx(0.4)
    assert calibration([(0.5, 0.32, 0.2), (0.5, 0.32, 0.36)]) == pytest.approx((0.5 + 0.9) / 2)
    assert calibration([(0.01, 0.9, 0.9)]) == FACTORS[1]
    assert calibration([(0.9, 0.9, 0.01)]) == FACTORS[0]
    assert calibration([(0.0, 0.9, 0.9)]) == calibration([]) == 1
    assert forecast(Seen(0.4, 0.4, 0.9, 200), 0.81, 0, 200, 0.5).accuracy == pytest.approx(0.6 * 0.5)
