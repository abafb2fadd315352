"""`auto`: of many ways the one by which the target answers unlabelled inputs most like the sources, beyond chance
(stages/choice.py names the candidates, transfer/agreement.py counts), and from it steps towards what both say
(stages/towards.py). Forward passes only; no label, no gradient."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
            yield step, (_refined if "refine" in step.settings else _chosen)(step, model, store)
        except PtxError as error:
            yield step, error


def _chosen(step: Step, model: LanguageModel, store: Store) -> Found:
    from ptx.stages.tune import read_prompt
    from ptx.transfer.agreement import agreement, kappa, most_agreeing

    held = _HeldAgainst(step, model, store)
    prompts = [read_prompt(candidate, store) for candidate in step.parents_at("search")]
    texts = held.texts()
    found = held.answers([*prompts, *texts.values()])
    candidates = found[: len(prompts)]
    best, names = most_agreeing(candidates, held.wanted), step.labels["candidates"]
    figures: dict[str, Any] = {
        "chosen": names[best],
        "agreement": agreement(candidates[best], held.wanted),
        "kappa": kappa(candidates[best], held.wanted),
        "inputs": len(held.inputs),
        "agreements": {name: agreement(of, held.wanted) for name, of in zip(names, candidates, strict=True)},
        "kappas": {name: kappa(of, held.wanted) for name, of in zip(names, candidates, strict=True)},
    }
    figures |= held.best_text(texts, found[len(prompts) :])
    return Found(prompts[best], figures | _forecast(figures, step, held.answered, store))


def _refined(step: Step, model: LanguageModel, store: Store) -> Found:
    """What was chosen, and went on from there. Where there is nothing to learn, as all answers agree or there are too
    few, it stays as it is."""
    from ptx.engine.build import artifact_of
    from ptx.stages.towards import LEAST, stepped
    from ptx.stages.tune import read_prompt
    from ptx.transfer.agreement import agreement, kappa

    start = step.parents_at("search")[0]
    artifact = artifact_of(start, store)
    assert artifact is not None
    choice = artifact.meta["metrics"]
    if choice["agreement"] == 1 or choice["inputs"] < LEAST:
        return Found(read_prompt(start, store), choice | {"selected_step": 0})
    prompt, found = stepped(step, model, store, steps=step.settings["refine"], forward=True)
    # Counted on all inputs: on two real models those that were learned from agree no more than those held back.
    held = _HeldAgainst(step, model, store)
    texts = held.texts()
    answered, *beside = held.answers([prompt, *texts.values()])
    figures = {**found, "chosen": choice["chosen"]}
    figures |= {"agreement": agreement(answered, held.wanted), "kappa": kappa(answered, held.wanted)}
    figures |= held.best_text(texts, beside)
    return Found(prompt, figures | _forecast(figures, step, held.answered, store))


class _HeldAgainst:
    """What the sources answer to the inputs: what a prompt of the target is held against."""

    def __init__(self, step: Step, model: LanguageModel, store: Store) -> None:
        from ptx.stages.answers import allowed, answering, read_answers
        from ptx.transfer.agreement import averaged, first_choice

        assert step.task is not None
        self.step, self.model, self.store, self.sources = step, model, store, step.parents_at("answers")
        words, asked = allowed(self.sources[0], store), [read_answers(source, store) for source in self.sources]
        self.inputs, self.answered = asked[0].inputs, [of.answered for of in asked]
        self.words, place = answering(step.task, model, words)
        mean = averaged(self.answered, step.settings["weights"], len(words))
        self.wanted = [place[words[i]] for i in first_choice(mean).tolist()]

    def texts(self) -> dict[str, Tensor]:
        """The texts that the sources' prompts started from and that the target reads, as its prompts: what a prompt is
        compared with."""
        from ptx.stages.texts import text_of
        from ptx.transfer.starts import readable, whole_text

        every = dict.fromkeys(filter(None, (text_of(of.parents[0], self.store) for of in self.sources)))
        return {text: whole_text(self.model, text) for text in readable([*every], self.model)}

    def answers(self, prompts: Sequence[Tensor]) -> list[list[int]]:
        """The first choices of each prompt; of prompts that are the same, found once."""
        from ptx.stages.answers import rows_of
        from ptx.transfer.scoring import Questions, answer

        assert self.step.task is not None
        asked: dict[bytes, tuple[Questions, Tensor]] = {}
        layout = self.step.settings["layout"]
        rows = {m: rows_of(self.model, self.step.task, self.inputs, layout, m) for m in {*map(len, prompts)}}
        same = [prompt.cpu().numpy().tobytes() for prompt in prompts]
        for name, prompt in zip(same, prompts, strict=True):
            asked.setdefault(name, (Questions(rows[len(prompt)], self.words, None), self.model.fit(prompt)))
        answers = dict(zip(asked, answer(self.model, [*asked.values()], ranked=False), strict=True))
        return [answers[name].predicted for name in same]

    def best_text(self, texts: Iterable[str], answers: Sequence[Sequence[int]]) -> dict[str, Any]:
        """The text that agrees most, and how much; nothing where there are no texts."""
        from ptx.transfer.agreement import agreement, kappa, most_agreeing

        if not answers:
            return {}
        best = most_agreeing(answers, self.wanted)
        agreed = {
            "text_agreement": agreement(answers[best], self.wanted),
            "text_kappa": kappa(answers[best], self.wanted),
        }
        return {"text": [*texts][best], **agreed}


def _forecast(figures: dict[str, Any], step: Step, answered: Sequence[Answered], store: Store) -> dict[str, Any]:
    """The accuracy to expect, from that of the sources on their own dev facts; nothing where that is not known."""
    from dataclasses import asdict

    from ptx.transfer.agreement import averaged, first_choice, kappa
    from ptx.transfer.forecast import calibration, forecast

    sources, weights = step.parents_at("answers"), step.settings["weights"]
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
    options=("weights", "texts", "candidates", "trust", "refine"),
    uses="unlabelled inputs",
    build=build,
)
