"""Evaluation of one prompt per task on all test facts, on bert-micro.

Ours is `facts_to_score` and `answer` of ptx/transfer/scoring.py: inputs of up to 16 tasks in batches of 256 sorted by
length, scores at the answer only. Theirs is `optiprompt.predictions`: batches of 8 of one task, log-softmax over the
full vocabulary at every position. Both make their inputs from the facts, and answer among the words that the zoo's
masked LMs share.

`python -m benchmarks.evaluation MODEL SUITE TASK` compares the scoring of a task's manual template on a model of your
own with a plain forward pass of the same inputs, in turn.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks import optiprompt
from benchmarks.measure import medians
from benchmarks.report import Row, show
from ptx.lms import inputs
from ptx.lms.known import anchor_models
from ptx.lms.lm import LanguageModel, fact_rows, load_model
from ptx.lms.models import resolve
from ptx.lms.template import LAYOUTS
from ptx.stages.eval import TOGETHER
from ptx.suites import Task, load_suite
from ptx.transfer.scoring import answer, facts_to_score
from ptx.transfer.words import shared_words

VECTORS = 5


def rows(quick: bool) -> list[Row]:
    model = load_model(resolve("bert-micro"), "cpu")
    tasks = load_suite("facts").tasks[: 8 if quick else None]
    words = allowed_words()
    prompts = drawn(model, tasks)
    of = optiprompt.prober(model, frozen=True)
    if ours(model, tasks, prompts, words) != theirs(of, model, tasks, prompts, words):
        raise RuntimeError("the two ways to evaluate predict different words")
    fast, slow = medians(
        lambda: ours(model, tasks, prompts, words),
        lambda: theirs(of, model, tasks, prompts, words),
        repeats=3 if quick else 5,
    )
    facts = sum(len(task.splits["test"]) for task in tasks)
    what = f"evaluation of {len(tasks)} prompts on bert-micro, {facts:,} test facts"
    return [Row(what, fast, slow, 3, note="the same predicted words")]


def allowed_words() -> tuple[str, ...]:
    """The words that predictions are restricted to by default."""
    names, _ = anchor_models(["bert-micro"])
    return tuple(shared_words([load_model(resolve(name), "cpu").tokenizer for name in names]))


def drawn(model: LanguageModel, tasks: Sequence[Task]) -> list[Tensor]:
    """A prompt per task: the embeddings of random words and noise, which is where tuned prompts lie."""
    random = torch.Generator().manual_seed(0)
    size, width = model.matrix.shape
    noise = model.statistics[1] * torch.randn(len(tasks), VECTORS, width, generator=random)
    return list(model.matrix[torch.randint(size, (len(tasks), VECTORS), generator=random)] + noise)


def ours(
    model: LanguageModel, tasks: Sequence[Task], prompts: Sequence[Tensor], words: tuple[str, ...]
) -> list[list[int]]:
    """Per task the places of the predicted words."""
    found: list[list[int]] = []
    for start in range(0, len(tasks), TOGETHER):
        part = slice(start, start + TOGETHER)
        asked = [
            (facts_to_score(model, task, "test", words, prompt_length=VECTORS).questions, prompt)
            for task, prompt in zip(tasks[part], prompts[part], strict=True)
        ]
        found += [answers.predicted for answers in answer(model, asked)]
    return found


def theirs(
    of: optiprompt.Prober,
    model: LanguageModel,
    tasks: Sequence[Task],
    prompts: Sequence[Tensor],
    words: tuple[str, ...],
) -> list[list[int]]:
    known = set(words)
    found = []
    for task, prompt in zip(tasks, prompts, strict=True):
        facts = [fact for fact in task.splits["test"] if fact.object in known]
        made = fact_rows(model, task, facts, LAYOUTS["postfix"], prompt_length=VECTORS)
        optiprompt.put(of, prompt)
        found.append(optiprompt.predictions(of, made, VECTORS, model.word_ids(words)))
    return found


def plain_pass(model: LanguageModel, made: Sequence[inputs.Row], words: Tensor, *, size: int = 32) -> list[int]:
    """The places of a causal LM's likeliest words by a loop as one would write it: sorted and padded batches of
    tokens, and the head at the last position."""
    found: dict[int, int] = {}
    order = sorted(range(len(made)), key=lambda i: len(made[i].ids))
    with torch.inference_mode():
        for start in range(0, len(order), size):
            places = order[start : start + size]
            batch = model.collate([made[i] for i in places])
            hidden = model.network.base_model(input_ids=batch.ids, attention_mask=batch.attention).last_hidden_state
            head = model.network.get_output_embeddings()
            scores = head(hidden[torch.arange(len(places)), batch.answer_at])[:, words]
            found |= zip(places, scores.argmax(-1).tolist(), strict=True)
    return [found[i] for i in range(len(made))]


def one_model(folder: str, suite: str, name: str) -> Row:
    """Scoring one task's facts on a causal LM in a folder, against the plain pass."""
    model = load_model(resolve(folder), "cpu")
    (task,) = load_suite(suite).choose([name])
    words = tuple(shared_words([model.tokenizer]))
    questions = facts_to_score(model, task, "test", words, template=task.template).questions
    assert questions.words is not None
    made = list(questions.rows)
    ids = model.answer_ids(questions.words, made[0].context).clamp_min(0)
    same = [
        a == b
        for a, b in zip(answer(model, [(questions, None)])[0].predicted, plain_pass(model, made, ids), strict=True)
    ]
    fast, slow = medians(
        lambda: answer(model, [(questions, None)]), lambda: plain_pass(model, made, ids), repeats=3, warm_up=False
    )
    what = f"evaluation of {len(made)} facts on {model.name}"
    note = f"a plain pass in place of theirs; {sum(same)} of {len(made)} words the same"
    return Row(what, fast, slow, 1.1, at_least=False, note=note)


if __name__ == "__main__":
    show([one_model(*sys.argv[1:4])], "one model")
