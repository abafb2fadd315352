"""`text`: the target's embeddings of a text in words. Of several that it can read, the one with which the sources
answer best on their own train facts, as prompts are chosen on labelled examples of one's own model (Perez, Kiela and
Cho, "True Few-Shot Learning with Language Models", 2021)."""

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
    from ptx.stages.texts import accuracies
    from ptx.transfer.starts import readable, whole_text

    for step in steps:
        sources, weights = step.parents_at("texts"), step.settings["weights"]
        every = [accuracies(source, store) for source in sources]
        texts = [text for text in every[0] if all(text in of for of in every)]
        mean = {text: sum(w * of[text] for w, of in zip(weights, every, strict=True)) for text in texts}
        best = max(readable(texts, model) or texts, key=lambda text: mean[text])
        try:
            yield step, Found(whole_text(model, best), {"text": best, "source_accuracy": mean[best]})
        except PtxError as error:
            yield step, error


METHOD = Method("text", sources=None, needs=("texts",), options=("texts", "weights"), build=build, variants=({},))
