"""`eval`: how good a prompt, or a manual template, is on a target (P@1; counted in transfer/scoring.py)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ptx.cache import Artifact, Store
from ptx.config.dtypes import FLOAT32
from ptx.engine.build import Stopwatch, artifact_of, payload_of
from ptx.engine.step import Payload, Stage, Step, Tick
from ptx.engine.work import Work
from ptx.errors import PtxError
from ptx.lms.frames import framed
from ptx.lms.models import Model
from ptx.lms.template import is_plain
from ptx.stages.anchors import read_words
from ptx.stages.settings import Settings
from ptx.stages.tune import read_prompt
from ptx.suites import Fact, Task

if TYPE_CHECKING:
    from torch import Tensor

    from ptx.lms.lm import LanguageModel
    from ptx.transfer.scoring import Answers, Scored

FILE = "predictions.jsonl"
FROM_SEARCH = ("matching_loss", "search_loss", "agreement", "forecast", "forecast_low", "forecast_high")
TOGETHER = 16  # prompts whose inputs share batches


def eval_step(method: str, prompt: Step | None, target: Model, task: Task, words: Step, settings: Settings) -> Step:
    """Score one prompt, or the manual template if `prompt` is None. `words` are the answers allowed."""
    labels: dict[str, Any] = {
        "target": target.name,
        "sources": list(prompt.labels.get("sources", ())) if prompt else [],
        "method": method,
        "suite": settings.eval.on or settings.suite,
        "task": task.name,
        "split": settings.eval.split,
        "seed": settings.seed,
    }
    labels |= {name: prompt.labels[name] for name in ("weights", "how") if prompt and name in prompt.labels}
    if prompt is not None and settings.eval.on not in ("", settings.suite):
        labels["tuned_on"] = settings.suite
    own: dict[str, Any] = {"split": settings.eval.split, **settings.computed(target, "target"), **framed(target)}
    if prompt is None:
        if not task.template:
            raise PtxError(f"task {task.name} has no manual template", "add one to the suite's relations.jsonl")
        own["template"] = task.template
        if not is_plain(task.template):
            own["reads"] = "as written"  # earlier versions put spaces around all parts
        del labels["seed"]  # nothing is drawn
    else:
        own["layout"] = settings.tune.layout
    # The floor is the most frequent train object; what the sources' side has is of no interest here.
    inputs = {"target": target.digest, "facts": task.digest(settings.eval.split), "train": task.digest("train")}
    # A task with label words is answered among these.
    parents = (() if prompt is None else (prompt,)) + (() if task.labels else (words,))
    group = (target.digest, "" if task.labels else words.key, own.get("dtype", FLOAT32))
    return Step(STAGE, own, inputs, parents, labels, group, models=(target,), task=task)


def build(steps: Sequence[Step], store: Store, device: str, tick: Tick) -> Iterator[tuple[Step, Payload | PtxError]]:
    """See engine.step.Stage."""
    from ptx.lms.lm import load_model
    from ptx.transfer.scoring import is_finite

    watch = Stopwatch()
    model = load_model(steps[0].models[0], device, steps[0].settings.get("dtype", FLOAT32))
    shared = steps[0].parents_at("anchors")
    words = tuple(read_words(shared[0], store)) if shared else ()
    tick(0, "answers")
    for first in range(0, len(steps), TOGETHER):
        ready: list[tuple[Step, Scored, Tensor | None]] = []
        for step in steps[first : first + TOGETHER]:
            try:
                prompt, scored = _to_score(step, model, words, store)
            except PtxError as error:
                tick(work(step).units)
                yield step, error
            else:
                ready.append((step, scored, prompt))
        answered = _answered(ready, model, store, tick)
        seconds = watch.lap() / max(1, len(ready))
        for (step, scored, _), answers in zip(ready, answered, strict=True):
            if is_finite(answers):
                files = {FILE: _predictions(scored, answers)}
                yield step, Payload(files, _metrics(step, scored, answers, store), seconds)
            else:
                yield (
                    step,
                    PtxError(
                        f"evaluating {step.labels['task']} on {model.name}: the scores of some answers are not finite",
                        "try --dtype float32 if it is another; else the model's weights are damaged",
                    ),
                )


def work(step: Step) -> Work:
    assert step.task is not None
    facts = len(step.task.splits[step.settings["split"]])
    return Work(facts, "facts", facts, reading=True)


def _to_score(step: Step, model: LanguageModel, words: tuple[str, ...], store: Store) -> tuple[Tensor | None, Scored]:
    from ptx.transfer.scoring import facts_to_score

    assert step.task is not None
    split = step.settings["split"]
    if "template" in step.settings:
        return None, facts_to_score(model, step.task, split, words, template=step.settings["template"])
    prompt = model.fit(read_prompt(step.parents[0], store))
    layout = step.settings["layout"]
    return prompt, facts_to_score(model, step.task, split, words, layout=layout, prompt_length=len(prompt))


def _answered(
    asked: Sequence[tuple[Step, Scored, Tensor | None]], model: LanguageModel, store: Store, tick: Tick
) -> list[Answers]:
    from ptx.transfer.scoring import answer

    alone = [i for i, (step, _, _) in enumerate(asked) if not step.parents_at("answers")]
    found = dict(
        zip(alone, answer(model, [(asked[i][1].questions, asked[i][2]) for i in alone], tick=tick), strict=True)
    )
    return [found[i] if i in found else _with_sources(*asked[i], model, store) for i in range(len(asked))]


def _with_sources(step: Step, scored: Scored, prompt: Tensor | None, model: LanguageModel, store: Store) -> Answers:
    """The product of what the sources answer, who were asked before, and what the target answers to its text."""
    from ptx.stages.answers import sources_say
    from ptx.transfer.distil import product, word_logs
    from ptx.transfer.scoring import likeliest

    assert step.task is not None
    assert prompt is not None
    inputs, words, said = sources_say(step.parents_at("answers"), step.settings["weights"], step.task, model, store)
    place = {subject: i for i, subject in enumerate(inputs)}
    own = word_logs(model, scored.questions.rows, prompt, words)
    return likeliest(product(said[[place[fact.subject] for fact in scored.facts]], own, 1.0), scored.questions)


def _predictions(scored: Scored, answers: Answers) -> bytes:
    words = scored.questions.words
    assert words is not None
    lines = [
        {**_named(fact), "predicted": words[places[0]], "probability": round(probabilities[0], 6), "rank": rank}
        for fact, places, probabilities, rank in zip(
            scored.facts, answers.places, answers.probabilities, answers.ranks, strict=True
        )
    ]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode("utf-8")


def _named(fact: Fact) -> dict[str, Any]:
    """What tells a fact from the others of its task, as predictions name it."""
    subject, obj, *more = fact.record
    return {"subject": subject, "object": obj, **(more[0] if more else {})}


def _metrics(step: Step, scored: Scored, answers: Answers, store: Store) -> dict[str, Any]:
    from ptx.transfer.scoring import accuracy, correct

    metrics: dict[str, Any] = {
        "accuracy": accuracy(scored.questions, answers),
        "correct": correct(scored.questions, answers),
        "facts": len(scored.facts),
        "dropped": scored.dropped,
        "floor": scored.floor,
    }
    for parent in step.parents_at("search"):
        artifact = artifact_of(parent, store)
        found = artifact.meta["metrics"] if artifact is not None else {}
        metrics |= {name: found[name] for name in FROM_SEARCH if name in found}
    return metrics


def strict(step: Step, artifact: Artifact, store: Store) -> None:
    """Raise PtxError if the evaluation left facts out, since their objects are no allowed answers."""
    from ptx.suites.strict import NOT_SHARED, SEVERAL_TOKENS, refuse_dropped

    if not artifact.meta["metrics"]["dropped"]:
        return
    assert step.task is not None
    facts = step.task.splits[step.settings["split"]]
    lines = payload_of(step, store, FILE).read_text("utf-8").splitlines()
    named = [*map(_named, facts)]

    def identity(fact: Mapping[str, Any]) -> str:
        return json.dumps([fact.get(name) for name in ("subject", "object", "template", "others")])

    kept = set(map(identity, map(json.loads, lines)))
    dropped = [fact for fact, names in zip(facts, named, strict=True) if identity(names) not in kept]
    why = f"{NOT_SHARED}, or {SEVERAL_TOKENS}" if "reads" in step.settings else NOT_SHARED
    refuse_dropped(step.task, dropped, len(facts), why)


STAGE = Stage(
    "eval",
    version=1,
    build=build,
    work=work,
    columns=("sources", "target", "method", "task", "accuracy", "forecast", "floor", "facts", "dropped"),
    strict=strict,
)
