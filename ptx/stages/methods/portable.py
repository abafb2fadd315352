"""`portable`: a prompt learned as weighted words on all sources at once, as the target embeds these words.

Nothing is searched for, and no word need be shared with it: one that is several tokens there becomes their mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ptx.errors import PtxError
from ptx.stages.methods.method import Found, Method

if TYPE_CHECKING:
    from ptx.cache import Store
    from ptx.engine.step import Step
    from ptx.lms.embeddings import WordEmbeddings


def build(steps: Sequence[Step], model: WordEmbeddings, store: Store) -> Iterator[tuple[Step, Found | PtxError]]:
    """See Method."""
    from ptx.stages.portable import read_mixtures
    from ptx.transfer.mixtures import embedded

    for step in steps:
        try:
            found = embedded(model, read_mixtures(step.parents[0], store))
        except PtxError as error:
            yield step, error
        else:
            yield step, Found(found.prompt, {"several": found.several, "unknown": found.unknown})


def _exists(sources: Sequence[str], target: str) -> bool:
    return len(sources) > 1  # words learned on one model travel little further than its prompt


METHOD = Method("portable", sources=None, needs=("portable",), options=(), build=build, exists=_exists)
