"""`linear`: the linear map that predicts the target's embeddings of the shared words best (least squares; v2v-lin and
lin-comb of Lester et al., 2022), then Eq. 6."""

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
    from ptx.transfer.maps import linear

    yield from moved(steps, model, store, lambda x, y, settings: linear(x, y, ridge=settings["ridge"]))


METHOD = Method(
    "linear",
    sources=None,
    needs=("prompts", "words"),
    options=("ridge", "weights", "normalize"),
    settings=lambda asked, task: {"ridge": asked.search.penalty, "normalize": asked.search.normalize},
    build=build,
    variants=({"ridge": "0.1"},),
)
