"""Agreement: how often a model with a candidate prompt answers unlabelled inputs as the sources do with theirs.

It needs no label: of several candidates it tells the one that does what the source's prompt does, beyond what chance
gives to two that answer independently, each as often as it does. A source that mostly says "London" agrees by chance
with whatever always says so. n inputs, k words that may answer, of which b are kept. Of equals the first counts
everywhere: of words the more frequent one (shared words are in that order), of candidates the one named first.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

SURE = 2.0


@dataclass(frozen=True)
class Answered:
    """What one source answers: per input the places of its b likeliest words, their log-probabilities among all k
    allowed ones, and the probability of the other k - b together."""

    places: Int[Tensor, "n b"]
    logs: Float[Tensor, "n b"]
    rest: Float[Tensor, " n"]


def averaged(answers: Sequence[Answered], weights: Sequence[float], k: int) -> Float[Tensor, "n k"]:
    """The sources' probabilities of all k words, averaged by their weights; of words that a source did not keep, its
    equal share of the rest."""
    mean = torch.zeros(len(answers[0].places), k, dtype=torch.float64)
    for of, weight in zip(answers, weights, strict=True):
        share = of.rest.double() / max(1, k - of.places.shape[1])
        own = share[:, None].expand(-1, k).scatter(1, of.places.long(), of.logs.double().exp())
        mean += weight * own
    return mean


def first_choice(probabilities: Float[Tensor, "n k"]) -> Int[Tensor, " n"]:
    """The place of the likeliest word of each row, the first of equals."""
    k = probabilities.shape[-1]
    likeliest = probabilities == probabilities.amax(-1, keepdim=True)
    return torch.where(likeliest, torch.arange(k), k).amin(-1)


def agreement(candidate: Sequence[int], source: Sequence[int]) -> float:
    """The share of inputs with the same first choice."""
    return sum(one == other for one, other in zip(candidate, source, strict=True)) / len(source)


def kappa(candidate: Sequence[int], source: Sequence[int]) -> float:
    """(a - e) / (1 - e), of the agreement a and what chance would give, e: 1 where all is the same, 0 by chance, and
    where both say always the same word. Cohen, "A coefficient of agreement for nominal scales" (1960)."""
    by_chance = chance(candidate, source)
    return (agreement(candidate, source) - by_chance) / (1 - by_chance) if by_chance < 1 else 0.0


def chance(candidate: Sequence[int], source: Sequence[int]) -> float:
    """e: how often two agree who answer independently, each every word as often as it does."""
    counts = Counter(source)
    return sum(times * counts[word] for word, times in Counter(candidate).items()) / len(source) ** 2


def most_agreeing(candidates: Sequence[Sequence[int]], source: Sequence[int]) -> int:
    """The number of the candidate that is kept: the highest kappa, of equals the first. A kappa of less than
    `SURE` standard errors of what chance gives, sqrt(e (1 - e) / n), is no better than another's."""

    def score(candidate: Sequence[int]) -> float:
        if (found := kappa(candidate, source)) <= 0:
            return 0.0
        by_chance = chance(candidate, source)
        return found if found > SURE * math.sqrt(by_chance / (1 - by_chance) / len(source)) else 0.0

    scores = [score(of) for of in candidates]
    return max(range(len(scores)), key=lambda i: (scores[i], -i))
