"""The bootstrap against slow loops, closed forms and what pairing must do."""

from __future__ import annotations

import random
from statistics import mean, stdev

import numpy as np
import pytest
from scipy.stats import spearmanr

from ptx.paper.effects import Array, Effect, numbers, rank_correlation, verdict

RNG = np.random.default_rng(7)


def of(values: Array, **more) -> Effect:
    """An effect from [units] or [seeds, units]."""
    return Effect("a 2.0, b 1.0", [np.atleast_2d(values)[..., None]], **more)


def test_the_interval_of_a_mean_is_the_one_of_theory() -> None:
    values = RNG.normal(3, 2, 400)
    low, high = of(values).interval() or (0, 0)
    half = 1.96 * stdev(values) / 20
    assert [low, high] == pytest.approx([mean(values) - half, mean(values) + half], abs=0.03)
    assert of(values).interval() == (low, high)


def test_a_statistic_is_computed_anew_in_every_resample() -> None:
    """Whole relations are drawn, so that columns stay together: a loop in plain Python says the same."""
    table = RNG.normal(0, 1, (12, 3)) + np.array([0, 0.5, 0.4])

    def gain(means: Array) -> Array:
        return means[..., 0] - means[..., 1:].max(-1)

    draw, slow = random.Random(0), []
    for _ in range(10_000):
        columns = list(zip(*draw.choices(table.tolist(), k=12), strict=True))
        slow.append(mean(columns[0]) - max(map(mean, columns[1:])))
    low, high = Effect("", [table[None]], gain).interval() or (0, 0)
    assert low == pytest.approx(np.quantile(slow, 0.025), abs=0.07)
    assert high == pytest.approx(np.quantile(slow, 0.975), abs=0.07)


def test_relations_that_differ_much_do_not_hide_a_difference_that_all_share() -> None:
    ours = RNG.normal(50, 30, 30)
    paired = of(ours - (ours - 1)).interval()
    assert paired == pytest.approx((1, 1))
    apart = Effect("", [ours[None, :, None], 1 - ours[None, :, None]], lambda means: means.sum(-1)).interval()
    assert apart is not None
    assert apart[0] < -5 < 5 < apart[1]


def test_seeds_are_averaged_before_relations_are_drawn() -> None:
    rows = RNG.normal(0, 1, (3, 30))
    effect = of(rows, seeds=(0, 1, 2))
    assert effect.interval() == of(rows.mean(0)).interval()
    assert effect.by_seed == pytest.approx(rows.mean(1).tolist())
    assert effect.value == pytest.approx(rows.mean())


@pytest.mark.parametrize(
    ("side", "interval", "holds"),
    [(1, (0.1, 2), True), (1, (-2, -0.1), False), (-1, (-2, -0.1), True), (-1, (0.1, 2), False),
     (1, (-0.1, 2), None), (-1, (-2, 0.1), None), (1, (0, 2), None), (1, None, None)],
)  # fmt: skip
def test_three_verdicts(side: int, interval: tuple[float, float] | None, holds: bool | None) -> None:
    assert verdict(of(np.ones(3), side=side), interval) is holds


def test_one_relation_has_no_interval() -> None:
    assert of(np.ones(1)).interval() is None
    assert numbers(of(np.ones(1), seeds=(4,)), None) == "a 2.0, b 1.0: +1.0 over 1 relation, seed 4"


def test_an_effect_on_one_line() -> None:
    effect = of(np.array([[1.0, 3.0], [0.0, 0.04]]), seeds=(0, 1), unit="text", tail="; higher in 1 of 2 cells")
    begins = "a 2.0, b 1.0: +1.0 [-0.2, +2.2]"
    ends = " over 2 texts, seeds 0, 1 (+2.0, +0.0); higher in 1 of 2 cells"
    assert numbers(effect, (-0.2, 2.2)) == f"{begins} includes 0,{ends}"
    assert numbers(effect, (0.2, 2.2)) == begins.replace("-", "+") + ends
    assert numbers(of(np.array([-0.004])), None).endswith(": +0.0")


def test_rank_correlation_is_spearmans_with_ties_and_all() -> None:
    a, b = RNG.integers(0, 4, (2, 5, 12)).astype(float)
    want = [spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)]
    assert rank_correlation(a, b) == pytest.approx(want)
    x, y = np.array([1.0, 2, 3, 4, 5]), np.array([2.0, 1, 4, 3, 5])
    assert rank_correlation(x, y) == pytest.approx(1 - 6 * ((x - y) ** 2).sum() / (5 * 24))
    assert rank_correlation(x, np.ones(5)) == 0
