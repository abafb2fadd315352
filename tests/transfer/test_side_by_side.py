"""Which tasks are tuned side by side."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ptx.lms.inputs import Row
from ptx.lms.lm import LanguageModel
from ptx.transfer.examples import Examples, side_by_side
from ptx.transfer.scoring import Questions


def task(name: str, train: int, dev: int) -> Examples:
    """One whose rows are numbered, so that a stand-in for a model can count them."""
    rows = [Row((n,), 0, 0) for n in range(train + dev)]
    return Examples(name, [(row, 0) for row in rows[:train]], Questions(rows[train:], None, None))


class Room(LanguageModel):
    """A stand-in that has room for so many inputs."""

    def __init__(self, count: int) -> None:
        self.count = count

    def keeps(self, rows: Sequence[Row]) -> bool:
        return len(rows) <= self.count


def cut(sizes: Sequence[Sequence[int]], rooms: Sequence[int], most: int = 8) -> list[list[int]]:
    tasks = [[task(f"T{i}", size - 1, 1) for size in of] for i, of in enumerate(sizes)]
    found = side_by_side(tasks, [Room(room) for room in rooms], most)
    return [[*range(len(tasks))][part] for part in found]


@pytest.mark.parametrize(
    ("sizes", "room", "most", "expected"),
    [
        ([], 10, 8, []),
        ([3, 3, 3], 99, 8, [[0, 1, 2]]),
        ([3, 3, 3, 3, 3], 99, 2, [[0, 1], [2, 3], [4]]),
        ([3, 3, 3], 6, 8, [[0, 1], [2]]),
        ([3, 3, 3], 5, 8, [[0], [1], [2]]),
        ([9, 3, 3], 6, 8, [[0], [1, 2]]),  # one that has no room by itself is tuned all the same
        ([3, 9, 3], 6, 8, [[0], [1], [2]]),
    ],
)
def test_as_many_as_there_is_room_for(sizes: list[int], room: int, most: int, expected: list[list[int]]) -> None:
    assert cut([[size] for size in sizes], [room], most) == expected


def test_every_model_has_room() -> None:
    assert cut([[1, 4], [1, 4], [4, 1], [4, 1]], [5, 5]) == [[0], [1, 2], [3]]


def test_all_inputs_of_a_task() -> None:
    of = task("T", 3, 2)
    assert of.rows == [*(row for row, _ in of.train), *of.dev.rows]
    assert len(of.rows) == 5
