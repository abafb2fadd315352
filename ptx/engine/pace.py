"""How fast work goes: the seconds that an expected one takes, by what was seen in this run and in earlier ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Kind = tuple[str, str, str]  # stage, method and model: what has one speed
EARLIER = 20.0  # seconds of work, at most, that what the cache says counts for
DOUBT = 2.0  # seconds of work for which what is more general counts


@dataclass
class Seen:
    """Seconds that work took, and those that were expected of it. What was seen when half as much was done counts half:
    what is to come, and the machine until then, are most like what was last."""

    seconds: float = 0.0
    expected: float = 0.0
    whole: float = 0.0  # that was expected of all of it, whatever it still counts

    def add(self, seconds: float, expected: float) -> None:
        self.whole += expected
        kept = 1 - expected / self.whole if self.whole else 1.0
        self.seconds = kept * self.seconds + seconds
        self.expected = kept * self.expected + expected

    def rate(self, guess: float) -> float:
        """Seconds for an expected one; little more than the guess as long as little was seen."""
        return (DOUBT * guess + self.seconds) / (DOUBT + self.expected)


class Paces:
    """What was seen of kinds, and of all that have a stage, or stage and method, in common. `earlier` is what the cache
    says of kinds (see `earlier` below), `guess` the seconds that an expected one takes if it says nothing."""

    def __init__(self, earlier: Mapping[Kind, tuple[float, float]], guess: float) -> None:
        self.guess = guess
        self._seen: dict[tuple[str, ...], Seen] = {}
        whole: dict[tuple[str, ...], list[tuple[float, float]]] = {}
        for kind, took in earlier.items():
            for of in _within(kind):
                whole.setdefault(of, []).append(took)
        for of, every in whole.items():
            seconds, expected = map(math.fsum, zip(*every, strict=True))
            weight = min(1.0, EARLIER / expected)
            self._seen[of] = Seen(weight * seconds, weight * expected, weight * expected)

    def learn(self, kind: Kind, seconds: float, expected: float) -> None:
        """That work of a kind took so many seconds, and was expected to take others."""
        for of in _within(kind):
            self._seen.setdefault(of, Seen()).add(seconds, expected)

    def of(self, kind: Kind) -> float:
        """How many seconds an expected second takes: by what is known of the kind, else of its method, else of its
        stage, else of all."""
        rate = self.guess
        for of in _within(kind):
            if of in self._seen:
                rate = self._seen[of].rate(rate)
        return rate


def _within(kind: Kind) -> Iterator[tuple[str, ...]]:
    """What a kind is one of, the most general first, and the kind itself."""
    return (kind[:n] for n in range(len(kind) + 1))


def kind_of(stage: str, labels: Mapping[str, Any]) -> Kind:
    model = labels.get("model") or labels.get("target") or "+".join(labels.get("sources", ()))
    return (stage, str(labels.get("method", "")), str(model))


def earlier(metas: Iterable[Mapping[str, Any]], host: str) -> dict[Kind, tuple[float, float]]:
    """Of kinds the seconds that artifacts took on this host, and what was expected of them; from their meta.json.

    The speed is the one that a quarter of them reached: what went slower, because other programs ran or the machine
    slept, tells nothing of the next run.
    """
    found: dict[Kind, list[tuple[float, float]]] = {}
    for meta in metas:
        if meta.get("host") == host and (expected := meta.get("expected")):
            found.setdefault(kind_of(meta["stage"], meta["labels"]), []).append((meta["seconds"], expected))
    whole = {kind: math.fsum(expected for _, expected in of) for kind, of in found.items()}
    return {kind: (whole[kind] * sorted(s / e for s, e in of)[len(of) // 4], whole[kind]) for kind, of in found.items()}
