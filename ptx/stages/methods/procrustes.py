"""`procrustes`: the source's space turned until the shared words lie as near as may be to where they are in the target
(Schönemann, 1966), then Eq. 6."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ptx.stages.methods.by_map import moved
from ptx.stages.methods.method import Found, Method

if TYPE_CHECKING:
    from ptx.cache import Store
    from ptx.engine.step import Step
    from ptx.errors import PtxError
    from ptx.lms.embeddings import WordEmbeddings


def build(steps: Sequence[Step], model: WordEmbeddings, store: Store) -> Iterator[tuple[Step, Found | PtxError]]:
    """See Method."""
    from ptx.transfer.maps import procrustes

    yield from moved(steps, model, store, lambda x, y, settings: procrustes(x, y, centre=settings["centre"]))


METHOD = Method(
    "procrustes",
    sources=None,
    needs=("prompts", "words"),
    options=("centre", "weights", "normalize"),
    settings=lambda asked, task: {"centre": asked.search.centre, "normalize": asked.search.normalize},
    build=build,
    variants=({},),
)
