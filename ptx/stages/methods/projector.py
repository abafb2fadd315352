"""`projector`, the neural baseline (Appendix A.2): a small network learns to map shared words from source to target.

Its epoch is chosen on held-out words, which needs no labels; with `select` "dev" on labelled target dev facts for each
task, as the authors do. The prompt it returns is used as it is, without Eq. 6.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ptx.errors import PtxError
from ptx.stages.methods.method import Found, Method

if TYPE_CHECKING:
    from torch import Tensor

    from ptx.cache import Store
    from ptx.engine.step import Step
    from ptx.lms.embeddings import WordEmbeddings

SETTINGS = {"hidden": 768, "epochs": 10, "lr": 5e-3, "batch_size": 16}  # Appendix A.2


def build(steps: Sequence[Step], model: WordEmbeddings, store: Store) -> Iterator[tuple[Step, Found | PtxError]]:
    """See Method. One projector per source serves all its tasks."""
    by_source: dict[str, list[Step]] = {}
    for step in steps:
        by_source.setdefault(step.parents_at("tune")[0].models[0].digest, []).append(step)
    for of_source in by_source.values():
        try:
            yield from _build_one(of_source, model, store)
        except PtxError as error:  # the source cannot be loaded, say
            yield from ((step, error) for step in of_source)


def _build_one(steps: Sequence[Step], model: WordEmbeddings, store: Store) -> Iterator[tuple[Step, Found]]:
    from ptx.engine.build import Stopwatch
    from ptx.lms.embeddings import load_embeddings
    from ptx.stages.anchors import read_words
    from ptx.stages.tune import read_prompt
    from ptx.transfer.maps import train_projector
    from ptx.transfer.scoring import labelled_choice

    watch = Stopwatch()
    settings = steps[0].settings
    words = tuple(read_words(steps[0].parents_at("anchors")[0], store))
    source = load_embeddings(steps[0].parents_at("tune")[0].models[0], str(model.device))
    epochs = train_projector(source.word_embeddings(words), model.word_embeddings(words), settings)
    prompts = [read_prompt(step.parents_at("tune")[0], store).to(model.device) for step in steps]
    chosen: list[tuple[Tensor, dict[str, Any]]]
    if settings["select"] == "dev":
        asked = [(s.task, s.settings["layout"], len(prompt)) for s, prompt in zip(steps, prompts, strict=True)]
        choice = labelled_choice(model, asked, words)
        for number, (projector, _) in enumerate(epochs, start=1):
            projected = [projector(prompt) for prompt in prompts]
            for i, score in enumerate(choice.score(projected)):
                choice.offer(i, number, score, projected[i])
        chosen = [(prompt, {"epoch": epoch, "dev_accuracy": score}) for score, epoch, prompt in choice.chosen()]
    else:
        errors = [error for _, error in epochs]
        best = errors.index(min(errors))
        why = {"epoch": best + 1, "held_out_mse": errors[best]}
        chosen = [(epochs[best][0](prompt), why) for prompt in prompts]
    seconds = watch.lap() / len(steps)
    for step, (prompt, metrics) in zip(steps, chosen, strict=True):
        yield step, Found(prompt, metrics, seconds)


METHOD = Method(
    "projector",
    sources=1,
    needs=("prompts", "words"),
    settings=lambda asked, task: SETTINGS | {"seed": asked.seed, "select": asked.search.select},
    build=build,
    seconds=0.25,  # one projector serves all tasks of a source: 8 s for thirty
    has_epochs=True,
)
