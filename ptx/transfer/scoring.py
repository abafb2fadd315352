"""P@1 of a prompt: the answer, among the allowed words, that the model finds most likely, against the fact's object.

`answer` is the one place where answers are counted: for the dev split by which tuning and the labelled searches choose,
for evaluations, and for a user's own subjects.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ptx.errors import PtxError
from ptx.lms.batches import batches
from ptx.lms.embeddings import WordEmbeddings
from ptx.lms.inputs import Row
from ptx.lms.lm import LanguageModel, fact_rows
from ptx.lms.template import LAYOUTS
from ptx.suites import Fact, Task
from ptx.suites.strict import NOT_SHARED, SEVERAL_TOKENS, refuse_dropped


@dataclass(frozen=True)
class Questions:
    """Inputs of one task, and which words may answer them: by name, or (None) any token of the vocabulary.

    An answer's *place* is its index in `words`, or its token id. `objects` are the places of the right ones, if known,
    and `others` of those that are as right.
    """

    rows: Sequence[Row]
    words: tuple[str, ...] | None
    objects: Sequence[int] | None
    others: Sequence[tuple[int, ...]] = ()

    def right(self, number: int) -> tuple[int, ...]:
        """The places of all right answers to one input."""
        if self.objects is None:
            return ()
        return (self.objects[number], *(self.others[number] if self.others else ()))


def thinned(questions: Questions, most: int) -> Questions:
    """At most so many of the questions, evenly spread; the very same if they are not more."""
    if (n := len(questions.rows)) <= most:
        return questions
    places = [i * n // most for i in range(most)]
    return Questions(
        [questions.rows[i] for i in places],
        questions.words,
        None if questions.objects is None else [questions.objects[i] for i in places],
        [questions.others[i] for i in places] if questions.others else (),
    )


@dataclass(frozen=True)
class Answers:
    """Per input the places of the likeliest answers, their probabilities among the allowed ones, and the rank of the
    right one, or of the likeliest of several, from 1 (0 where it is not known)."""

    places: list[list[int]]
    probabilities: list[list[float]]
    ranks: list[int]

    @property
    def predicted(self) -> list[int]:
        return [best[0] for best in self.places]

    @property
    def confidence(self) -> float:
        """The probability of the first choices, in the mean."""
        return math.fsum(best[0] for best in self.probabilities) / len(self.probabilities)


@dataclass(frozen=True)
class Scored:
    """The facts of one task that can be scored, with their questions.

    `dropped` facts have no right answer that is an allowed word, and one token where the template puts it; `floor` is
    the accuracy of always answering with the task's most frequent train object, None where there are no train facts.
    """

    facts: Sequence[Fact]
    questions: Questions
    dropped: int
    floor: float | None


def facts_to_score(
    model: LanguageModel,
    task: Task,
    split: str,
    words: tuple[str, ...],
    *,
    layout: str | None = None,
    prompt_length: int = 0,
    template: str | None = None,
) -> Scored:
    """The inputs of one split, with a soft prompt in a layout, or with a manual template or a fact's own.

    Answers are among `words`, or the label words of a task that has them, as far as they are one token where the
    template puts them. Raises PtxError if no fact of the split can be answered so.
    """
    if task.labels:
        words, place = task.labels, {word: i for i, word in enumerate(task.labels)}
    else:
        words, place = model.distinct(words)
    facts = task.splits[split]
    by_template: dict[str, list[int]] = {}
    for i, fact in enumerate(facts):
        text = (fact.template or template) if template else LAYOUTS[layout or "postfix"]
        by_template.setdefault(text, []).append(i)
    kept: dict[int, tuple[Row, list[int]]] = {}
    for text, numbers in by_template.items():
        context = model.context(text)
        if task.labels:
            model.label_ids(task, context)
        known = (model.answer_ids(words, context) >= 0).tolist()
        right = [[place[a] for a in facts[i].answers if a in place and known[place[a]]] for i in numbers]
        answered = [(i, places) for i, places in zip(numbers, right, strict=True) if places]
        made = fact_rows(model, task, [facts[i] for i, _ in answered], text, prompt_length=prompt_length)
        kept |= {i: (row, places) for (i, places), row in zip(answered, made, strict=True)}
    dropped = [fact for i, fact in enumerate(facts) if i not in kept]
    there = [fact for fact in dropped if any(answer in place for answer in fact.answers)]
    refuse_dropped(task, there, len(facts), SEVERAL_TOKENS)
    refuse_dropped(task, dropped, len(facts), NOT_SHARED)
    if not kept:
        raise PtxError(
            f"task {task.name}: none of its {len(facts)} {split} objects is "
            + ("one token where the template puts it" if there else "a word that all models share"),
            "choose other --tasks, or --anchors of models that know these words",
        )
    scored = [facts[i] for i in sorted(kept)]
    rows, places = zip(*(kept[i] for i in sorted(kept)), strict=True)
    others = [tuple(others) for _, *others in places]
    questions = Questions(rows, words, [first for first, *_ in places], others if any(others) else ())
    counts = Counter(answer for fact in task.splits["train"] for answer in fact.answers if answer in place)
    usual = min(counts, key=lambda obj: (-counts[obj], obj), default=None)
    floor = sum(usual in fact.answers for fact in scored) / len(scored) if counts else None
    return Scored(scored, questions, len(dropped), floor)


@torch.inference_mode()
def answer(
    model: LanguageModel, asked: Sequence[tuple[Questions, Float[Tensor, "_ d"] | None]],
    *, top: int = 1, ranked: bool = True, tick: Callable[[float], None] = lambda inputs: None,
) -> list[Answers]:  # fmt: skip
    """The `top` likeliest answers to all questions, each list with its own prompt, or None for templates.

    Prompts of one length with one list of allowed words share batches. Where the first choice is all that counts, not
    `ranked` saves time: scores stand in place of probabilities, and no ranks are counted. `tick` is told how many
    inputs were read.
    """
    together: dict[Any, list[int]] = {}
    if own := model.kept is None:
        model.keep(_asked_again(asked))
    for i, (questions, prompt) in enumerate(asked):
        together.setdefault((None if prompt is None else len(prompt), questions.words), []).append(i)
    answers: dict[int, Answers] = {}
    for (_, words), places in together.items():
        answers |= zip(places, _answer_alike(model, [asked[i] for i in places], words, top, ranked, tick), strict=True)
    if own:
        model.keep([])
    return [answers[i] for i in range(len(asked))]


def _asked_again(asked: Sequence[tuple[Questions, Float[Tensor, "_ d"] | None]]) -> list[Row]:
    """The inputs that come with several prompts."""
    times = Counter(row for questions, prompt in asked if prompt is not None for row in dict.fromkeys(questions.rows))
    return [row for row, prompts in times.items() if prompts > 1]


def _answer_alike(
    model: LanguageModel,
    asked: Sequence[tuple[Questions, Float[Tensor, "m d"] | None]],
    words: tuple[str, ...] | None,
    top: int,
    ranked: bool,
    tick: Callable[[float], None],
) -> list[Answers]:
    flat = [(i, j, row) for i, (questions, _) in enumerate(asked) for j, row in enumerate(questions.rows)]
    flat.sort(key=lambda item: len(item[2].ids))
    found: list[dict[int, tuple[list[int], list[float], int]]] = [{} for _ in asked]
    for part in batches([len(row.ids) for _, _, row in flat], model.sizes):
        batch = flat[part]
        given = [prompt for i, _, _ in batch if (prompt := asked[i][1]) is not None]
        prompts = torch.stack(given).to(model.device) if given else None
        rows = [row for _, _, row in batch]
        scores = model.scores(rows, prompts) if words is None else word_scores(model, rows, prompts, words)
        best = scores.argmax(-1, keepdim=True) if top == 1 else scores.topk(min(top, scores.shape[1]), dim=-1).indices
        probabilities = (scores.softmax(-1) if ranked else scores).gather(1, best)
        ranks = _ranks(scores, [asked[i][0].right(j) if ranked else () for i, j, _ in batch])
        for (i, j, _), *result in zip(batch, best.tolist(), probabilities.tolist(), ranks, strict=True):
            found[i][j] = (result[0], result[1], result[2])
        tick(len(batch))
    ordered = [[of[j] for j in range(len(questions.rows))] for of, (questions, _) in zip(found, asked, strict=True)]
    return [Answers(*(list(column) for column in zip(*of, strict=True))) for of in ordered]


def word_scores(
    model: LanguageModel, rows: Sequence[Row], prompts: Float[Tensor, "b m d"] | None, words: tuple[str, ...]
) -> Float[Tensor, "b k"]:
    """The scores of the allowed words, as the tokens that they are in each row's context; of one that is none there,
    the lowest."""
    ids = {context: model.answer_ids(words, context) for context in {row.context: None for row in rows}}
    if len(ids) == 1:
        (own,) = ids.values()
        scores, several = model.scores(rows, prompts, own.clamp_min(0)), own < 0
    else:
        tokens = torch.cat([*ids.values()]).clamp_min(0).unique()
        chosen = torch.stack([ids[row.context] for row in rows])
        several = chosen < 0
        scores = model.scores(rows, prompts, tokens).gather(1, torch.searchsorted(tokens, chosen.clamp_min(0)))
    return scores.masked_fill(several, -math.inf) if several.any() else scores


def _ranks(scores: Float[Tensor, "b k"], right: Sequence[tuple[int, ...]]) -> list[int]:
    """The rank of the likeliest right answer of each row, 0 for a row without one."""
    widest = max(map(len, right))
    if widest == 0:
        return [0] * len(right)
    places = [(*own, *[own[0] if own else 0] * (widest - len(own))) for own in right]
    likeliest = scores.gather(1, torch.tensor(places, device=scores.device)).amax(-1, keepdim=True)
    ranks: list[int] = ((scores > likeliest).sum(-1) + 1).tolist()
    return [rank if own else 0 for rank, own in zip(ranks, right, strict=True)]


def likeliest(probabilities: Float[Tensor, "n k"], questions: Questions) -> Answers:
    """The first choices by probabilities that are known already."""
    best = probabilities.argmax(-1, keepdim=True)
    ranks = _ranks(probabilities, [questions.right(i) for i in range(len(probabilities))])
    return Answers(best.tolist(), probabilities.gather(1, best).tolist(), ranks)


def correct(questions: Questions, answers: Answers) -> int:
    """How many inputs have a right answer as their likeliest one."""
    return sum(place in questions.right(i) for i, place in enumerate(answers.predicted))


def accuracy(questions: Questions, answers: Answers) -> float:
    """P@1, between 0 and 1; nan where some scores were not finite."""
    return correct(questions, answers) / len(questions.rows) if is_finite(answers) else math.nan


def is_finite(answers: Answers) -> bool:
    return all(math.isfinite(best[0]) for best in answers.probabilities)


class DevChoice:
    """For each task the candidate with the best accuracy on its dev facts, the first of equals: the one way in which
    labels choose (tuning's epoch; with `--select dev` Adam's step or the projector's epoch)."""

    def __init__(self, model: LanguageModel, dev: Sequence[Questions]) -> None:
        self.model, self.dev = model, dev
        self.best: list[tuple[float, int, Tensor] | None] = [None] * len(dev)

    def score(self, prompts: Sequence[Float[Tensor, "_ d"] | None]) -> list[float]:
        """Each task's accuracy with its prompt; nan where there is none, for one without dev facts, or with scores that
        are not finite."""
        asked = {
            i: (self.dev[i], prompt) for i, prompt in enumerate(prompts) if prompt is not None and self.dev[i].rows
        }
        answers = dict(zip(asked, answer(self.model, [*asked.values()], ranked=False), strict=True))
        return [accuracy(self.dev[i], answers[i]) if i in answers else math.nan for i in range(len(prompts))]

    def offer(self, task: int, candidate: int, score: float, keep: Tensor) -> None:
        """One more candidate for a task: its number, its accuracy, and what to keep of it if it is the best."""
        best = self.best[task]
        if best is None or score > best[0]:
            self.best[task] = (score, candidate, keep.detach().clone())

    def chosen(self) -> list[tuple[float, int, Tensor]]:
        """Accuracy, number and what was kept of each task's best candidate; the model then lets go of its inputs."""
        self.model.keep([])
        return [best for best in self.best if best is not None]


def labelled_choice(
    model: WordEmbeddings, asked: Iterable[tuple[Task | None, str, int]], words: tuple[str, ...]
) -> DevChoice:
    """`--select dev`: a choice on labelled dev facts of *target* tasks, each among prompts of one layout and length,
    as in the authors' code. It is not zero-shot, and needs the whole language model."""
    assert isinstance(model, LanguageModel)
    dev = [
        facts_to_score(model, task, "dev", words, layout=layout, prompt_length=m).questions
        for task, layout, m in asked
        if task is not None
    ]
    model.keep([row for questions in dev for row in questions.rows])
    return DevChoice(model, dev)
