"""What prompts of a target are held against: what the sources answer to unlabelled inputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from ptx.cache import Store
    from ptx.engine.step import Step
    from ptx.lms.lm import LanguageModel
    from ptx.transfer.forecast import Seen
    from ptx.transfer.scoring import Answers


class HeldAgainst:
    """Of all inputs, also those that a prompt learned from: of these it answers hardly more alike than of those held
    back (embedded models after `distil`: 44.0 and 42.4%; two real ones after `auto`: a kappa of 0.24 on both)."""

    def __init__(self, step: Step, model: LanguageModel, store: Store) -> None:
        from ptx.stages.answers import allowed, answering, read_answers
        from ptx.transfer.agreement import averaged, first_choice

        assert step.task is not None
        self.step, self.model, self.store, self.sources = step, model, store, step.parents_at("answers")
        words, asked = allowed(self.sources[0], store), [read_answers(source, store) for source in self.sources]
        self.inputs = asked[0].inputs
        self.words, place = answering(step.task, model, words)
        mean = averaged([of.answered for of in asked], step.settings["weights"], len(words))
        self.wanted = [place[words[i]] for i in first_choice(mean).tolist()]

    def texts(self) -> dict[str, Tensor]:
        """The texts that the sources' prompts started from and that the target reads, as its prompts: what a prompt is
        compared with."""
        from ptx.stages.texts import text_of
        from ptx.transfer.starts import readable, whole_text

        every = dict.fromkeys(filter(None, (text_of(of.parents[0], self.store) for of in self.sources)))
        return {text: whole_text(self.model, text) for text in readable([*every], self.model)}

    def answers(self, prompts: Sequence[Tensor]) -> list[Answers]:
        """What the target answers with each prompt; with prompts that are the same, found once."""
        from ptx.stages.answers import rows_of
        from ptx.transfer.scoring import Questions, answer

        assert self.step.task is not None
        asked: dict[bytes, tuple[Questions, Tensor]] = {}
        layout = self.step.settings["layout"]
        rows = {m: rows_of(self.model, self.step.task, self.inputs, layout, m) for m in {*map(len, prompts)}}
        same = [prompt.cpu().numpy().tobytes() for prompt in prompts]
        for name, prompt in zip(same, prompts, strict=True):
            asked.setdefault(name, (Questions(rows[len(prompt)], self.words, None), self.model.fit(prompt)))
        answers = dict(zip(asked, answer(self.model, [*asked.values()]), strict=True))
        return [answers[name] for name in same]

    def seen(self, answers: Answers) -> Seen:
        """How one prompt's answers stand to those of the sources."""
        from ptx.transfer.agreement import agreement, kappa
        from ptx.transfer.forecast import Seen

        alike, beyond = (of(answers.predicted, self.wanted) for of in (agreement, kappa))
        return Seen(alike, beyond, answers.confidence, len(self.inputs))

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
