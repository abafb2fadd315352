"""Made-up cells for the tests of ptx.paper: a miniature grid in which every number is known."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

from ptx.paper.cells import Cell
from ptx.paper.published import published

REAL = {
    f"{family}-{size}": f"{family}-{size}" for family in ("bert", "roberta", "albert") for size in ("base", "large")
}
REAL |= {f"gpt2-{size}": f"gpt2-{size}" for size in ("small", "medium", "large")}
SIZES = {"base": "micro", "small": "micro", "large": "mini", "medium": "mini"}
MINI: dict[str, str | None] = {n: "-".join((n.split("-")[0], SIZES[n.split("-")[1]])) for n in REAL}
MINI["gpt2-large"] = None
FLOOR = 0.18


RELATIONS = tuple(f"P{i}" for i in range(40))


def cell(method: str, sources: tuple[str, ...], target: str, accuracy: float, **more: Any) -> Cell:
    """One seed; accuracies and losses vary with the relation by a few points, in each cell in another way."""
    known: dict[str, Any] = {"suite": "facts", "tasks": 40, "facts": 3000, "floor": FLOOR, "seeds": (0,)}
    known |= {"units": RELATIONS, "scores": (varied(accuracy, f"{method} {sources} {target} {more}"),)}
    known |= {"floors": ((FLOOR,) * 40,)}
    if (loss := more.get("matching_loss")) is not None:
        known["losses"] = (varied(loss, f"loss {sources} {target} {more}"),)
    return Cell(method, sources, target, accuracy=accuracy, **(known | more))


def varied(mean: float, what: str, spread: float = 0.03) -> tuple[float, ...]:
    """Forty numbers with this mean, the same ones for the same `what`."""
    draw = random.Random(what)
    half = [draw.gauss(0, spread) for _ in RELATIONS[::2]]
    both = [sign * offset for offset in half for sign in (1, -1)]
    draw.shuffle(both)
    return tuple(mean + offset for offset in both)


def grid(number: int, *, shift: float = 0.2) -> list[Cell]:
    """A miniature's cells for one table: the published numbers plus `shift`, so that their order is kept."""
    cells: dict[Any, Cell] = {}
    for place, percent in published(number).items():
        sources, target = tuple(MINI[s] or "" for s in place.sources), MINI[place.target]
        if target and all(sources):
            suite = "topics" if number == 6 else "facts"
            made = cell(place.method, sources, target, min(percent / 100 + shift, 1.0), suite=suite)
            cells.setdefault((place.method, sources, target), made)
    return list(cells.values())


def but(made: Cell, **more: Any) -> Cell:
    """The cell, changed; with another accuracy every relation's moves along."""
    if "accuracy" in more and "scores" not in more:
        gain = more["accuracy"] - made.accuracy
        more["scores"] = tuple(tuple(score + gain for score in row) for row in made.scores)
    return dataclasses.replace(made, **more)


def along(pairs: list[tuple[str, str]], name: str, values: dict[Any, float], losses: bool = False) -> list[Cell]:
    """An ablation's cells: one per pair and value; within a model everything is 0.3 higher."""
    return [
        cell("relative", (s,), t, accuracy + 0.3 * (s == t), settings={name: value},
             matching_loss=1 - accuracy if losses else None)
        for s, t in pairs for value, accuracy in values.items()
    ]  # fmt: skip


PAIRS = [("bert-micro", "bert-micro"), ("bert-micro", "roberta-micro"), ("roberta-micro", "bert-mini")]
FIGURES = {
    "figure2": along(PAIRS, "search.steps", {0: 0.1, 8: 0.2, 64: 0.35, 1000: 0.5}, losses=True),
    "figure3": along(PAIRS[:1], "search.normalize", {False: 0.41, True: 0.4})
    + along(PAIRS[1:], "search.normalize", {False: 0.3, True: 0.4}),
    "figure4": along(PAIRS, "encode.top_k", {16: 0.2, 64: 0.3, "all": 0.4})
    + [but(c, settings={"encode.top_k": "all", **c.settings})
       for c in along(PAIRS, "anchors.count", {16: 0.15, 64: 0.25})]
    + along(PAIRS, "tune.prompt_length", {1: 0.2, 3: 0.3, 5: 0.4, 10: 0.35}),
}  # fmt: skip
