"""When a tuning ends."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from ptx.config.tune import TuneConfig
from ptx.transfer.course import Course


def course(points: list[tuple[float, float]], **settings: Any) -> int:
    """How many epochs a tuning takes whose epochs have these losses and accuracies, the last one for ever."""
    of = Course(TuneConfig(**settings), 20, 1.0, random.Random(0))
    of.saw(0.0)
    while of.going:
        of.finish_epoch(*points[min(of.epoch, len(points) - 1)])
    return of.epoch


RISING = [(10.0 - i, i / 100) for i in range(10)]


@pytest.mark.parametrize(
    ("points", "epochs"),
    [
        ([(5.0, 0.1)], 4),  # the first is better than nothing, three more are not
        ([(5.0, 0.1), (4.99, 0.1)], 4),  # a loss that hardly falls
        ([(5.0, 0.1), (4.9, 0.1), (4.8, 0.1), (4.8, 0.1)], 6),  # a loss that falls at first
        ([*RISING[:7], (4.0, 0.06)], 10),  # not long enough still within the ten that are planned
        ([*RISING[:5], (6.0, 0.04)], 8),
        ([*RISING[:8], (3.0, 0.07)], 10),  # accuracy rose until the eighth epoch, and not in the last
        ([*RISING, (0.5, 0.09)], 14),  # it rose in the last: planned to be twenty
        ([(9 / (1 + i), i / 100) for i in range(50)], 30),  # never more than three times as many
        ([(9 / (1 + i), 0.0) for i in range(50)], 10),  # nothing is ever right: more of the same is no help
    ],
)
def test_patience(points: list[tuple[float, float]], epochs: int) -> None:
    assert course(points, epochs=10, patience=3) == epochs


def test_without_patience_there_are_as_many_as_asked_for() -> None:
    assert course([(5.0, 0.1)], epochs=10, patience=0) == 10
    assert course(RISING, epochs=4, patience=0) == 4


def test_every_round_has_the_whole_schedule() -> None:
    of = Course(TuneConfig(epochs=2, batch_size=10, warmup=0.0, lr=1.0), 20, 1.0, random.Random(0))
    assert [of.step()["lr"] for _ in range(8)] == [1.0, 0.75, 0.5, 0.25] * 2
    assert of.taken == 8


def test_an_epoch_has_every_example_once_in_another_order() -> None:
    of = Course(TuneConfig(batch_size=8), 20, 1.0, random.Random(0))
    first, second = ([*of.batches(range(20))] for _ in range(2))
    assert [len(batch) for batch in first] == [8, 8, 4]
    assert sorted(itertools.chain(*first)) == sorted(itertools.chain(*second)) == [*range(20)]
    assert first != second
