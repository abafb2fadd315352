"""Which groups of steps can be built now: each as soon as all that it needs is done, in the order of the stages."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence

from ptx.engine.step import Step
from ptx.engine.work import seconds_of

AT_LEAST = 30.0  # seconds, where ptx was measured, for which loading a model once more is worth while
EACH = 4  # portions of a stage for each worker, so that none is left waiting for the longest


class Graph:
    """Groups, each of which `needs` others; numbered by their place, and handed out in that order as far as can be."""

    def __init__(self, needs: Sequence[Collection[int]]) -> None:
        self._needs = [{*before} for before in needs]
        self._after: list[list[int]] = [[] for _ in needs]
        for number, before in enumerate(needs):
            for each in before:
                self._after[each].append(number)
        self._ready = [number for number, before in enumerate(needs) if not before]

    def next(self) -> int | None:
        """A group that can be built, which is handed out once; None if there is none now."""
        return heapq.heappop(self._ready) if self._ready else None

    def done(self, number: int) -> None:
        """A group has become what it could: those that waited for it alone can be built."""
        for after in self._after[number]:
            self._needs[after].remove(number)
            if not self._needs[after]:
                heapq.heappush(self._ready, after)


def span(needs: Sequence[Collection[int]], seconds: Sequence[float], workers: int) -> float:
    """Seconds until all groups are done that so many workers build, if each takes as long as is said."""
    graph, at_work, now = Graph(needs), list[tuple[float, int]](), 0.0
    while True:
        while len(at_work) < workers and (number := graph.next()) is not None:
            heapq.heappush(at_work, (now + seconds[number], number))
        if not at_work:
            return now
        now, number = heapq.heappop(at_work)
        graph.done(number)


def needs(groups: Sequence[Sequence[Step]]) -> list[set[int]]:
    """By number which groups have to be done before each."""
    home = {step.key: number for number, group in enumerate(groups) for step in group}
    return [{home[p.key] for s in group for p in s.parents if p.key in home} for group in groups]


def place(step: Step, portions: Mapping[str, int]) -> tuple[object, ...]:
    """What a group, or a portion of one, is known by."""
    return (step.stage.name, step.depth, portions.get(step.key, 0), *step.group)


def grouped(steps: Iterable[Step], portions: Mapping[str, int]) -> list[list[Step]]:
    """Steps that are built together, in the order in which they come."""
    groups: dict[tuple[object, ...], list[Step]] = {}
    for step in steps:
        groups.setdefault(place(step, portions), []).append(step)
    return list(groups.values())


def divided(steps: Sequence[Step], workers: int) -> dict[str, int]:
    """By key to which portion of its group a step belongs, where a group is so much work that `workers` share it. Tasks
    and seeds stay together, and in the same order in each group, so that portions wait for few others."""
    if workers < 2:
        return {}
    found: dict[str, int] = {}
    groups = grouped(steps, {})
    seconds = [sum(map(seconds_of, group)) for group in groups]
    for group, took in zip(groups, seconds, strict=True):
        level = (group[0].stage.name, group[0].depth)
        whole = sum(s for g, s in zip(groups, seconds, strict=True) if (g[0].stage.name, g[0].depth) == level)
        names = sorted({alone(step) for step in group})
        count = min(int(took / AT_LEAST), round(EACH * workers * took / max(whole, 1e-9)), len(names))
        if count > 1:
            portion = {name: number * count // len(names) for number, name in enumerate(names)}
            found |= {step.key: portion[alone(step)] for step in group}
    return found


def alone(step: Step) -> tuple[str, str]:
    """Task and seed: what is made for them is made of nothing that others are made for."""
    return str(step.labels.get("task", "")), str(step.labels.get("seed", ""))


def below(steps: Sequence[Step], keys: Collection[str]) -> set[str]:
    """These keys and those of all that is made of them; `steps` are in the order of the stages."""
    found = {*keys}
    for step in steps:
        if any(parent.key in found for parent in step.parents):
            found.add(step.key)
    return found
