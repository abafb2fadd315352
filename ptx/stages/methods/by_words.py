"""What `neighbours` and `hubs` share: of each vector the best words of the sources, mixed in the target."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ptx.errors import PtxError
from ptx.stages.methods.method import Found

if TYPE_CHECKING:
    from torch import Tensor

    from ptx.cache import Store
    from ptx.engine.step import Step
    from ptx.lms.embeddings import WordEmbeddings
    from ptx.stages.settings import Settings

OPTIONS = ("words", "temperature", "weights")


def settings_of(settings: Settings, *, words: int) -> dict[str, Any]:
    """`--words`, by default so many; one alone has no temperature."""
    words = settings.search.words or words
    return {"words": words} | ({"temperature": settings.search.temperature} if words > 1 else {})


def mixed(
    steps: Sequence[Step], model: WordEmbeddings, store: Store, score: Callable[[Step, Tensor, list[str]], Tensor]
) -> Iterator[tuple[Step, Found | PtxError]]:
    """Each step and its prompt. `score(encoding, cosines, words)` [m, k] is what a source says of all shared words, of
    several the weighted mean counts. No Eq. 6: what lies between words is about as long as they are."""
    import torch

    from ptx.stages.anchors import read_words
    from ptx.stages.encode import read_similarities
    from ptx.transfer.equations import check_alike
    from ptx.transfer.nearest import combination, shares

    words = read_words(steps[0].parents_at("anchors")[0], store)
    embeddings = model.word_embeddings(words)
    for step in steps:
        encodings = step.parents_at("encode")
        try:
            cosines = [read_similarities(encoding, store).to(model.device) for encoding in encodings]
            check_alike(cosines)
            scores = [score(encoding, own, words) for encoding, own in zip(encodings, cosines, strict=True)]
        except PtxError as error:
            yield step, error
            continue
        mean = torch.stack([w * own for w, own in zip(step.settings["weights"], scores, strict=True)]).sum(0)
        best, share = shares(mean, words=step.settings["words"], temperature=step.settings.get("temperature", 1.0))
        metrics = {"words": [[words[i] for i in row] for row in best.tolist()], "shares": share.tolist()}
        yield step, Found(combination(best, share, embeddings=embeddings), metrics)
