"""Which artifacts a command needs, and what each is keyed by. All keys are known before anything is built.

anchors      tune
     \\      /  |
     encode     |         what belongs to the source never names the target
         \\     |
         search            methods `relative`, `discretize` (from encodings), `direct`, `projector` (from prompts),
            |              `random` (from neither)
          eval             also of tuned prompts and of manual templates
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ptx.cache import Artifact, Store, digest, file_digest
from ptx.errors import PtxError, UsageError
from ptx.lms.models import Model, anchor_models, resolve
from ptx.settings import Settings
from ptx.step import Step, shared_words, stored_step
from ptx.suites import Task, load_suite
from ptx.warm import DRAWN, warm_step

METHODS = ("random", "manual", "direct", "discretize", "projector", "relative", "tuned")
SOURCELESS = ("random", "manual", "tuned")
ONE_SOURCE = ("direct", "discretize", "projector")
ADAM = {"lr": 5e-3}  # the authors' code
PROJECTOR = {"hidden": 768, "epochs": 10, "lr": 5e-3, "batch_size": 16}  # Appendix A.2


def tune_step(model: Model, task: Task, settings: Settings) -> Step:
    own = {**vars(settings.tune), "seed": settings.seed, "task": task.name, **settings.computed}
    own |= {"lr": float(settings.tune.lr), "init_scale": shortest(settings.tune.init_scale)}
    if settings.tune.init != "random":
        del own["init_scale"]
    step = Step(
        "tune",
        own,
        {"model": model.digest, "facts": task.digest("train", "dev")},
        labels={"model": model.name, "suite": settings.suite, "task": task.name, "seed": settings.seed},
        group=(model.digest, digest(vars(settings.tune)), str(settings.seed), settings.dtype),
        models=(model,),
        task=task,
    )
    if settings.tune.init in DRAWN:
        return step
    if not settings.initial:
        raise PtxError(f"tune.init {settings.tune.init!r} will not do here", "write random or words")
    return warm_step(step, settings.initial, settings.suite, n_tasks=len(settings.chosen_tasks("train", "dev")))


def shortest(number: str) -> str:
    """One spelling of a number for the key: "0.10" and "1e-1" are "0.1". A word stays what it is."""
    try:
        return repr(float(number)).removesuffix(".0")
    except ValueError:
        return number


def anchors_step(names: Sequence[str], settings: Settings) -> Step:
    """The words that the named models share, and of these, with `--count`, some."""
    models = tuple(sorted((resolve(name, tokenizer_only=True) for name in names), key=lambda m: m.tokenizer))
    labels = {"models": list(names)}
    tokenizers = sorted({model.tokenizer for model in models})
    shared = Step("anchors", {}, {"tokenizers": tokenizers}, labels=labels, models=models)
    return _counted(shared, settings)


def word_file_step(path: Path, names: Sequence[str], settings: Settings) -> Step:
    """The words of a user's file, one a line, that are one token in every named model."""
    models = tuple(sorted((resolve(name, tokenizer_only=True) for name in names), key=lambda m: m.tokenizer))
    inputs = {"tokenizers": sorted({model.tokenizer for model in models}), "words": file_digest(path)}
    shared = Step("anchors", {}, inputs, labels={"models": list(names), "words": path.name}, models=models, file=path)
    return _counted(shared, settings)


def _counted(shared: Step, settings: Settings) -> Step:
    if settings.anchors.count is None:
        return shared
    own: dict[str, Any] = {**vars(settings.anchors)}
    if settings.anchors.order == "random":
        own["seed"] = settings.seed
    return Step("anchors", own, parents=(shared,), labels=shared.labels)


def stored_anchors(artifact: Artifact, store: Store) -> Step:
    """A finished anchor set that the user named, with the shared words it was chosen from."""
    parents = tuple(stored_anchors(store.find(p["key"], ("anchors",)), store) for p in artifact.meta["parents"])
    return dataclasses.replace(stored_step(artifact), parents=parents)


def encode_step(tuned: Step, anchors: Step, settings: Settings) -> Step:
    top_k = settings.encode.top_k
    return Step(
        "encode",
        {"top_k": int(top_k) if top_k.isdecimal() else top_k},
        parents=(tuned, anchors),
        labels=tuned.labels,
        group=(tuned.models[0].digest, anchors.key),
        models=tuned.models,
        task=tuned.task,
    )


def search_step(
    method: str, tuned: Sequence[Step], target: Model, task: Task, anchors: Step, settings: Settings
) -> Step:
    """The target's prompt for one task, from the sources' tuned prompts (none for `random`)."""
    if settings.search.select == "dev" and method != "projector" and settings.search.solver != "adam":
        hint = "add --solver adam or --method projector"
        raise UsageError("--select dev chooses among steps of Adam or epochs of the projector", hint)
    labels = {
        "target": target.name,
        "sources": [step.labels["model"] for step in tuned],
        "method": method,
        "suite": settings.suite,
        "task": task.name,
        "seed": settings.seed,
    }
    own: dict[str, Any] = {"method": method}
    inputs: dict[str, Any] = {"target": target.digest}
    parents: tuple[Step, ...]
    if method == "random":
        own |= {"prompt_length": settings.tune.prompt_length, "seed": settings.seed, "task": task.name}
        parents = ()
    elif method == "direct":
        parents = tuple(tuned)
    elif method == "discretize":
        words = shared_words(anchors)
        parents = (encode_step(tuned[0], words, settings), words)
    elif method == "projector":
        own |= PROJECTOR | {"seed": settings.seed, "select": settings.search.select}
        parents = (*tuned, shared_words(anchors))
    else:
        weights = source_weights(settings.search.weights, len(tuned))
        # The order in which sources are named changes nothing, so it must not change the key.
        pairs = sorted(
            ((encode_step(step, anchors, settings), w) for step, w in zip(tuned, weights, strict=True)),
            key=lambda pair: (pair[0].key, pair[1]),
        )
        own |= _solver_settings(settings, task) | {"weights": [w for _, w in pairs]}
        parents = (*(encoding for encoding, _ in pairs), anchors)
    if own.get("select") == "dev":
        inputs["facts"] = task.digest("dev")
        own |= {"layout": settings.tune.layout, **settings.computed}
        if shared_words(anchors) not in parents:
            parents += (shared_words(anchors),)
    return Step(
        "search",
        own,
        inputs,
        parents,
        labels,
        group=(target.digest, method, anchors.key if method not in ("random", "direct") else "", settings.dtype),
        models=(target,),
        task=task,
    )


def _solver_settings(settings: Settings, task: Task) -> dict[str, Any]:
    search = settings.search
    own = {"solver": search.solver, "mask": search.mask, "select": search.select, "normalize": search.normalize}
    if search.solver == "adam":
        return own | ADAM | {"steps": search.steps, "seed": settings.seed, "task": task.name}
    return own | {"ridge": search.ridge if search.ridge == "gcv" else float(search.ridge)}


def source_weights(text: str, n: int) -> list[float]:
    """`--weights` as n numbers that sum to one; equal weights if the text is empty."""
    if not text:
        return [1 / n] * n
    try:
        weights = [float(part) for part in text.split(",")]
    except ValueError:
        weights = []
    if len(weights) != n or any(not 0 < w < float("inf") for w in weights):
        raise UsageError(f"--weights {text!r} is not one positive number per source", "write it like --weights 2,1")
    return [w / sum(weights) for w in weights]


def eval_step(method: str, prompt: Step | None, target: Model, task: Task, words: Step, settings: Settings) -> Step:
    """Score one prompt, or the manual template if `prompt` is None. `words` are the answers allowed."""
    labels = {
        "target": target.name,
        "sources": list(prompt.labels.get("sources", ())) if prompt else [],
        "method": method,
        "suite": settings.eval.on or settings.suite,
        "task": task.name,
        "split": settings.eval.split,
        "seed": settings.seed,
    }
    if prompt is not None and settings.eval.on not in ("", settings.suite):
        labels["tuned_on"] = settings.suite
    own: dict[str, Any] = {"split": settings.eval.split, **settings.computed}
    if prompt is None:
        if not task.template:
            raise PtxError(f"task {task.name} has no manual template", "add one to the suite's relations.jsonl")
        own["template"] = task.template
        del labels["seed"]  # nothing is drawn
    else:
        own["layout"] = settings.tune.layout
    # The floor is the most frequent train object; what the sources' side has is of no interest here.
    inputs = {"target": target.digest, "facts": task.digest(settings.eval.split), "train": task.digest("train")}
    # A task with label words is answered among these.
    parents = (() if prompt is None else (prompt,)) + (() if task.labels else (words,))
    return Step(
        "eval",
        own,
        inputs,
        parents=parents,
        labels=labels,
        group=(target.digest, "" if task.labels else words.key, settings.dtype),
        models=(target,),
        task=task,
    )


def grid(
    cells: Iterable[tuple[str, Sequence[str], str]], settings: Settings, anchors: Step, *, until: str = "eval"
) -> Iterator[Step]:
    """The last steps of cells (method, sources, target) for every task: the searched prompts or their evaluations."""
    for method, sources, target_name in cells:
        target = resolve(target_name)
        tasks = _tasks(settings, method) if until == "eval" else [(t, t) for t in settings.chosen_tasks("train", "dev")]
        for task, scored in tasks:
            if method == "manual":
                prompt = None
            elif method == "tuned":
                prompt = tune_step(target, task, settings)
            else:
                tuned = [tune_step(resolve(name), task, settings) for name in sources]
                prompt = search_step(method, tuned, target, task, anchors, settings)
            if until == "search" and prompt is not None:
                yield prompt
            elif until == "eval":
                yield eval_step(method, prompt, target, scored, shared_words(anchors), settings)


def _tasks(settings: Settings, method: str) -> list[tuple[Task, Task]]:
    """The tasks of a suite that can be tuned on, whatever the method, so that methods compare; of a suite that is a
    test set only (LAMA's files), all tasks for a method without training."""
    if method in ("manual", "random") and not any(task.splits["train"] for task in load_suite(settings.suite).tasks):
        return settings.scored_tasks()
    return settings.scored_tasks("train", "dev")


def default_anchors(models: Sequence[str], settings: Settings) -> tuple[Step, str]:
    """The anchors of a command that names `models`, and a description of the set for the user."""
    names, description = anchor_models(models)
    return anchors_step(names, settings), description
