"""A grid in parts for several machines without a scheduler: each builds its own, and they share as little as can be.

What is made for one task and seed is made of nothing that others are made for, the words that models share aside: no
two shards build the same. Only where there are fewer of these than shards, targets are parted as well, which share the
prompts of their sources. Costs say which shard gets what, the largest first; they are known before anything is built,
so that all machines part a grid in the same way, whatever the cache has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ptx.engine.graph import alone
from ptx.engine.step import Step, closure
from ptx.engine.work import seconds_of
from ptx.errors import UsageError


@dataclass(frozen=True)
class Shard:
    """The `number`th of `count`, from 1."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def of(self, goals: Sequence[Step]) -> list[Step]:
        """Its own of these goals; none if there are fewer than shards."""
        parts = _parts(goals, lambda goal: (str(goal.labels.get("suite", "")), *alone(goal)))
        if len(parts) < self.count:
            parts = _parts(goals, lambda goal: (str(goal.labels.get("suite", "")), *alone(goal), *goal.group))
        shares: list[tuple[float, list[Step]]] = [(0.0, []) for _ in range(self.count)]
        costs = {name: sum(map(seconds_of, closure(part))) for name, part in parts.items()}
        for name in sorted(parts, key=lambda name: (-round(costs[name], 6), name)):
            least = min(range(self.count), key=lambda place: (shares[place][0], place))
            shares[least] = (shares[least][0] + costs[name], shares[least][1] + parts[name])
        own = {(goal.key, str(goal.labels)) for goal in shares[self.number - 1][1]}
        return [goal for goal in goals if (goal.key, str(goal.labels)) in own]


def shard_of(text: str) -> Shard | None:
    """What `--shard` says; None if it says nothing. Raises UsageError."""
    if not text:
        return None
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise UsageError(f"--shard {text!r} is no part of a whole", "write it like --shard 1/8, up to --shard 8/8")
    return Shard(int(found[1]), int(found[2]))


def _parts(goals: Sequence[Step], name: Callable[[Step], tuple[str, ...]]) -> dict[tuple[str, ...], list[Step]]:
    parts: dict[tuple[str, ...], list[Step]] = {}
    for goal in goals:
        parts.setdefault(name(goal), []).append(goal)
    return parts
