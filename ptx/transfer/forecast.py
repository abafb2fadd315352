"""What accuracy to expect of a moved prompt, told from how often the target answers as its sources do.

With a the agreement, p the sources' accuracy and q the target's: two models differ in accuracy by no more than they
differ in answers, so |q - p| <= 1 - a. Within that two rules are at hand. Models of like accuracy agree about as often
as they are right, q = a (Baek, Jiang, Raghunathan and Kolter, "Agreement-on-the-Line", 2022); models that err each by
itself agree where both are right, a = p q (Platanios, Blum and Mitchell, "Estimating Accuracy from Unlabeled Data",
2014). The estimate is their geometric mean, f a / sqrt(p). f is 1 unless several sources tell it: between two of them
agreement and accuracies are known. The range goes from a p (the target is right only where it agrees, and agreement
has nothing to do with who is right) to a / p, with 95% intervals of a and p by Wilson (1927). All of it is about inputs
like those that were answered.
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
    """From an agreement on so many inputs with sources of this accuracy on so many labelled facts of their own."""
    (a_low, a_high), (p_low, p_high) = wilson(agreement, inputs), wilson(accuracy, facts)
    low = min(factor, 1.0) * a_low * p_low
    high = min(1.0, max(factor, 1.0) * a_high / max(p_low, 1e-9), p_high + 1 - a_low)
    expected = min(factor * estimate(agreement, accuracy), accuracy + 1 - agreement)
    return Forecast(min(max(expected, low), high), low, high)


def estimate(agreement: float, accuracy: float) -> float:
    """a / sqrt(p), which may be above 1."""
    return agreement / math.sqrt(max(accuracy, 1e-9))


def calibration(pairs: Sequence[tuple[float, float, float]]) -> float:
    """f, from pairs of sources: their agreement, the accuracy of the one, and that of the other, which is told from it.
    1 where no pair agrees at all."""
    told = [other / estimate(agreement, one) for agreement, one, other in pairs if agreement > 0]
    return min(max(math.fsum(told) / len(told), FACTORS[0]), FACTORS[1]) if told else 1.0
