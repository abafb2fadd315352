"""Batches are bounded by bytes."""

from __future__ import annotations

import pytest

from ptx.lms.batches import BYTES, MOST, SCORES, Sizes, batches
from ptx.lms.known import zoo
from ptx.lms.lm import load_model
from ptx.lms.models import resolve

GEMMA = Sizes(262144, 640, 2048, 4, 4)
BERT = Sizes(28996, 768, 3072, 12, 4)


@pytest.mark.parametrize("sizes", [GEMMA, BERT, Sizes(100, 8, 16, 1, 4)])
@pytest.mark.parametrize("longest", [1, 9, 100, 2000])
def test_every_input_once_and_no_batch_too_large(sizes: Sizes, longest: int) -> None:
    lengths = sorted(1 + i * 7 % longest for i in range(1000))
    parts = [*range(1000)]
    cut = [parts[part] for part in batches(lengths, sizes)]
    assert [i for part in cut for i in part] == parts
    for part in cut:
        n = lengths[part[-1]]
        layer = 4 * (n * (4 * sizes.hidden + 2 * sizes.intermediate) + sizes.heads * n * n)
        assert 1 <= len(part) <= MOST
        assert len(part) == 1 or (len(part) * layer <= BYTES and len(part) * 8 * sizes.vocabulary <= SCORES <= BYTES)
    assert len(cut) < 1000 or longest == 2000  # or nothing is gained


def test_an_input_that_is_too_large_goes_alone() -> None:
    assert [*batches([3, 9], BERT, limit=1)] == [slice(0, 1), slice(1, 2)]
    assert [*batches([], BERT)] == []


@pytest.mark.parametrize("name", zoo())
def test_embedded_models_take_256_inputs(name: str) -> None:
    """Of twenty tokens, as their facts have at most."""
    sizes = load_model(resolve(name), "cpu").sizes
    assert sizes.vocabulary == 8000
    assert sizes.intermediate == 4 * sizes.hidden
    assert [*batches([20] * 300, sizes)] == [slice(0, 256), slice(256, 300)]
