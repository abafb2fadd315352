"""`texts`: how well a source answers its own train facts behind each of several texts, by which one is chosen."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptx.cache import Store
from ptx.config.dtypes import FLOAT32
from ptx.config.tune import TEXT
from ptx.engine.build import Stopwatch, artifact_of, payload_of
from ptx.engine.step import Payload, Stage, Step, Tick
from ptx.engine.work import Work
from ptx.errors import PtxError
from ptx.lms.frames import framed
from ptx.lms.models import Model, is_here, unchanged
from ptx.lms.wording import of_kind, wordings, words_of
from ptx.stages.anchors import read_words
from ptx.stages.settings import Settings
from ptx.suites import Task
from ptx.suites.lines import subjects_of

if TYPE_CHECKING:
    from ptx.lms.lm import LanguageModel

FILE = "texts.jsonl"
CAUSAL = ("ForCausalLM", "LMHeadModel")  # how the classes of causal language models end
KINDS = 3  # words for what the answers are, of which a causal model is asked
A_KIND = 5  # texts of each, about
FACTS = 512  # train facts that are asked at most, evenly spread


def texts_of(task: Task, settings: Settings) -> list[str]:
    """The texts that a prompt for a task may be: those of its manual template and the lines of `--texts`, which may be
    templates. Raises PtxError if there is none."""
    named = subjects_of(Path(settings.search.texts)) if settings.search.texts else []
    found = wordings_of(task)
    found += [words_of(text) if re.search(r"\[[XY]\]", text) else text.strip() for text in named]
    if not any(found):
        hint = "add --texts FILE, with one text a line, such as: is the capital of"
        raise PtxError(f"task {task.name} has no manual template, and so no text", hint)
    return list(dict.fromkeys(filter(None, found)))


def wordings_of(task: Task) -> list[str]:
    """The texts of a task's manual template, of its title where it has one, and of its paraphrases; none without a
    template."""
    title = "" if task.labels or task.label == task.name else task.label
    found = wordings(task.template, title) if task.template else []
    return list(dict.fromkeys([*found, *(text for other in task.paraphrases for text in wordings(other))]))


def kinds_of(model: Model, task: Task) -> dict[str, int]:
    """For keys: how many words for what a task's answers are a model is asked for, of which texts are made, too. A
    masked one need not say the answer next, and is not asked; a task with label words names them in its texts."""
    if task.labels or not task.template or not is_here(model):
        return {}
    return {"kinds": KINDS} if _causal(model) else {}


@functools.cache  # a Model names its files' digest
def _causal(model: Model) -> bool:
    """By the classes that it was saved from, which are known before it is loaded."""
    with unchanged(model):
        saved_as = model.config.get("architectures") or []
    return any(str(name).endswith(CAUSAL) for name in saved_as)


def with_kinds(texts: Sequence[str], step: Step, model: LanguageModel) -> list[str]:
    """These texts, and those that say what the answers are, if the step has such."""
    from ptx.transfer.kinds import kinds

    if "kinds" not in step.settings:
        return [*texts]
    assert step.task is not None
    assert step.task.template
    answers = [answer for fact in step.task.splits["train"] for answer in fact.answers]
    found = kinds(model, answers, step.settings["kinds"])
    return list(dict.fromkeys([*texts, *(text for kind in found for text in of_kind(step.task.template, kind))]))


def tried(step: Step) -> int:
    """How many texts a step tries, about."""
    return len(step.settings.get("texts", ())) + A_KIND * step.settings.get("kinds", 0)


def count_of(model: Model, task: Task, settings: Settings) -> int:
    """The same of the step for a model that is to come."""
    return len(texts_of(task, settings)) + A_KIND * kinds_of(model, task).get("kinds", 0)


def started_from(tuned: Step) -> list[str]:
    """The text that a tuned prompt starts from, or those of which the tuning takes one; none if it is noise, or nobody
    knows."""
    own = tuned.config.get("tune", {})
    init = str(own.get("init", ""))
    if init == "text":
        return list(own.get("texts", [own.get("text", "")]))
    return [init.removeprefix(TEXT)] if init.startswith(TEXT) else []


def text_of(tuned: Step, store: Store) -> str:
    """The text that a prompt started from, as far as that is known: of several its tuning took one."""
    artifact, texts = artifact_of(tuned, store), started_from(tuned)
    said = "" if artifact is None else str(artifact.meta["metrics"].get("text", ""))
    return said or (texts[0] if len(texts) == 1 else "")


def texts_step(model: Model, task: Task, words: Step, settings: Settings) -> Step:
    """The texts of a task on one of the sources, which answers among `words`, the shared ones."""
    own: dict[str, Any] = {"texts": texts_of(task, settings), "layout": settings.tune.layout}
    own |= {**kinds_of(model, task), **settings.computed(model, "source"), **framed(model)}
    inputs = {"model": model.digest, "facts": task.digest("train")}
    labels = {"model": model.name, "suite": settings.suite, "task": task.name}
    parents = () if task.labels else (words,)
    group = (model.digest, "" if task.labels else words.key, own.get("dtype", FLOAT32))
    return Step(STAGE, own, inputs, parents, labels, group, models=(model,), task=task)


def accuracies(step: Step, store: Store) -> dict[str, float]:
    """Of a finished step, by text."""
    lines = payload_of(step, store, FILE).read_text("utf-8").splitlines()
    return {of["text"]: of["accuracy"] for of in map(json.loads, lines)}


def build(steps: Sequence[Step], store: Store, device: str, tick: Tick) -> Iterator[tuple[Step, Payload | PtxError]]:
    """See engine.step.Stage."""
    from ptx.lms.lm import load_model

    watch = Stopwatch()
    model = load_model(steps[0].models[0], device, steps[0].settings.get("dtype", FLOAT32))
    tick(0, "which text is best")
    shared = steps[0].parents_at("anchors")
    words = tuple(read_words(shared[0], store)) if shared else ()
    for step in steps:
        try:
            texts = with_kinds(step.settings["texts"], step, model)
            scores = _scores(step, texts, model, words, tick)
        except PtxError as error:
            yield step, error
        else:
            best = max(range(len(texts)), key=lambda i: (scores[i], -i))
            lines = [{"text": text, "accuracy": score} for text, score in zip(texts, scores, strict=True)]
            file = "".join(json.dumps(line) + "\n" for line in lines).encode()
            yield step, Payload({FILE: file}, {"text": texts[best], "train_accuracy": scores[best]}, watch.lap())


def work(step: Step) -> Work:
    assert step.task is not None
    facts = tried(step) * min(FACTS, len(step.task.splits["train"]))
    return Work(facts, "facts", facts, reading=True)


def _scores(step: Step, texts: Sequence[str], model: Any, words: tuple[str, ...], tick: Tick) -> list[float]:
    from ptx.transfer.scoring import accuracy, answer, facts_to_score, thinned
    from ptx.transfer.starts import readable, whole_text

    assert step.task is not None
    known = readable(texts, model) or texts
    prompts = [whole_text(model, text) for text in known]
    layout = step.settings["layout"]
    asked = [
        facts_to_score(model, step.task, "train", words, layout=layout, prompt_length=len(prompt)).questions
        for prompt in prompts
    ]
    asked = [thinned(questions, FACTS) for questions in asked]
    answers = answer(model, [*zip(asked, prompts, strict=True)], ranked=False, tick=tick)
    scores = {text: accuracy(questions, of) for text, questions, of in zip(known, asked, answers, strict=True)}
    return [scores.get(text, 0.0) for text in texts]  # what a model cannot read, it answers nothing behind


STAGE = Stage("texts", version=1, build=build, work=work, columns=("model", "task", "text", "train_accuracy"))
