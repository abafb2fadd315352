"""A warm start: `ptx tune --init KEY_OR_FILE` begins with finished prompts, transferred ones say, in place of noise.

Artifacts know their model and task, and are matched to those being tuned; a file knows neither.
"""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import safe_open

from ptx.cache import Artifact, Store
from ptx.config.lists import names_in
from ptx.config.tune import DRAWN, names_prompts
from ptx.engine.build import Reporter
from ptx.engine.step import Step
from ptx.errors import PtxError, UsageError
from ptx.lms.models import Model
from ptx.lms.names import shown
from ptx.prompts.given import check_fits, find, is_file, made_for
from ptx.stages.search import spelled
from ptx.stages.settings import Initial
from ptx.stages.table import stored_step
from ptx.stages.tune import FILE
from ptx.suites import Task


def initial(text: str, suite: str, store: Store, tell: Reporter) -> Initial | None:
    """What `--init` names, separated by commas or line breaks: files, or artifacts by key or path. None for a text,
    noise and words. Tells what a file was read as.

    Raises PtxError for a name that is none of these.
    """
    if not names_prompts(text):
        return None
    if is_file(text):
        return functools.partial(_start, [Path(text)], suite, tell)
    names = names_in(text.replace("\n", ","))
    if not names:
        raise UsageError("--init names no prompt", "write --init text, or give keys: run `ptx cache ls`")
    return functools.partial(_start, [_named(name, store) for name in names], suite, tell)


def _named(name: str, store: Store) -> Artifact | Path:
    try:
        return find(name, store)
    except PtxError as error:
        known = f"text, {' or '.join(DRAWN)}, the key of a prompt (`ptx cache ls --stage search`), or a prompt file"
        raise PtxError(f"--init {name}: {error.message}", f"give {known}") from None


def _start(
    given: Sequence[Artifact | Path], suite: str, tell: Reporter, model: Model, task: Task, n_tasks: int
) -> tuple[Step, int, Mapping[str, Any]]:
    """The one prompt of `given` for a model and one of `n_tasks` tasks, as a parent (a file as `ptx import` stores it),
    how many vectors it has, and labels that say where it comes from."""
    chosen = _chosen(given, model, task, n_tasks)
    if isinstance(chosen, Path):
        from ptx import formats
        from ptx.prompts import brought, imported

        found = formats.read(chosen)
        said = imported.origin(found, model=model.name, suite=suite, task=task.name)
        brought.say_read(found, said.layout, model, tell)
        step = imported.import_step(found, said)
        return step, step.settings["prompt_length"], {"init": chosen.name, "sources": [chosen.name]}
    labels = chosen.meta["labels"]
    sources = list(labels.get("sources") or ([labels["model"]] if "model" in labels else []))
    names = shown(sources)
    whose = spelled([names[name] for name in sources], labels.get("weights", ()), 4)
    how = " ".join([labels.get("method", "tuned"), whose]).strip()
    with safe_open(chosen.path / FILE, "numpy") as file:  # its header alone
        m, _ = file.get_slice("prompt").get_shape()
    return stored_step(chosen), m, {"init": how, "sources": sources}


def _chosen(given: Sequence[Artifact | Path], model: Model, task: Task, n_tasks: int) -> Artifact | Path:
    """Raises PtxError if there is no prompt for the model and task, or more than one; a file may be it if it is alone
    and so is the task."""
    artifacts = [start for start in given if isinstance(start, Artifact)]
    if len(artifacts) < len(given):
        if len(given) == n_tasks == 1:
            return given[0]
        raise UsageError("a prompt file does not say which task it is for", "add --tasks with one task, or give keys")
    of_task = [artifact for artifact in artifacts if artifact.meta["labels"]["task"] == task.name]
    if not of_task:
        tasks = ",".join(dict.fromkeys(artifact.meta["labels"]["task"] for artifact in artifacts))
        raise PtxError(f"--init has no prompt for task {task.name}", f"give one, or add --tasks {tasks}")
    fitting = {artifact.key: artifact for artifact in of_task if made_for(artifact)[1] == model.digest}
    if not fitting:
        name, _ = made_for(of_task[0])
        search = f"`ptx search --sources {name} --target {model.name} --tasks {task.name}`"
        check_fits(of_task[0], model, f"use --model {name}, or give the key that this prints: {search}")
    if len(fitting) > 1:
        named = " and ".join(key[:12] for key in fitting)
        raise UsageError(f"--init has {len(fitting)} prompts for task {task.name}: {named}", "give one for each task")
    return next(iter(fitting.values()))
