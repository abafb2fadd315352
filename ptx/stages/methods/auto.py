"""`auto`: of many ways the one by which the target answers unlabelled inputs most like the sources, beyond chance
(stages/choice.py names the candidates, transfer/agreement.py counts), and from it steps towards what both say
(stages/towards.py). Forward passes only; no label, no gradient."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ptx.errors import PtxError
from ptx.stages.expected import expected
from ptx.stages.held import HeldAgainst
from ptx.stages.methods.method import Found, Method

if TYPE_CHECKING:
    from ptx.cache import Store
    from ptx.engine.step import Step
    from ptx.lms.embeddings import WordEmbeddings
    from ptx.lms.lm import LanguageModel


def build(steps: Sequence[Step], model: WordEmbeddings, store: Store) -> Iterator[tuple[Step, Found | PtxError]]:
    """See Method. Also of what `--select agree` and `--forecast` ask, whatever the method."""
    from ptx.lms.lm import LanguageModel

    assert isinstance(model, LanguageModel)
    for step in steps:
        try:
            yield step, (_refined if "refine" in step.settings else _chosen)(step, model, store)
        except PtxError as error:
            yield step, error


def _chosen(step: Step, model: LanguageModel, store: Store) -> Found:
    from ptx.stages.tune import read_prompt
    from ptx.transfer.agreement import agreement, kappa, most_agreeing

    held = HeldAgainst(step, model, store)
    prompts = [read_prompt(candidate, store) for candidate in step.parents_at("search")]
    texts = held.texts()
    found = held.answers([*prompts, *texts.values()])
    predicted = [of.predicted for of in found]
    candidates = predicted[: len(prompts)]
    best, names = most_agreeing(candidates, held.wanted), step.labels["candidates"]
    seen = held.seen(found[best])
    figures: dict[str, Any] = {
        "chosen": names[best],
        **asdict(seen),
        "agreements": {name: agreement(of, held.wanted) for name, of in zip(names, candidates, strict=True)},
        "kappas": {name: kappa(of, held.wanted) for name, of in zip(names, candidates, strict=True)},
    }
    figures |= held.best_text(texts, predicted[len(prompts) :])
    return Found(prompts[best], figures | expected(step, seen, store))


def _refined(step: Step, model: LanguageModel, store: Store) -> Found:
    """What was chosen, and went on from there. Where there is nothing to learn, as enough answers agree or there are
    too few, it stays as it is."""
    from ptx.engine.build import artifact_of
    from ptx.stages.towards import LEAST, stepped
    from ptx.stages.tune import read_prompt

    start = step.parents_at("search")[0]
    artifact = artifact_of(start, store)
    assert artifact is not None
    choice = artifact.meta["metrics"]
    enough = choice["agreement"] == 1 or choice["kappa"] >= step.settings.get("enough", math.inf)
    if enough or choice["inputs"] < LEAST:
        return Found(read_prompt(start, store), choice | {"selected_step": 0})
    prompt, found = stepped(step, model, store, steps=step.settings["refine"], forward=True)
    held = HeldAgainst(step, model, store)
    texts = held.texts()
    answered, *beside = held.answers([prompt, *texts.values()])
    seen = held.seen(answered)
    figures = {**found, "chosen": choice["chosen"], **asdict(seen)}
    figures |= held.best_text(texts, [of.predicted for of in beside])
    return Found(prompt, figures | expected(step, seen, store))


METHOD = Method(
    "auto",
    title="auto (unlabelled inputs)",
    sources=None,
    options=("weights", "texts", "candidates", "trust", "refine"),
    uses="unlabelled inputs",
    build=build,
)
