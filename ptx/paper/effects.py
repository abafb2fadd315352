"""What a claim is judged by: one number, and how far it would move with other relations (a paired bootstrap)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]  # [..., columns], the means over units, to [...]

CONFIDENCE, RESAMPLES = 0.95, 9999
AT_ONCE = 10**6  # numbers drawn at a time


def average(means: Array) -> Array:
    return means.mean(-1)


@dataclass(frozen=True)
class Effect:
    """A number that is positive if a claim holds, or negative if its `side` is -1.

    `parts` are arrays [seeds, units, columns]: whatever is compared stands in the columns of one array, so that it is
    drawn together, and each array is drawn from apart. `text` says what is compared, `tail` what else is known of it.
    `seeds` are empty for the published numbers, which come without relations and seeds.
    """

    text: str
    parts: Sequence[Array]
    statistic: Statistic = average
    side: int = 1
    tail: str = ""
    seeds: tuple[int, ...] = ()
    unit: str = "relation"
    decimals: int = 1

    @property
    def value(self) -> float:
        return self._of([part.mean(axis=(0, 1)) for part in self.parts])

    @property
    def by_seed(self) -> list[float]:
        return [self._of([part[i].mean(0) for part in self.parts]) for i in range(len(self.seeds))]

    @property
    def units(self) -> int:
        return sum(part.shape[1] for part in self.parts)

    def _of(self, means: Sequence[Array]) -> float:
        return float(self.statistic(np.concatenate(means)[None])[0])

    def interval(self) -> tuple[float, float] | None:
        """Low and high end, seeds averaged first; None where there is but one unit to draw from."""
        if min(part.shape[1] for part in self.parts) < 2:
            return None
        from scipy.stats import bootstrap

        tables = [part.mean(0) for part in self.parts]

        def resampled(*drawn: NDArray[np.int64], axis: int) -> Array:
            means = [table[chosen].mean(axis=-2) for table, chosen in zip(tables, drawn, strict=True)]
            return self.statistic(np.concatenate(means, axis=-1))

        rows = [np.arange(len(table)) for table in tables]  # whole rows are drawn: all columns of a unit together
        batch = max(1, AT_ONCE // max(table.size for table in tables))
        found = bootstrap(
            rows, resampled, vectorized=True, n_resamples=RESAMPLES, batch=batch, confidence_level=CONFIDENCE,
            method="percentile", rng=0,
        ).confidence_interval  # fmt: skip
        return float(found.low), float(found.high)


def verdict(effect: Effect, interval: tuple[float, float] | None) -> bool | None:
    """Whether all of the interval is on the claimed side of zero, or all on the other; None if it includes zero."""
    if interval is None or interval[0] <= 0 <= interval[1]:
        return None
    return bool(effect.side * interval[0] > 0)


def numbers(effect: Effect, interval: tuple[float, float] | None) -> str:
    """An effect on one line: "relative 34.3, projector 34.1: +0.2 [-1.9, +2.4] over 30 relations, seed 0"."""

    def signed(number: float) -> str:
        return f"{round(number, effect.decimals) + 0.0:+.{effect.decimals}f}"  # + 0.0: never "-0.0"

    text = f"{effect.text}: {signed(effect.value)}"
    if interval is not None:
        text += f" [{signed(interval[0])}, {signed(interval[1])}]" + " includes 0," * (interval[0] <= 0 <= interval[1])
    if effect.seeds:
        text += f" over {effect.units} {effect.unit}" + "s" * (effect.units > 1)
        text += f", seed{'s' * (len(effect.seeds) > 1)} {', '.join(map(str, effect.seeds))}"
        text += f" ({', '.join(map(signed, effect.by_seed))})" * (len(effect.seeds) > 1)
    return text + effect.tail


def share_of_gap(means: Array) -> Array:
    """(method - floor) / (ceiling - floor) in percent, of [..., 3]; nan where the ceiling is not above the floor."""
    above, whole = means[..., 0] - means[..., 1], means[..., 2] - means[..., 1]
    return np.divide(100 * above, whole, out=np.full_like(whole, np.nan), where=whole > 0)


def rank_correlation(a: Array, b: Array) -> Array:
    """Spearman's, along the last axis; ties share their mean rank. 0 where one does not vary: it goes with nothing."""
    from scipy.stats import rankdata

    a, b = (ranks - ranks.mean(-1, keepdims=True) for ranks in (rankdata(a, axis=-1), rankdata(b, axis=-1)))
    scale = np.sqrt((a**2).sum(-1) * (b**2).sum(-1))
    return np.divide((a * b).sum(-1), scale, out=np.zeros_like(scale), where=scale > 0)
