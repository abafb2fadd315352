"""`text`: the target's embeddings of a text in words. Of several that it can read, the one with which the sources
answer best on their own train facts, as prompts are chosen on labelled examples of one's own model (Perez, Kiela and
Cho, "True Few-Shot Learning with Language Models", 2021). Which is best differs by model, so `--method auto` tries the
next ones, too, and looks at what the target answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ptx.errors import PtxError
from ptx.media import counted
from ptx.stages.methods.method import Found, Method

if TYPE_CHECKING:
    from ptx.cache import Store
    from ptx.engine.step import Step
    from ptx.lms.embeddings import WordEmbeddings
    from ptx.stages.settings import Settings
    from ptx.suites import Task

NTH = 4  # texts that `auto` tries; any number from 3 to 6 chose alike on the choosing half (docs/transfer.md)


def _settings(settings: Settings, task: Task) -> dict[str, Any]:
    return {} if settings.search.nth == 1 else {"nth": settings.search.nth}


def _given(tuned: Sequence[Step], task: Task, settings: Settings) -> dict[str, Any]:
    """Nothing. Raises PtxError where there are fewer texts than `--nth`."""
    from ptx.stages.texts import count_of

    count = min((count_of(of, task, settings) for step in tuned for of in step.models), default=settings.search.nth)
    if settings.search.nth > count:
        what = f"task {task.name} has {counted(count, 'text')}, and --nth {settings.search.nth} asks for another"
        raise PtxError(what, "choose a smaller --nth, or add --texts FILE")
    return {}


def build(steps: Sequence[Step], model: WordEmbeddings, store: Store) -> Iterator[tuple[Step, Found | PtxError]]:
    """See Method."""
    from ptx.stages.texts import accuracies
    from ptx.transfer.starts import readable, whole_text

    for step in steps:
        sources, weights = step.parents_at("texts"), step.settings["weights"]
        every = [accuracies(source, store) for source in sources]
        texts = [text for text in every[0] if all(text in of for of in every)]
        mean = {text: sum(w * of[text] for w, of in zip(weights, every, strict=True)) for text in texts}
        ordered = sorted(readable(texts, model) or texts, key=lambda text: -mean[text])
        best = ordered[min(step.settings.get("nth", 1), len(ordered)) - 1]
        try:
            yield step, Found(whole_text(model, best), {"text": best, "source_accuracy": mean[best]})
        except PtxError as error:
            yield step, error


METHOD = Method(
    "text",
    sources=None,
    needs=("texts",),
    options=("texts", "weights", "nth"),
    settings=_settings,
    given=_given,
    build=build,
    variants=({}, *({"nth": n} for n in range(2, NTH + 1))),
)
