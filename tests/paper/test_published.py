from __future__ import annotations

import pytest

from ptx.paper.published import TABLES, Place, published


def test_every_published_number_is_there_once() -> None:
    assert {table: len(published(table)) for table in TABLES} == {1: 4, 2: 18, 3: 84, 5: 26, 6: 8}
    assert published(4) == {}


@pytest.mark.parametrize(
    ("table", "place", "percent"),
    [
        (1, Place("direct", ("bert-large",), "roberta-large", "P@1"), 6.27),
        (2, Place("manual", (), "albert-base", "P@1"), 18.63),
        (3, Place("relative", ("bert-base", "roberta-base"), "albert-large", "P@1"), 26.54),
        (6, Place("relative", ("roberta-base",), "roberta-large", "dbpedia accuracy"), 80.81),
    ],
)
def test_numbers_are_the_papers(table: int, place: Place, percent: float) -> None:
    assert published(table)[place] == percent


def test_the_published_numbers_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        published(1)[Place("direct", (), "x", "P@1")] = 1.0  # type: ignore[index]
