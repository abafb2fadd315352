"""`omp`: each vector as a combination of few shared words (orthogonal matching pursuit: Pati et al., 1993), the same
combination of the target's words, then Eq. 6."""

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
    from ptx.transfer.nearest import combination
    from ptx.transfer.omp import pursuit

    yield from moved(
        steps,
        model,
        store,
        lambda x, y, settings: lambda v: combination(*pursuit(v, x, count=settings["words"]), embeddings=y),
    )


METHOD = Method(
    "omp",
    sources=None,
    needs=("prompts", "words"),
    options=("words", "weights", "normalize"),
    settings=lambda asked, task: {"words": asked.search.words or 8, "normalize": asked.search.normalize},
    build=build,
    seconds=0.05,
    variants=({},),
)
