"""A prompt and subjects of one's own: what its model answers here (`ptx predict`), or a server (`ptx request`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from ptx import formats
from ptx.cache import Store
from ptx.engine.build import Reporter
from ptx.errors import PtxError, UsageError
from ptx.lms.lm import LanguageModel
from ptx.lms.models import Model, hub_commit
from ptx.lms.template import LAYOUTS
from ptx.prompts import brought, given
from ptx.prompts.record import model_of
from ptx.prompts.server import address, completions
from ptx.prompts.whole import whole_inputs
from ptx.stages.tune import FILE
from ptx.transfer.scoring import Questions, answer


@dataclass(frozen=True)
class Asked:
    """A prompt by its key or file, the template of its inputs, and the labels of its task that has some."""

    name: str
    vectors: Float[Tensor, "m d"]
    template: str
    labels: Sequence[str] = ()


def asked(name: str, model: Model, layout: str | None, store: Store, tell: Reporter) -> Asked:
    """A prompt by key or file for its model. Raises PtxError for one of another model."""
    found = given.find(name, store)
    if isinstance(found, Path):
        read = formats.read(found)
        brought.check_alone(read)
        layout = layout or read.layout or "postfix"
        brought.say_read(read, layout, model, tell)
        return Asked(name, brought.in_front(read, model), LAYOUTS[layout])
    given.check_target(found, model)
    task = given.task_of(found)
    template = LAYOUTS[given.layout_of(found) or layout or "postfix"]
    return Asked(name, formats.read_prompt(found.path / FILE), task.asked_as(template), task.labels)


def model_named(names: Sequence[str], store: Store) -> str:
    """The model that all these prompts are for, by their artifacts. Raises UsageError if files, or several models,
    leave that open."""
    found = [given.find(name, store) for name in names]
    models = dict.fromkeys(
        str(of.meta["labels"].get("model") or of.meta["labels"].get("target"))
        for of in found
        if not isinstance(of, Path)
    )
    if len(models) != 1 or any(isinstance(of, Path) for of in found):
        why = "a prompt file does not say its model" if len(models) < 2 else f"they are for {' and '.join(models)}"
        raise UsageError(f"whose prompts these are is not said: {why}", "add --target MODEL")
    return next(iter(models))


def answers(
    lm: LanguageModel, prompts: Sequence[Asked], words: Sequence[str], subjects: Sequence[str], *, top: int
) -> list[dict[str, Any]]:
    """The likeliest answers for each subject, with each of the prompts: among the labels of its task, or these words.

    Probabilities are among the allowed words, and sum to one over all of these.
    """
    allowed = [tuple(prompt.labels or words) for prompt in prompts]
    questions = []
    for prompt, among in zip(prompts, allowed, strict=True):
        rows = lm.rows(prompt.template, subjects, prompt_length=len(prompt.vectors))
        questions.append((Questions(rows, among, None), lm.fit(prompt.vectors)))
    found = answer(lm, questions, top=top)
    return [
        {
            **({"prompt": prompt.name} if len(prompts) > 1 else {}),
            "subject": subject,
            "rank": rank,
            "answer": among[place],
            "probability": probability,
        }
        for number, subject in enumerate(subjects)
        for prompt, among, of in zip(prompts, allowed, found, strict=True)
        for rank, (place, probability) in enumerate(
            zip(of.places[number], of.probabilities[number], strict=True), start=1
        )
    ]


def completed(
    key: str, subjects: Sequence[str], store: Store, tell: Reporter, *, url: str, model: str, max_tokens: int,
    dry_run: bool,
) -> list[dict[str, Any]]:  # fmt: skip
    """What a server writes behind each subject, with a prompt of the cache. Raises PtxError."""
    where, found = address(url), given.find(key, store)
    if isinstance(found, Path):
        hint = f"store it first: `ptx import {found} --model NAME` says its key"
        raise PtxError(f"{key} is a file, which does not say for sure which model it is for", hint)
    own = model_of(found)
    inputs = whole_inputs(found, own, subjects)
    called = model or hub_commit(own)[0] or own.name
    if dry_run:
        tokens = sum(map(len, inputs))
        tell.message(f"would send {len(inputs)} inputs of {tokens} vectors to {where} for {called}")
        return []
    return [
        {"subject": subject, "completion": one.text, "finish_reason": one.finish_reason}
        for subject, one in zip(subjects, completions(where, called, inputs, max_tokens=max_tokens), strict=True)
    ]
