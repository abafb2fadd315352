"""Prompts that the user names: what KEY_OR_FILE means, whether the prompt fits a model, and what is made of it."""

import dataclasses
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ptx.cache import Artifact, Store
from ptx.config.lists import names_in
from ptx.engine.build import Reporter
from ptx.engine.step import Step
from ptx.errors import PtxError, UsageError
from ptx.lms.models import Model, resolve
from ptx.lms.template import LAYOUTS
from ptx.stages import portable
from ptx.stages.anchors import shared_words
from ptx.stages.choice import prompt_step
from ptx.stages.eval import eval_step
from ptx.stages.methods import method_named
from ptx.stages.settings import Settings
from ptx.stages.table import stored_step
from ptx.suites import Task, load_suite

PROMPTS = ("search", "tune")  # the stages that make prompts
SCORED = "eval"  # whose keys tables name, and which mean the prompt that was scored


def is_file(name: str) -> bool:
    """Whether a prompt's name means a file, or a folder that is no artifact, rather than a key."""
    path = Path(name)
    return path.exists() and not (path / "meta.json").is_file()


def find(name: str, store: Store, stages: tuple[str, ...] = (*PROMPTS, SCORED)) -> Artifact | Path:
    """What KEY_OR_FILE means: a file, or the artifact of a prompt; of an evaluation, that of the prompt it scored; of a
    portable prompt, which is for any model, its file.

    Raises PtxError if there is none, or none of these `stages`.
    """
    if is_file(name):
        return Path(name)
    found = store.find(name, tuple(dict.fromkeys((*stages, portable.STAGE.name))))
    return found.path / portable.FILE if found.meta["stage"] == portable.STAGE.name else prompt_of(found, store)


def prompt_of(artifact: Artifact, store: Store) -> Artifact:
    """The prompt that an evaluation scored; a prompt's artifact as it is. Raises PtxError for any other."""
    stage, key = artifact.meta["stage"], artifact.key[:12]
    if stage in PROMPTS:
        return artifact
    both = artifact.meta["labels"].get("method") == "ensemble"  # its prompt is only half of it
    for parent in artifact.meta["parents"] if stage == "eval" and not both else ():
        if parent["stage"] in PROMPTS:
            return store.find(parent["key"], (parent["stage"],))
    asked = "several models asked at once" if both else "a manual template"
    scored = f"evaluation {key} is of {asked}, not of a soft prompt"
    what = scored if stage == "eval" else f"{stage} {key} has no soft prompt"
    raise PtxError(what, "give the key of a tuning or search: `ptx cache ls --stage tune`")


def made_for(artifact: Artifact) -> tuple[str, str]:
    """The name and the digest of the model that a prompt fits."""
    labels, inputs = artifact.meta["labels"], artifact.meta["inputs"]
    return labels.get("target") or labels["model"], inputs.get("target") or inputs["model"]


def check_fits(artifact: Artifact, model: Model, hint: str) -> None:
    """Raise PtxError, with a hint, unless `model` is the one that a prompt was made for, file by file."""
    name, digest = made_for(artifact)
    if model.digest == digest:
        return
    if model.name == name:
        raise PtxError(f"the files of {name} have changed since prompt {artifact.key[:12]} was made for it", hint)
    raise PtxError(f"prompt {artifact.key[:12]} was made for {name}, not for {model.name}", hint)


def check_target(artifact: Artifact, target: Model) -> None:
    """The same for a `--target`, with what to do instead."""
    hint = f"use --target {made_for(artifact)[0]}"
    if artifact.meta["stage"] == "tune":
        hint += f", or transfer it: ptx search --prompt {artifact.key[:12]} --target {target.name}"
    check_fits(artifact, target, hint)


def task_of(artifact: Artifact) -> Task:
    """The task that a prompt was made for, read from its suite. Raises PtxError if that has gone."""
    return load_suite(artifact.meta["labels"]["suite"]).choose([artifact.meta["labels"]["task"]])[0]


def layout_of(artifact: Artifact) -> str | None:
    """The layout that a prompt was made for; a drawn one has none."""
    return tuned_with(artifact.meta["config"]).get("layout")


def input_of(artifact: Artifact) -> str:
    """The template of a prompt's inputs. Raises PtxError if its suite, which says whether texts are asked as written,
    has gone."""
    return task_of(artifact).asked_as(LAYOUTS[layout_of(artifact) or "postfix"])


def tuned_with(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings of the tuning that a prompt comes from; none for a drawn one."""
    found: Mapping[str, Any] = config.get("tune") or config.get(portable.STAGE.name, {})
    return found


def keys(text: str) -> list[str]:
    """The parts of `--prompt KEY[,KEY...]`, once each. Raises UsageError if there is none."""
    found = names_in(text)
    if not found:
        raise UsageError("--prompt names no artifact", "write it like --prompt KEY,KEY; `ptx cache ls` lists keys")
    return list(dict.fromkeys(found))


def sources(text: str, store: Store) -> list[Step]:
    """Tuned and imported prompts to search with. Raises PtxError if a model has changed since, or for another stage."""
    found = [store.find(part, (*PROMPTS[::-1], portable.STAGE.name, SCORED)) for part in keys(text)]
    return [_source(prompt_of(of, store) if of.meta["stage"] == SCORED else of) for of in found]


def _source(artifact: Artifact) -> Step:
    labels = artifact.meta["labels"]
    if artifact.meta["stage"] == portable.STAGE.name:
        hint = f"evaluate it as it is, or: ptx import {artifact.path / portable.FILE} --model NAME"
        raise PtxError(f"{artifact.key[:12]} is a portable prompt, which any model reads without a search", hint)
    if artifact.meta["stage"] != "tune":
        raise PtxError(
            f"{artifact.key[:12]} was itself found by a search, for {labels['target']}",
            f"import it first: ptx import {artifact.path / 'prompt.safetensors'} --model {labels['target']} "
            f"--task {labels['task']} --suite {shlex.quote(labels['suite'])} "
            f"--layout {layout_of(artifact) or 'postfix'}",
        )
    model = resolve(labels["model"])
    again = f"ptx tune --model {model.name} --suite {shlex.quote(labels['suite'])} --tasks {labels['task']}"
    check_fits(artifact, model, f"tune it again: {again}")
    return dataclasses.replace(stored_step(artifact), models=(model,), task=task_of(artifact))


def settings_for(step: Step, settings: Settings) -> Settings:
    """The settings of a command, with those that a stored prompt brings along: suite, task, layout, length."""
    own = tuned_with(step.config)
    tune = {name: own[name] for name in ("layout", "prompt_length") if name in own}
    return dataclasses.replace(
        settings,
        suite=step.labels["suite"],
        tasks=(step.labels["task"],),
        seed=step.labels.get("seed", settings.seed),
        tune=dataclasses.replace(settings.tune, **tune),
    )


def searches(steps: Sequence[Step], method: str, target: Model, anchors: Step, settings: Settings) -> Iterator[Step]:
    """One search per task, from all prompts given for it. Raises PtxError for prompts that do not go together."""
    if method_named(method).sources == 0:
        raise UsageError(f"--method {method} takes no --prompt", "leave it out, or use --method relative")
    if portable.STAGE.name in method_named(method).needs:
        hint = "name --sources; a portable prompt that is there: `ptx import prompt.words.json --model NAME`"
        raise UsageError(f"--method {method} learns a prompt of its own on all sources", hint)
    by_task: dict[tuple[str, str], list[Step]] = {}
    for step in steps:
        by_task.setdefault((step.labels["suite"], step.labels["task"]), []).append(step)
    for (_, name), of_task in by_task.items():
        if method_named(method).sources == 1 and len(of_task) > 1:
            raise UsageError(f"--method {method} takes one source", f"give one prompt for {name}, or --method relative")
        layouts = {step.config["tune"]["layout"] for step in of_task}
        if len(layouts) > 1:
            raise PtxError(
                f"the prompts for {name} have different layouts, {' and '.join(sorted(layouts))}",
                "combine prompts of one layout: tune or import them with the same --layout",
            )
        own = settings_for(of_task[0], settings)
        (task,) = own.chosen_tasks(*(["dev"] if settings.search.select == "dev" else []))
        yield prompt_step(method, of_task, target, task, anchors, own)


def prompt_steps(text: str, target: Model, store: Store, settings: Settings, tell: Reporter) -> list[Step]:
    """Prompts of the target to evaluate, by keys or files. Raises PtxError for one of another model."""
    steps = []
    for found in (find(part, store) for part in keys(text)):
        if isinstance(found, Path):
            steps.append(_from_file(found, target, settings, tell))
        else:
            check_target(found, target)
            steps.append(stored_step(found))
    return steps


def _from_file(path: Path, target: Model, settings: Settings, tell: Reporter) -> Step:
    """A prompt file as `ptx import` would store it, with the layout and task of its card if none is asked for."""
    from ptx import formats
    from ptx.prompts import brought, imported

    found = formats.read(path)
    if len(settings.tasks) != 1 and (settings.tasks or found.about is None):
        raise UsageError("a prompt file does not say which task it is for", "add --tasks with one task")
    suite, task = (settings.suite, settings.tasks[0]) if settings.tasks else ("", "")
    layout = None if settings.tune.layout == "postfix" else settings.tune.layout  # the default
    said = imported.origin(found, model=target.name, suite=suite, task=task, layout=layout)
    brought.say_read(found, said.layout, said.model, tell)
    return imported.import_step(found, said)


def evaluations(steps: Sequence[Step], target: Model, anchors: Step, settings: Settings, *, on: str) -> Iterator[Step]:
    """The evaluations of finished prompts, on their own tasks or those of the suite `on`."""
    for step in steps:
        own = settings_for(step, settings)
        if on:
            own = dataclasses.replace(own, eval=dataclasses.replace(own.eval, on=on))
        ((_, scored),) = own.scored_tasks()
        yield eval_step(step.labels.get("method", "tuned"), step, target, scored, shared_words(anchors), own)
