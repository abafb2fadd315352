"""What accuracy to expect of a moved prompt, told from how often the target answers as its sources do, and from how
sure it is of its answers.

With a the agreement (agreement.py) and c the probability that the target gives its own first choices, in the mean, the
estimate is sqrt(a c). Either tells accuracies without labels: models of like accuracy agree about as often as they are
right (Baek, Jiang, Raghunathan and Kolter, "Agreement-on-the-Line", 2022), and a calibrated model is right as often as
it is sure (Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", 2017). Each is misled where the
other need not be: a by sources that are wrong where the target is, c by a target that is sure of something else. Their
geometric mean was best of eighteen rules on the choosing half of relations (docs/transfer.md). An agreement that chance
gives, with kappa within 1.96 standard errors of 0, says nothing: what answers by chance is right on a share between 0
and that of always the most frequent answer, m, of which half is taken. Two models differ in accuracy by no more than
they differ in answers: with the sources' accuracy p, |q - p| <= 1 - a.

The estimate is taken f times. f is 1, or less if several sources tell it: between two of them agreement, confidence and
accuracies are known. It is not raised: two sources learned from labels, and agree on less than both learned.

The range goes from k p (k, kappa, is what of a is beyond chance: the target is right only where it agrees beyond
chance, and agreement has nothing to do with who is right) to a / p, with 95% intervals of a and p by Wilson (1927).
All of it is about inputs like those that were answered.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

Z = 1.96  # of a normal distribution: 95% lie within
FACTORS = (0.5, 1.0)  # few pairs say no more than this


@dataclass(frozen=True)
class Forecast:
    """The accuracy to expect, between 0 and 1, and its range."""

    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class Seen:
    """How a target answers n unlabelled inputs: how often as its sources, what of this is beyond chance, how surely."""

    agreement: float
    kappa: float
    confidence: float
    inputs: int

    @property
    def chance(self) -> float:
        """How often two agree who answer independently, each every word as often as it does."""
        return (self.agreement - self.kappa) / (1 - self.kappa) if self.kappa < 1 else 0.0


def wilson(share: float, n: int) -> tuple[float, float]:
    """The 95% interval of a share seen in n trials."""
    if n == 0:
        return 0.0, 1.0
    middle, width = share + Z**2 / (2 * n), Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    below = 1 + Z**2 / n
    return max(0.0, (middle - width) / below), min(1.0, (middle + width) / below)


def forecast(seen: Seen, accuracy: float, majority: float, facts: int, factor: float = 1.0) -> Forecast:
    """From how the target answers, and what the sources' accuracy is on so many labelled facts of their own, of which
    the most frequent answer has `majority`."""
    chance, differ = seen.chance, 1 - seen.agreement
    (a_low, a_high), (p_low, p_high) = wilson(seen.agreement, seen.inputs), wilson(accuracy, facts)
    k_low = max(0.0, (a_low - chance) / (1 - chance)) if chance < 1 else 0.0
    low = min(factor, 1.0) * k_low * p_low
    high = min(1.0, max(factor, 1.0) * a_high / max(p_low, 1e-9), p_high + 1 - a_low)
    told = factor * estimate(seen.agreement, seen.confidence) if _beyond_chance(seen) else majority / 2
    expected = min(max(told, accuracy - differ), accuracy + differ)
    return Forecast(min(max(expected, low), high), low, high)


def estimate(agreement: float, confidence: float) -> float:
    """sqrt(a c)."""
    return math.sqrt(agreement * confidence)


def _beyond_chance(seen: Seen) -> bool:
    """Whether kappa is more than chance gives: its standard error is sqrt(e / (1 - e) / n), with e the chance."""
    chance = seen.chance
    return chance < 1 and seen.kappa > Z * math.sqrt(chance / (1 - chance) / max(1, seen.inputs))


def calibration(pairs: Sequence[tuple[float, float, float]]) -> float:
    """f, from pairs of sources: how often they agree, how sure the one is, and its accuracy, which is told from these.
    1 where no pair agrees."""
    told = [of / estimate(agreement, confidence) for agreement, confidence, of in pairs if agreement * confidence > 0]
    return min(max(math.fsum(told) / len(told), FACTORS[0]), FACTORS[1]) if told else 1.0
