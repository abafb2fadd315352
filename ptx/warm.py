"""A warm start: `ptx tune --init KEY_OR_FILE` begins with finished prompts, transferred ones say, in place of noise.

Artifacts know their model and task, and are matched to those being tuned; a file knows neither.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from ptx.cache import Artifact, Store
from ptx.errors import PtxError, UsageError
from ptx.lms.models import Model
from ptx.step import Step, is_file, made_for, stored_step
from ptx.suites import Task

DRAWN = ("random", "words")  # what `--init` says where no prompt is given
Initial = tuple[Artifact | Path, ...]


def find_initial(text: str, store: Store) -> Initial:
    """The prompts that `--init` names, separated by commas or line breaks: files, or artifacts by key or path.

    Nothing for "random" and "words". Raises PtxError for a name that is none of these.
    """
    if text in DRAWN:
        return ()
    if is_file(text):
        return (Path(text),)
    names = [part.strip() for part in re.split(r"[,\n]", text) if part.strip()]
    if not names:
        raise UsageError("--init names no prompt", f"write --init {DRAWN[0]}, or give keys: run `ptx cache ls`")
    return tuple(Path(name) if is_file(name) else _find(name, store) for name in names)


def _find(name: str, store: Store) -> Artifact:
    try:
        return store.find(name, ("search", "tune"))
    except PtxError as error:
        known = f"{' or '.join(DRAWN)}, the key of a prompt (`ptx cache ls --stage search`), or a prompt file"
        raise PtxError(f"--init {name}: {error.message}", f"give {known}") from None


def warm_step(cold: Step, initial: Initial, suite: str, *, n_tasks: int) -> Step:
    """The same tuning, begun with the one prompt of `initial` for its model and task. `n_tasks` are tuned in all.

    The prompt is a parent, a file one as `ptx import` stores it; `sources` says where it comes from.
    """
    assert cold.task is not None
    start = initial_for(initial, cold.models[0], cold.task, n_tasks=n_tasks)
    if isinstance(start, Path):
        from ptx import formats, imports

        found = formats.read(start)
        said = imports.origin(found, model=cold.models[0].name, suite=suite, task=cold.task.name)
        parent = imports.import_step(found, said)
        how, sources = start.name, [start.name]
    else:
        parent = stored_step(start)
        made_of = parent.labels
        sources = list(made_of.get("sources") or ([made_of["model"]] if "model" in made_of else []))
        how = " ".join([made_of.get("method", "tuned"), "+".join(sources)]).strip()
    return dataclasses.replace(
        cold,
        settings={**cold.settings, "init": "prompt"},
        parents=(parent,),
        labels={**cold.labels, "init": how, "sources": sources},
    )


def initial_for(initial: Sequence[Artifact | Path], model: Model, task: Task, *, n_tasks: int) -> Artifact | Path:
    """The one prompt of `initial` that was made for a model and a task; with one of `n_tasks` tasks, a file may be it.

    Raises PtxError if there is none or more than one.
    """
    files = [start for start in initial if isinstance(start, Path)]
    if files and (len(initial) > 1 or n_tasks > 1):
        raise UsageError("a prompt file does not say which task it is for", "add --tasks with one task, or give keys")
    if files:
        return files[0]
    artifacts = [start for start in initial if isinstance(start, Artifact)]
    of_task = [artifact for artifact in artifacts if artifact.meta["labels"]["task"] == task.name]
    if not of_task:
        tasks = ",".join(dict.fromkeys(artifact.meta["labels"]["task"] for artifact in artifacts))
        raise PtxError(f"--init has no prompt for task {task.name}", f"give one, or add --tasks {tasks}")
    fitting = {artifact.key: artifact for artifact in of_task if made_for(artifact)[1] == model.digest}
    if not fitting:
        name, _ = made_for(of_task[0])
        raise PtxError(
            f"prompt {of_task[0].key[:12]} was made for {name}, not for {model.name}",
            f"use --model {name}, or give the key that this prints: "
            f"`ptx search --sources {name} --target {model.name} --tasks {task.name}`",
        )
    if len(fitting) > 1:
        keys = " and ".join(key[:12] for key in fitting)
        raise UsageError(f"--init has {len(fitting)} prompts for task {task.name}: {keys}", "give one for each task")
    return next(iter(fitting.values()))
