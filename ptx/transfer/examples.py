"""The facts of a task as a tuning on one model reads them: inputs, and answers that are one token."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ptx.config.tune import TuneConfig
from ptx.errors import PtxError
from ptx.lms.inputs import Row
from ptx.lms.lm import LanguageModel, fact_rows
from ptx.lms.template import LAYOUTS
from ptx.suites import Task
from ptx.suites.strict import refuse_unknown
from ptx.transfer.scoring import Questions


@dataclass(frozen=True)
class Examples:
    """The facts of one task: train inputs with answers (token ids), dev questions, and the prompt to start from (None:
    draw one)."""

    name: str
    train: Sequence[tuple[Row, int]]
    dev: Questions
    start: Float[Tensor, "m d"] | None = None

    @property
    def rows(self) -> list[Row]:
        """All inputs, those of train first."""
        return [*(row for row, _ in self.train), *self.dev.rows]


def examples(model: LanguageModel, task: Task, config: TuneConfig) -> Examples:
    """The facts of a task whose object is one token in the model; of several right ones, the first that is. Dev
    answers are any token, or for a task with label words these. Raises PtxError if a split has no such fact."""
    both = [fact for split in ("train", "dev") for fact in task.splits[split]]
    known = model.label_ids(task) if task.labels else model.words({answer for fact in both for answer in fact.answers})

    def of(split: str) -> tuple[list[Row], list[list[str]]]:
        facts = [fact for fact in task.splits[split] if fact.known(known)]
        rows = fact_rows(model, task, facts, LAYOUTS[config.layout], prompt_length=config.prompt_length)
        return rows, [fact.known(known) for fact in facts]

    refuse_unknown(task, known, model.name)
    for split in ("train", "dev"):
        if not any(fact.known(known) for fact in task.splits[split]):
            raise PtxError(
                f"task {task.name}: none of its {len(task.splits[split])} {split} objects is one token in {model.name}",
                "choose other --tasks, or a model whose vocabulary has these words",
            )
    train = [(row, known[first]) for row, (first, *_) in zip(*of("train"), strict=True)]
    rows, dev = of("dev")
    labels = tuple(known) if task.labels else None
    places = known if labels is None else {word: i for i, word in enumerate(labels)}
    right = [[places[word] for word in words] for words in dev]
    others = [tuple(more) for _, *more in right]
    return Examples(task.name, train, Questions(rows, labels, [of for of, *_ in right], others if any(others) else ()))


def side_by_side(tasks: Sequence[Sequence[Examples]], models: Sequence[LanguageModel], most: int) -> Iterator[slice]:
    """Which tasks are tuned together, in their order: `most`, or fewer if models have no room for what stands before
    the prompts of so many (lms/kept.py), since to read that anew in every step takes longer than small passes do. Of
    each task the examples of each model."""
    first = 0
    while first < len(tasks):
        end = first + 1
        while end < min(first + most, len(tasks)) and _kept(tasks[first : end + 1], models):
            end += 1
        yield slice(first, end)
        first = end


def _kept(tasks: Sequence[Sequence[Examples]], models: Sequence[LanguageModel]) -> bool:
    return all(model.keeps([row for of in tasks for row in of[n].rows]) for n, model in enumerate(models))
