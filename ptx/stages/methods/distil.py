"""`distil`: what `auto` found, after a few gradient steps on the target towards what the sources, and itself with its
text, answer to unlabelled inputs (transfer/distil.py; its parents are named in stages/aims.py)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ptx.errors import PtxError
from ptx.stages.methods.method import Found, Method

if TYPE_CHECKING:
    from ptx.cache import Store
    from ptx.engine.step import Step
    from ptx.lms.embeddings import WordEmbeddings
    from ptx.lms.lm import LanguageModel

LEAST = 4  # inputs, of which one is held back


def build(steps: Sequence[Step], model: WordEmbeddings, store: Store) -> Iterator[tuple[Step, Found | PtxError]]:
    """See Method."""
    from ptx.lms.lm import LanguageModel

    assert isinstance(model, LanguageModel)
    for step in steps:
        try:
            yield step, _distilled(step, model, store)
        except PtxError as error:
            yield step, error


def _distilled(step: Step, model: LanguageModel, store: Store) -> Found:
    from ptx.stages.answers import rows_of, sources_say
    from ptx.stages.tune import read_prompt
    from ptx.transfer.agreement import agreement, first_choice, kappa
    from ptx.transfer.distil import distil, held_back, product, statistics, word_logs

    settings, task, sources = step.settings, step.task, step.parents_at("answers")
    assert task is not None
    inputs, words, said = sources_say(sources, settings["weights"], task, model, store)
    if len(inputs) < LEAST:
        what = f"task {task.name}: {len(inputs)} inputs are too few to learn from, as a quarter is held back"
        raise PtxError(what, f"give {LEAST} or more with --inputs FILE, or use --inputs words")
    start, *texts = (model.fit(read_prompt(parent, store)) for parent in step.parents_at("search"))
    rows = {m: rows_of(model, task, inputs, settings["layout"], m) for m in {len(start), *map(len, texts)}}
    own = [word_logs(model, rows[len(text)], text, words) for text in texts]
    trust = float(settings["trust"])
    aim = product(said, own[0], trust) if trust else said
    steps, seed = settings["distil_steps"], settings["seed"]
    found = distil(model, rows[len(start)], aim, start, words=words, steps=steps, seed=seed)
    held = first_choice(said)[held_back(len(inputs))[1]].tolist()
    answered = first_choice(found.logs).tolist()
    shown = {
        "trust": trust,
        "agreement": agreement(answered, held),
        "kappa": kappa(answered, held),
        "inputs": len(inputs),
        "held_back": len(held),
        "selected_step": found.step,
        **statistics(said, own[0].exp() if own else None),
        "history": found.history,
    }
    return Found(found.prompt, shown)


USES = "gradients on the target, unlabelled inputs"
METHOD = Method(
    "distil",
    title=f"distil ({USES})",
    sources=None,
    options=("weights", "texts", "candidates", "trust", "distil_steps"),
    uses=USES,
    build=build,
)
