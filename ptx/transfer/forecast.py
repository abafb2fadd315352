"""What accuracy to expect of a moved prompt, told from how often the target answers as its sources do.

With a the agreement, k what of it is beyond chance (kappa, agreement.py), p the sources' accuracy, m that of always the
most frequent answer, and q the target's: two models differ in accuracy by no more than they differ in answers, so
|q - p| <= 1 - a. Within that two rules are at hand, both for what is beyond chance, of which accuracies have
p' = (p - m) / (1 - m), and q' likewise. Models of like accuracy agree about as often as they are right, q' = k (Baek,
Jiang, Raghunathan and Kolter, "Agreement-on-the-Line", 2022); models that err each by itself agree where both are
right, k = p' q' (Platanios, Blum and Mitchell, "Estimating Accuracy from Unlabeled Data", 2014). The estimate is their
geometric mean, q' = k / sqrt(p'); what answers by chance is right on a share between 0 and m, of which half is taken:
q = m / 2 + (1 - m) q', times f. f is 1, or less if several sources tell it: between two of them kappa and accuracies
are known. It is not raised: two sources agree on less than what both learned from labels, and what they raised was 8
points too high. The range goes from k p (the target is right only where it agrees beyond chance, and agreement has
nothing to do with who is right) to a / p, with 95% intervals of a and p by Wilson (1927). All of it is about inputs
like those that were answered.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

Z = 1.96  # of a normal distribution: 95% lie within
FACTORS = (0.5, 1.0)  # few pairs say no more than this
LEAST = 0.1


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


def forecast(
    agreement: float, kappa: float, inputs: int, accuracy: float, majority: float, facts: int, factor: float = 1.0
) -> Forecast:
    """From an agreement on so many inputs with sources of this accuracy on so many labelled facts of their own, of
    which the most frequent answer has `majority`."""
    (a_low, a_high), (p_low, p_high) = wilson(agreement, inputs), wilson(accuracy, facts)
    chance = (agreement - kappa) / (1 - kappa) if kappa < 1 else 0.0
    k_low = max(0.0, (a_low - chance) / (1 - chance)) if chance < 1 else 0.0
    low = min(factor, 1.0) * k_low * p_low
    high = min(1.0, max(factor, 1.0) * a_high / max(p_low, 1e-9), p_high + 1 - a_low)
    differ = 1 - agreement
    expected = min(max(factor * estimate(kappa, accuracy, majority), accuracy - differ), accuracy + differ)
    return Forecast(min(max(expected, low), high), low, high)


def estimate(kappa: float, accuracy: float, majority: float) -> float:
    """m / 2 + (1 - m) k / sqrt(p'), which may be above 1. Of sources that are hardly better than always the same answer
    p' tells nothing: it is taken for at least `LEAST`."""
    beyond = max((accuracy - majority) / max(1 - majority, 1e-9), LEAST)
    return majority / 2 + (1 - majority) * max(kappa, 0.0) / math.sqrt(beyond)


def calibration(pairs: Sequence[tuple[float, float, float]], majority: float) -> float:
    """f, from pairs of sources: their kappa, the accuracy of the one, and that of the other, which is told from it.
    1 where no pair agrees beyond chance."""
    told = [other / estimate(kappa, one, majority) for kappa, one, other in pairs if kappa > 0]
    return min(max(math.fsum(told) / len(told), FACTORS[0]), FACTORS[1]) if told else 1.0
