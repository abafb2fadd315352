"""Settings that agree are found without comparing each with each."""

from __future__ import annotations

import random
from typing import Any

from ptx.results.alike import Tables


def agree(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return all(b[name] == value for name, value in a.items() if name in b)


def slowly(every: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for own in every:
        if any(agree(own, other) for other in found):
            found = [{**other, **own} if agree(own, other) else other for other in found]
        else:
            found.append(own)
    return found


def test_tables_are_those_that_comparing_each_with_each_gives() -> None:
    draw = random.Random(0)
    values: list[Any] = [0, 1.0, True, "1", None, [1, "a"], [1, "b"]]
    for _ in range(300):
        names = "abcde"[: draw.randrange(1, 6)]
        every = [
            {name: draw.choice(values) for name in names if draw.random() < 0.8} for _ in range(draw.randrange(1, 15))
        ]
        tables = Tables()
        changed = [tables.take(own) for own in every]
        expected = slowly(every)
        assert tables.every == expected
        assert changed == [slowly(every[:i]) != slowly(every[: i + 1]) for i in range(len(every))]
        for own in every:
            assert tables.agreeing(own) == [i for i, other in enumerate(expected) if agree(own, other)]
