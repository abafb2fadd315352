"""The accuracy to expect: against scipy's intervals, and against models whose answers are drawn."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from ptx.transfer.forecast import FACTORS, calibration, forecast, wilson


@given(st.integers(1, 300), st.data())
def test_intervals_are_wilsons(n: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, n))
    wanted = binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert wilson(right / n, n) == pytest.approx((wanted.low, wanted.high), abs=1e-4)


def test_of_nothing_nothing_is_known() -> None:
    assert wilson(0.0, 0) == (0.0, 1.0)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.5, 2))
def test_what_is_expected_lies_in_its_range(a: float, p: float, factor: float) -> None:
    found = forecast(a, 200, p, 50, factor)
    assert 0 <= found.low <= found.accuracy <= found.high <= 1


def test_what_answers_alike_is_as_good() -> None:
    found = forecast(1.0, 10_000, 0.3, 10_000)
    assert found.accuracy == pytest.approx(0.3, abs=1e-3)
    assert found.high - found.low < 0.03
    assert forecast(0.0, 10_000, 0.9, 10_000).accuracy < 0.01


@pytest.mark.parametrize(("p", "q"), [(0.9, 0.6), (0.6, 0.6), (0.5, 0.9), (0.8, 0.05), (0.95, 0.95)])
def test_models_that_err_by_themselves_are_within_the_range(p: float, q: float) -> None:
    """Right or wrong at random, with a hundred wrong answers to choose among."""
    drawn = random.Random(0)
    one, other = ([0 if drawn.random() < of else drawn.randint(1, 100) for _ in range(2000)] for of in (p, q))
    agreement = sum(a == b for a, b in zip(one, other, strict=True)) / 2000
    found = forecast(agreement, 2000, one.count(0) / 2000, 2000)
    assert found.low <= other.count(0) / 2000 <= found.high


def test_pairs_of_sources_tell_the_factor() -> None:
    assert calibration([(0.5, 0.64, 0.6), (0.4, 0.64, 0.6)]) == pytest.approx(0.8 * (1.2 + 1.5) / 2)
    assert calibration([(0.01, 0.9, 0.9)]) == FACTORS[1]
    assert calibration([(0.0, 0.9, 0.9)]) == calibration([]) == 1
    assert forecast(0.4, 200, 0.81, 200, 1.5).accuracy == pytest.approx(0.4 / 0.9 * 1.5)
