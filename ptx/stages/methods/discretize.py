"""`discretize`: each vector becomes the shared word nearest to it in the source (by cosine), embedded by the target
(Table 3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ptx.stages.methods.method import Found, Method

if TYPE_CHECKING:
    from ptx.cache import Store
    from ptx.engine.step import Step
    from ptx.lms.embeddings import WordEmbeddings


def build(steps: Sequence[Step], model: WordEmbeddings, store: Store) -> Iterator[tuple[Step, Found]]:
    """See Method."""
    from ptx.stages.anchors import read_words
    from ptx.stages.encode import read_similarities

    words = read_words(steps[0].parents_at("anchors")[0], store)
    embeddings = model.word_embeddings(words)
    for step in steps:
        nearest = read_similarities(step.parents_at("encode")[0], store).argmax(-1)
        yield step, Found(embeddings[nearest.to(embeddings.device)], {"words": [words[i] for i in nearest.tolist()]})


METHOD = Method("discretize", sources=1, needs=("encodings", "words"), build=build, variants=({},))
