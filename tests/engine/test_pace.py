"""What is made of what was seen: the speed of a kind, of its like, of earlier runs."""

from __future__ import annotations

from typing import Any

import pytest

from ptx.engine import pace
from ptx.engine.pace import Paces, Seen


def test_what_was_last_counts_most() -> None:
    """By how far along it was: of three tenths at one speed and seven at another, 0.3 squared is the old one."""
    seen = Seen()
    for _ in range(300):
        seen.add(1.0, 1.0)
    for _ in range(700):
        seen.add(3.0, 1.0)
    assert seen.seconds / seen.expected == pytest.approx(0.09 * 1 + 0.91 * 3, rel=0.01)


def test_it_does_not_matter_in_how_many_pieces_it_was_seen() -> None:
    pieces, whole = Seen(), Seen()
    for _ in range(50):
        pieces.add(4.0, 2.0)
    whole.add(200.0, 100.0)
    assert pieces.rate(1.0) == pytest.approx(2.0, rel=0.05)
    assert whole.rate(1.0) == pytest.approx(2.0, rel=0.05)


def test_seconds_of_which_nothing_was_expected_count() -> None:
    seen = Seen()
    seen.add(10.0, 10.0)
    seen.add(15.0, 0.0)
    assert (seen.seconds, seen.expected) == (25.0, 10.0)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (("search", "auto", "b"), 3.0),  # as the method does elsewhere
        (("search", "direct", "b"), 2.0),  # as the stage does
        (("eval", "", "b"), 2.0),  # as all does
    ],
)
def test_what_was_not_seen_goes_like_what_is_like_it(kind: tuple[str, str, str], expected: float) -> None:
    paces = Paces({}, 1.0)
    for _ in range(1000):
        paces.learn(("search", "auto", "a"), 3.0, 1.0)
        paces.learn(("search", "relative", "a"), 1.0, 1.0)
    assert paces.of(kind) == pytest.approx(expected, rel=0.02)


def test_without_anything_seen_it_is_a_guess() -> None:
    assert Paces({}, 0.7).of(("tune", "", "a")) == 0.7


def test_earlier_runs_count_for_some_seconds_whatever_they_took() -> None:
    paces = Paces({("tune", "", "a"): (2e6, 1e6)}, 1.0)
    assert paces.of(("tune", "", "a")) == pytest.approx(2.0, rel=0.01)
    for _ in range(100):
        paces.learn(("tune", "", "a"), 1.0, 1.0)
    assert paces.of(("tune", "", "a")) == pytest.approx(1.0, rel=0.1)


def test_what_was_disturbed_tells_nothing_of_the_next_run() -> None:
    """A machine that slept for an hour, and half of the runs beside other programs."""
    labels, seconds = {"model": "a", "task": "R9"}, [10.0, 11.0, 10.5, 10.2, 40.0, 35.0, 38.0, 3600.0]
    metas: list[dict[str, Any]] = [
        {"stage": "tune", "labels": labels, "host": "here", "seconds": s, "expected": 5.0} for s in seconds
    ]
    seconds_all, expected = pace.earlier(metas, "here")["tune", "", "a"]
    assert expected == 40
    assert seconds_all == pytest.approx(40 * 10.5 / 5)
