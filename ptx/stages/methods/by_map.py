"""What `procrustes`, `linear` and `omp` share: every source's prompt by a map of its own, their mean, then Eq. 6."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ptx.errors import PtxError
from ptx.stages.methods.method import Found

if TYPE_CHECKING:
    from torch import Tensor

    from ptx.cache import Store
    from ptx.engine.step import Step
    from ptx.lms.embeddings import WordEmbeddings
    from ptx.transfer.maps import Map

PRIVATE = ("weights", "normalize")  # may differ between steps with the same map


def moved(
    steps: Sequence[Step], model: WordEmbeddings, store: Store, fit: Callable[[Tensor, Tensor, Mapping[str, Any]], Map]
) -> Iterator[tuple[Step, Found | PtxError]]:
    """Each step and its prompt. `fit(x, y, settings)` is the map for a source's [k, ds] and the target's [k, dt]
    embeddings of the shared words; it is found once for all steps of a source with the same settings."""
    from ptx.cache import digest
    from ptx.engine.build import Stopwatch
    from ptx.lms.embeddings import load_embeddings
    from ptx.stages.anchors import read_words
    from ptx.stages.tune import read_prompt
    from ptx.transfer.equations import finish
    from ptx.transfer.maps import averaged

    watch = Stopwatch()
    words = tuple(read_words(steps[0].parents_at("anchors")[0], store))
    target = model.word_embeddings(words)
    by_source: dict[str, list[tuple[Step, Step]]] = {}
    for step in steps:
        for tuned in step.parents_at("tune"):
            by_source.setdefault(tuned.models[0].digest, []).append((step, tuned))
    there: dict[tuple[str, str], Tensor] = {}
    failed: dict[str, PtxError] = {}
    for pairs in by_source.values():  # one source in memory
        maps: dict[str, Map] = {}
        try:
            source = load_embeddings(pairs[0][1].models[0], str(model.device)).word_embeddings(words)
        except PtxError as error:
            failed |= {step.key: error for step, _ in pairs}
            continue
        for step, tuned in pairs:
            own = digest({name: value for name, value in step.settings.items() if name not in PRIVATE})
            if own not in maps:
                maps[own] = fit(source, target, step.settings)
            there[step.key, tuned.key] = maps[own](read_prompt(tuned, store).to(model.device))
    seconds = watch.lap() / len(steps)
    for step in steps:
        statistics = model.statistics if step.settings["normalize"] else None
        try:
            if step.key in failed:
                raise failed[step.key]
            prompts = [there[step.key, tuned.key] for tuned in step.parents_at("tune")]
            yield step, Found(finish(averaged(prompts, step.settings["weights"]), statistics), seconds=seconds)
        except PtxError as error:
            yield step, error
