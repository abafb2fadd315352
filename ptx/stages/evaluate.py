"""P@1 of a prompt: the answer among the shared words that the model finds most likely, against the fact's object."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ptx.cache import Store
from ptx.errors import PtxError
from ptx.lms.inputs import LAYOUTS, Row, fact_rows
from ptx.lms.lm import FLOAT32, LanguageModel, load_model
from ptx.pipeline import Payload, Stopwatch, Tick, artifact_of, payload_of
from ptx.prompts import FILE as PROMPT_FILE
from ptx.prompts import read_prompt
from ptx.stages.anchors import read_words
from ptx.stages.strict import PREDICTIONS as FILE
from ptx.stages.strict import refuse_dropped
from ptx.step import Step
from ptx.suites import Fact, Task

if TYPE_CHECKING:
    from jaxtyping import Float, Int

BATCH = 256  # inputs per forward pass
TOGETHER = 16  # prompts whose inputs share batches


@dataclass(frozen=True)
class Questions:
    """The facts of one task that can be scored: an input each, and the object's place among the allowed `words`.

    `dropped` facts have an object that is not an allowed word; `floor` is the accuracy of always answering with the
    task's most frequent train object, None where there are no train facts.
    """

    facts: Sequence[Fact]
    rows: Sequence[Row]
    objects: Sequence[int]
    words: tuple[str, ...]
    dropped: int
    floor: float | None


@dataclass(frozen=True)
class Answers:
    """Per fact: the likeliest word's place and its probability among the allowed words; the object's rank, from 1."""

    predicted: list[int]
    probability: list[float]
    rank: list[int]


def questions(
    model: LanguageModel,
    task: Task,
    split: str,
    words: tuple[str, ...],
    *,
    layout: str | None = None,
    prompt_length: int = 0,
    template: str | None = None,
) -> Questions:
    """The inputs of one split, with a soft prompt in a layout or with a manual template.

    Answers are among `words`, or the label words of a task that has them. Raises PtxError if no object of the split
    is an allowed word.
    """
    words = tuple(model.label_ids(task)) if task.labels else words
    place = {word: i for i, word in enumerate(words)}
    facts = [fact for fact in task.splits[split] if fact.object in place]
    unknown = [fact for fact in task.splits[split] if fact.object not in place]
    refuse_dropped(task, unknown, len(task.splits[split]), "are not words that all models share")
    if not facts:
        raise PtxError(
            f"task {task.name}: none of its {len(task.splits[split])} {split} objects is a word that all models share",
            "choose other --tasks, or --anchors of models that know these words",
        )
    made = fact_rows(model, task, facts, template or LAYOUTS[layout or "postfix"], prompt_length=prompt_length)
    counts = Counter(fact.object for fact in task.splits["train"] if fact.object in place)
    usual = min(counts, key=lambda obj: (-counts[obj], obj), default=None)
    floor = sum(fact.object == usual for fact in facts) / len(facts) if counts else None
    return Questions(facts, made, [place[fact.object] for fact in facts], words, len(unknown), floor)


@torch.inference_mode()
def answer(model: LanguageModel, asked: Sequence[tuple[Questions, Float[Tensor, "m d"] | None]]) -> list[Answers]:
    """Answers to all questions, each list with its own prompt, or None for templates."""
    together: dict[Any, list[int]] = {}
    for i, (q, prompt) in enumerate(asked):
        together.setdefault((None if prompt is None else len(prompt), q.words), []).append(i)
    answers: dict[int, Answers] = {}
    for (_, words), places in together.items():
        found = _answer_alike(model, [asked[i] for i in places], model.word_ids(words))
        answers |= zip(places, found, strict=True)
    return [answers[i] for i in range(len(asked))]


def _answer_alike(
    model: LanguageModel,
    asked: Sequence[tuple[Questions, Float[Tensor, "m d"] | None]],
    allowed: Int[Tensor, " k"],
) -> list[Answers]:
    """Prompts of one length (or none), and one list of allowed words: the inputs of all share batches."""
    flat = [(i, j, row) for i, (q, _) in enumerate(asked) for j, row in enumerate(q.rows)]
    flat.sort(key=lambda item: len(item[2].ids))
    found: list[dict[int, tuple[int, float, int]]] = [{} for _ in asked]
    for start in range(0, len(flat), BATCH):
        batch = flat[start : start + BATCH]
        stacked = [asked[i][1] for i, _, _ in batch]
        prompts = None if stacked[0] is None else torch.stack([p for p in stacked if p is not None]).to(model.device)
        logits = model.logits(model.collate([row for _, _, row in batch]), prompts)[:, allowed]
        objects = torch.tensor([asked[i][0].objects[j] for i, j, _ in batch], device=logits.device)
        probability, predicted = logits.softmax(-1).max(-1)
        if not torch.isfinite(probability).all():
            raise PtxError(
                f"evaluating on {model.name}: the scores of some answers are not finite",
                "try --dtype float32 if it is another; else the model's weights are damaged",
            )
        rank = (logits > logits.gather(1, objects[:, None])).sum(-1) + 1
        rank = torch.where(predicted == objects, 1, rank)
        for (i, j, _), *result in zip(batch, predicted.tolist(), probability.tolist(), rank.tolist(), strict=True):
            found[i][j] = (result[0], result[1], result[2])
    ordered = [[of[j] for j in range(len(q.rows))] for of, (q, _) in zip(found, asked, strict=True)]
    return [Answers(*(list(column) for column in zip(*of, strict=True))) for of in ordered]


def accuracy(asked: Questions, answers: Answers) -> float:
    """Share of facts whose likeliest word is the object (P@1), between 0 and 1."""
    return sum(p == o for p, o in zip(answers.predicted, asked.objects, strict=True)) / len(asked.objects)


def build(steps: Sequence[Step], store: Store, device: str, tick: Tick) -> Iterator[tuple[Step, Payload | PtxError]]:
    """See pipeline.BUILDERS."""
    if not steps:
        return
    watch = Stopwatch()
    model = load_model(steps[0].models[0], device, steps[0].settings.get("dtype", FLOAT32))
    shared = steps[0].parents_at("anchors")
    words = tuple(read_words(shared[0], store)) if shared else ()
    ready: list[tuple[Step, Questions, Tensor | None]] = []
    for step in steps:
        try:
            prompt, asked = _question(step, model, words, store)
        except PtxError as error:
            tick(1)
            yield step, error
        else:
            ready.append((step, asked, prompt))
    for start in range(0, len(ready), TOGETHER):
        part = ready[start : start + TOGETHER]
        found = answer(model, [(asked, prompt) for _, asked, prompt in part])
        seconds = watch.lap() / len(part)
        for (step, asked, _), answers in zip(part, found, strict=True):
            yield step, Payload(_files(asked, answers), _metrics(step, asked, answers, store), seconds)
            tick(1)


def _question(
    step: Step, model: LanguageModel, words: tuple[str, ...], store: Store
) -> tuple[Tensor | None, Questions]:
    assert step.task is not None
    split = step.settings["split"]
    if "template" in step.settings:
        return None, questions(model, step.task, split, words, template=step.settings["template"])
    prompt = model.fit(read_prompt(payload_of(step.parents[0], store, PROMPT_FILE)))
    layout = step.settings["layout"]
    return prompt, questions(model, step.task, split, words, layout=layout, prompt_length=len(prompt))


def _files(asked: Questions, answers: Answers) -> dict[str, bytes]:
    lines = [
        {
            "subject": fact.subject,
            "object": fact.object,
            "predicted": asked.words[predicted],
            "probability": round(probability, 6),
            "rank": rank,
        }
        for fact, predicted, probability, rank in zip(
            asked.facts, answers.predicted, answers.probability, answers.rank, strict=True
        )
    ]
    return {FILE: "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode("utf-8")}


def _metrics(step: Step, asked: Questions, answers: Answers, store: Store) -> dict[str, Any]:
    metrics: dict[str, Any] = {
        "accuracy": accuracy(asked, answers),
        "correct": sum(p == o for p, o in zip(answers.predicted, asked.objects, strict=True)),
        "facts": len(asked.facts),
        "dropped": asked.dropped,
        "floor": asked.floor,
    }
    for parent in step.parents_at("search"):
        artifact = artifact_of(parent, store)
        if artifact is not None and "matching_loss" in artifact.meta["metrics"]:
            metrics["matching_loss"] = artifact.meta["metrics"]["matching_loss"]
    return metrics
