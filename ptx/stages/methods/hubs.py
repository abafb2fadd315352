"""`hubs`: the shared word with the highest CSLS score (Conneau et al., 2018): near to the vector, but not near to every
other word as well. With `--words`, a mean of several, weighted by softmax over their scores."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ptx.stages.methods.by_words import OPTIONS, mixed, settings_of
from ptx.stages.methods.method import Found, Method

if TYPE_CHECKING:
    from torch import Tensor

    from ptx.cache import Store
    from ptx.engine.step import Step
    from ptx.errors import PtxError
    from ptx.lms.embeddings import WordEmbeddings
    from ptx.lms.models import Model


def build(steps: Sequence[Step], model: WordEmbeddings, store: Store) -> Iterator[tuple[Step, Found | PtxError]]:
    """See Method. How crowded a source's words are is found once for all its steps."""
    from ptx.lms.embeddings import load_embeddings
    from ptx.transfer.nearest import crowding

    @functools.cache
    def crowded(source: Model, words: tuple[str, ...]) -> Tensor:
        return crowding(load_embeddings(source, str(model.device)).word_embeddings(words))

    yield from mixed(
        steps, model, store, lambda encoding, cosines, words: 2 * cosines - crowded(encoding.models[0], tuple(words))
    )


METHOD = Method(
    "hubs",
    sources=None,
    needs=("encodings", "words"),
    options=OPTIONS,
    settings=lambda asked, task: settings_of(asked, words=1),
    build=build,
    variants=({},),
)
