"""What accuracy to expect of a moved prompt, told from how often the target answers as the source does.

If the target agrees with a source of accuracy p on a share a of inputs, and agreement says nothing of who is right, a p
of all its answers are right where both agree; what it has right where they differ is unknown and counts as nothing. So
the estimate is f a p, with f = 1. Several sources tell f: from one to another, agreement and both accuracies are known,
f is the mean of what a p has missed there. The range is that of 95% intervals by Wilson (1927) of a and p together.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

Z = 1.96  # of a normal distribution: 95% lie within
FACTORS = (0.5, 2.0)  # a calibration by a few pairs says no more than this


@dataclass(frozen=True)
class Forecast:
    """The accuracy to expect, between 0 and 1, and its range."""

    accuracy: float
    low: float
    high: float


def wilson(share: float, n: int) -> tuple[float, float]:
    """The 95% interval of a share seen in n trials."""
    if n == 0:
        return 0.0, 1.0
    middle, width = share + Z**2 / (2 * n), Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    below = 1 + Z**2 / n
    return max(0.0, (middle - width) / below), min(1.0, (middle + width) / below)


def forecast(agreement: float, inputs: int, accuracy: float, facts: int, factor: float = 1.0) -> Forecast:
    """From an agreement on so many inputs with a source of this accuracy on so many labelled facts of its own."""
    (a_low, a_high), (p_low, p_high) = wilson(agreement, inputs), wilson(accuracy, facts)
    return Forecast(*(min(1.0, factor * a * p) for a, p in ((agreement, accuracy), (a_low, p_low), (a_high, p_high))))


def calibration(pairs: Sequence[tuple[float, float, float]]) -> float:
    """f, from pairs of sources: their agreement, the accuracy of the one, and of the other, which is told from it. Of
    pairs that tell nothing (one of the three is nought) there is no calibration: 1."""
    told = [b / (a * p) for a, p, b in pairs if a * p * b > 0]
    return min(max(math.fsum(told) / len(told), FACTORS[0]), FACTORS[1]) if told else 1.0
