"""`auto`: of many ways the one by which the target answers unlabelled inputs most like the sources, beyond chance
(stages/choice.py names the candidates, transfer/agreement.py counts). One forward pass a candidate and input; no label,
no gradient."""

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
    from ptx.lms.lm import LanguageModel
    from ptx.transfer.agreement import Answered


def build(steps: Sequence[Step], model: WordEmbeddings, store: Store) -> Iterator[tuple[Step, Found | PtxError]]:
    """See Method. Also of what `--select agree` and `--forecast` ask, whatever the method."""
    from ptx.lms.lm import LanguageModel

    assert isinstance(model, LanguageModel)
    for step in steps:
        try:
            yield step, _chosen(step, model, store)
        except PtxError as error:
            yield step, error


def _chosen(step: Step, model: LanguageModel, store: Store) -> Found:
    from ptx.stages.answers import allowed, answering, read_answers
    from ptx.stages.tune import read_prompt
    from ptx.transfer.agreement import agreement, averaged, first_choice, kappa, most_agreeing
    from ptx.transfer.starts import whole_text

    assert step.task is not None
    sources = step.parents_at("answers")
    words, asked = allowed(sources[0], store), [read_answers(source, store) for source in sources]
    mean = averaged([of.answered for of in asked], step.settings["weights"], len(words))
    prompts = [read_prompt(candidate, store) for candidate in step.parents_at("search")]
    distinct, place = answering(step.task, model, words)
    wanted = [place[words[i]] for i in first_choice(mean).tolist()]
    texts = _texts(sources, model, store)
    every = [*prompts, *(whole_text(model, text) for text in texts)]
    found = _answers(step, model, every, asked[0].inputs, distinct)
    candidates, beside = found[: len(prompts)], found[len(prompts) :]
    best, names = most_agreeing(candidates, wanted), step.labels["candidates"]
    figures: dict[str, Any] = {
        "chosen": names[best],
        "agreement": agreement(candidates[best], wanted),
        "kappa": kappa(candidates[best], wanted),
        "inputs": len(asked[0].inputs),
        "agreements": {name: agreement(of, wanted) for name, of in zip(names, candidates, strict=True)},
        "kappas": {name: kappa(of, wanted) for name, of in zip(names, candidates, strict=True)},
    }
    if texts:
        text = most_agreeing(beside, wanted)
        figures |= {"text": texts[text], "text_agreement": agreement(beside[text], wanted)}
        figures |= {"text_kappa": kappa(beside[text], wanted)}
    answered = [of.answered for of in asked]
    return Found(prompts[best], figures | _forecast(figures, sources, answered, step.settings["weights"], store))


def _texts(sources: Sequence[Step], model: LanguageModel, store: Store) -> list[str]:
    """The texts that the sources' prompts started from and that the target reads: what a prompt is compared with."""
    from ptx.stages.texts import text_of
    from ptx.transfer.starts import readable

    return readable([*dict.fromkeys(filter(None, (text_of(of.parents[0], store) for of in sources)))], model)


def _answers(
    step: Step, model: LanguageModel, prompts: Sequence[Tensor], inputs: Sequence[str], words: tuple[str, ...]
) -> list[list[int]]:
    """The first choices of each prompt; of prompts that are the same, found once."""
    from ptx.stages.answers import rows_of
    from ptx.transfer.scoring import Questions, answer

    assert step.task is not None
    asked: dict[bytes, tuple[Questions, Tensor]] = {}
    rows = {m: rows_of(model, step.task, inputs, step.settings["layout"], m) for m in {*map(len, prompts)}}
    same = [prompt.cpu().numpy().tobytes() for prompt in prompts]
    for name, prompt in zip(same, prompts, strict=True):
        asked.setdefault(name, (Questions(rows[len(prompt)], words, None), model.fit(prompt)))
    answers = dict(zip(asked, answer(model, [*asked.values()], ranked=False), strict=True))
    return [answers[name].predicted for name in same]


def _forecast(
    figures: dict[str, Any], sources: Sequence[Step], answered: Sequence[Answered], weights: Sequence[float],
    store: Store,
) -> dict[str, Any]:  # fmt: skip
    """The accuracy to expect, from that of the sources on their own dev facts; nothing where that is not known."""
    from dataclasses import asdict

    from ptx.transfer.agreement import averaged, first_choice, kappa
    from ptx.transfer.forecast import calibration, forecast

    known = [_at_home(source, store) for source in sources]
    if not all(known):
        return {}
    accuracies = [of["dev_accuracy"] for of in known]
    accuracy, majority = (
        sum(w * of[name] for w, of in zip(weights, known, strict=True)) for name in ("dev_accuracy", "majority")
    )
    k = 1 + max(int(of.places.max()) for of in answered)
    choices = [first_choice(averaged([of], [1.0], k)).tolist() for of in answered]
    both = [(i, j) for i in range(len(known)) for j in range(len(known)) if i != j]
    pairs = [(kappa(choices[j], choices[i]), accuracies[i], accuracies[j]) for i, j in both]
    factor = calibration(pairs, majority)
    assert sources[0].task is not None
    facts = len(sources[0].task.splits["dev"])
    agreed = figures["agreement"], figures["kappa"], figures["inputs"]
    found = forecast(*agreed, accuracy, majority, facts, factor)
    named = {"accuracy": "forecast", "low": "forecast_low", "high": "forecast_high"}
    told = {named[name]: value for name, value in asdict(found).items()}
    return {**told, "majority_there": majority, **({"calibration": factor} if both else {})}


def _at_home(source: Step, store: Store) -> dict[str, float]:
    """A source's accuracy on its own dev facts and that of always the same answer; empty where it is not known."""
    from ptx.engine.build import artifact_of
    from ptx.formats import words
    from ptx.stages import portable

    artifact = artifact_of(source.parents[0], store)
    metrics = {} if artifact is None else artifact.meta["metrics"]
    if artifact is None or "majority" not in metrics:
        return {}
    accuracy = metrics["dev_accuracy"]
    if source.parents[0].stage.name == portable.STAGE.name:  # the mean of all that learned it
        read = {of.digest: of.dev_accuracy for of in words.read(artifact.path / portable.FILE).models}
        accuracy = read[source.models[0].digest]
    return {"dev_accuracy": accuracy, "majority": metrics["majority"]}


METHOD = Method(
    "auto",
    title="auto (unlabelled inputs)",
    sources=None,
    options=("weights", "texts", "candidates"),
    uses="unlabelled inputs",
    build=build,
)
