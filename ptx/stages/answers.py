"""`answers`: what a source with its prompt answers to unlabelled inputs, among the shared words.

It belongs to the source and never names the target, so that it is made once for all of them. Objects are never read.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptx.cache import Store, digest
from ptx.config.dtypes import FLOAT32
from ptx.config.search import DRAWN_INPUTS, TRAIN_INPUTS
from ptx.engine.build import Stopwatch, payload_of
from ptx.engine.step import Payload, Stage, Step, Tick
from ptx.engine.work import Work
from ptx.errors import PtxError
from ptx.files import changed
from ptx.lms.frames import framed
from ptx.lms.models import Model
from ptx.stages.anchors import read_words
from ptx.stages.portable import read_mixtures
from ptx.stages.settings import Settings
from ptx.stages.tune import read_prompt
from ptx.suites import Fact, Task
from ptx.suites.lines import subjects_of

if TYPE_CHECKING:
    from torch import Tensor

    from ptx.lms.inputs import Row
    from ptx.lms.lm import LanguageModel
    from ptx.transfer.agreement import Answered

FILE, INPUTS = "answers.safetensors", "inputs.jsonl"
KEPT = 256  # words of each answer, the likeliest
DRAWN = 256  # words that are inputs with `--inputs words`
PORTABLE = "portable"  # a stage, as is "tune"
LEAST = 1e-30  # a probability below it is taken for this


def answers_step(
    tuned: Step, task: Task, words: Step, settings: Settings, split: str = "", model: Model | None = None
) -> Step:
    """What a prompt's own model, or one of those that learned it together, answers to the inputs of `--inputs`, or to
    the subjects of a split. Raises PtxError if there are none."""
    model, asked = model or tuned.models[0], settings.search.inputs
    own: dict[str, Any] = {"split": split} if split else {"inputs": asked}
    own["layout"] = settings.tune.layout
    own |= {**settings.computed(model, "source"), **framed(model)}
    inputs: dict[str, Any] = {"model": model.digest} if len(tuned.models) > 1 else {}
    file = None
    if split:
        inputs["subjects"] = digest(_subjects(task, split))
    elif asked == DRAWN_INPUTS:
        own["seed"] = settings.seed
    elif asked == TRAIN_INPUTS:
        if not task.splits["train"]:
            what = f"task {task.name} has no train facts whose subjects could be asked"
            raise PtxError(what, "give subjects with --inputs FILE, one a line, or use --inputs words")
        inputs["subjects"] = digest(_subjects(task, "train"))
    else:
        inputs["subjects"] = digest(_lines(Path(asked)))
        own["inputs"], file = "file", Path(asked).absolute()  # workers may be elsewhere
    if task.labels:
        own |= {"labels": list(task.labels), "truncate": task.truncate}
    parents = (tuned,) + (() if task.labels else (words,))
    if task.labels and own.get("inputs") == DRAWN_INPUTS:
        parents += (words,)
    group = (model.digest, words.key, own.get("dtype", FLOAT32))
    labels = {name: value for name, value in tuned.labels.items() if name in ("suite", "task", "seed")}
    labels["model"] = model.name
    return Step(STAGE, own, inputs, parents, labels, group, models=(model,), task=task, file=file)


def _subjects(task: Task, split: str) -> list[str]:
    return list(dict.fromkeys(fact.subject for fact in task.splits[split]))


def _lines(file: Path) -> list[str]:
    if found := list(dict.fromkeys(subjects_of(file))):
        return found
    raise PtxError(f"{file}: no inputs", "write one subject a line")


@dataclass(frozen=True)
class Asked:
    """A finished step: the inputs, and what was answered (places among the step's shared words, or label words)."""

    inputs: list[str]
    answered: Answered


def read_answers(step: Step, store: Store) -> Asked:
    from safetensors.torch import load

    from ptx.transfer.agreement import Answered

    lines = payload_of(step, store, INPUTS).read_text("utf-8").splitlines()
    stored = load(payload_of(step, store, FILE).read_bytes())
    return Asked([json.loads(line) for line in lines], Answered(**stored))


def allowed(step: Step, store: Store) -> tuple[str, ...]:
    """The words that may answer: the shared ones, or a task's labels."""
    return tuple(step.settings.get("labels") or read_words(step.parents_at("anchors")[0], store))


def answering(task: Task, model: LanguageModel, words: tuple[str, ...]) -> tuple[tuple[str, ...], Mapping[str, int]]:
    """The words that answer in a target, and the place of every word among them."""
    if task.labels:
        model.label_ids(task)
        return words, {word: i for i, word in enumerate(words)}
    return model.distinct(words)


def sources_say(
    sources: Sequence[Step], weights: Sequence[float], task: Task, model: LanguageModel, store: Store
) -> tuple[list[str], tuple[str, ...], Tensor]:
    """The inputs, the words that answer in a target, and the sources' averaged probabilities of these [n, k]; of words
    that are one token in the target, their sum."""
    import torch

    from ptx.transfer.agreement import averaged

    words, asked = allowed(sources[0], store), [read_answers(source, store) for source in sources]
    mean = averaged([of.answered for of in asked], weights, len(words))
    distinct, place = answering(task, model, words)
    said = torch.zeros(len(mean), len(distinct), dtype=mean.dtype)
    return asked[0].inputs, distinct, said.index_add(1, torch.tensor([place[word] for word in words]), mean)


def rows_of(model: LanguageModel, task: Task, inputs: Sequence[str], layout: str, m: int) -> list[Row]:
    """Inputs as a model reads them with a prompt of m vectors."""
    from ptx.lms.lm import fact_rows
    from ptx.lms.template import LAYOUTS

    return fact_rows(model, task, [Fact(text, "") for text in inputs], LAYOUTS[layout], prompt_length=m)


def build(steps: Sequence[Step], store: Store, device: str, tick: Tick) -> Iterator[tuple[Step, Payload | PtxError]]:
    """See engine.step.Stage."""
    from safetensors.torch import save

    from ptx.lms.lm import load_model

    watch = Stopwatch()
    model = load_model(steps[0].models[0], device, steps[0].settings.get("dtype", FLOAT32))
    tick(0, "answers")
    for step in steps:
        try:
            inputs = _inputs(step, store)
            tensors = _answer(step, model, inputs, store, tick)
        except PtxError as error:
            yield step, error
        else:
            lines = "".join(json.dumps(text) + "\n" for text in inputs).encode()
            yield step, Payload({FILE: save(tensors), INPUTS: lines}, {"answered": len(inputs)}, watch.lap())


def _prompt(made: Step, model: LanguageModel, store: Store) -> Tensor:
    """A tuned prompt, or what a portable one is on this model."""
    from ptx.transfer.mixtures import embedded

    return (
        embedded(model, read_mixtures(made, store)).prompt if made.stage.name == PORTABLE else read_prompt(made, store)
    )


def _inputs(step: Step, store: Store) -> list[str]:
    assert step.task is not None
    if step.settings.get("inputs") == DRAWN_INPUTS:
        words = read_words(step.parents_at("anchors")[0], store)
        return random.Random(step.settings["seed"]).sample(words, min(DRAWN, len(words)))
    inputs = _lines(step.file) if step.file else _subjects(step.task, step.settings.get("split", "train"))
    if digest(inputs) != step.inputs["subjects"]:
        raise changed(str(step.file))
    return inputs


def work(step: Step) -> Work:
    assert step.task is not None
    if step.settings.get("inputs") == DRAWN_INPUTS:
        count = DRAWN
    else:
        count = len(_lines(step.file) if step.file else _subjects(step.task, step.settings.get("split", "train")))
    return Work(count, "inputs", count, reading=True)


def _answer(step: Step, model: LanguageModel, inputs: Sequence[str], store: Store, tick: Tick) -> dict[str, Any]:
    import torch

    from ptx.transfer.scoring import Questions, answer

    assert step.task is not None
    words = allowed(step, store)
    distinct = words if step.task.labels else model.distinct(words)[0]
    prompt = model.fit(_prompt(step.parents[0], model, store))
    rows = rows_of(model, step.task, inputs, step.settings["layout"], len(prompt))
    (answers,) = answer(model, [(Questions(rows, distinct, None), prompt)], top=KEPT, tick=tick)
    place = {word: i for i, word in enumerate(words)}
    numbers = torch.tensor([place[word] for word in distinct])
    places = numbers[torch.tensor(answers.places)]
    probabilities = torch.tensor(answers.probabilities, dtype=torch.float64)
    rest = (1 - probabilities.sum(-1)).clamp_min(0).float()
    logs = probabilities.clamp_min(LEAST).log().half()
    order = torch.argsort(places, dim=-1)  # of words that are as likely in float16, the one that stands first
    order = order.gather(-1, torch.argsort(logs.gather(-1, order), dim=-1, descending=True, stable=True))
    return {"places": places.gather(-1, order).int(), "logs": logs.gather(-1, order), "rest": rest}


STAGE = Stage("answers", version=1, build=build, work=work, columns=("model", "task", "answered"))
