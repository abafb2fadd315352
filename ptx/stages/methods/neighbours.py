"""`neighbours`: a mean of the few shared words nearest to each vector (by cosine, weighted by softmax), as the target
embeds them. One word is `discretize`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ptx.stages.methods.by_words import OPTIONS, mixed, settings_of
from ptx.stages.methods.method import Found, Method

if TYPE_CHECKING:
    from ptx.cache import Store
    from ptx.engine.step import Step
    from ptx.errors import PtxError
    from ptx.lms.embeddings import WordEmbeddings


def build(steps: Sequence[Step], model: WordEmbeddings, store: Store) -> Iterator[tuple[Step, Found | PtxError]]:
    """See Method."""
    yield from mixed(steps, model, store, lambda encoding, cosines, words: cosines)


METHOD = Method(
    "neighbours",
    sources=None,
    needs=("encodings", "words"),
    options=OPTIONS,
    settings=lambda asked, task: settings_of(asked, words=4),
    build=build,
    variants=({"words": 2}, {"words": 4}, {"words": 16}),
)
