"""Finished prompts that a command is given by key (`--prompt`), instead of models to tune them on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence

from ptx.cache import Artifact, Store
from ptx.config import listed
from ptx.errors import PtxError, UsageError
from ptx.lms.models import resolve
from ptx.plan import ONE_SOURCE, SOURCELESS, search_step
from ptx.settings import Settings
from ptx.step import IMPORTED, Step, stored_step
from ptx.suites import load_suite

FAR = 10  # standard deviations that differ by this factor deserve a warning


def keys(text: str) -> list[str]:
    """The parts of `--prompt KEY[,KEY...]`, once each. Raises UsageError if there is none."""
    found = listed(text)
    if not found:
        raise UsageError("--prompt names no artifact", "write it like --prompt KEY,KEY; `ptx cache ls` lists keys")
    return list(dict.fromkeys(found))


def source_steps(text: str, store: Store) -> list[Step]:
    """Tuned and imported prompts as parents. Raises PtxError if a model has changed since, or for another stage."""
    return [_source_step(store.find(part, ("tune", "search"))) for part in keys(text)]


def _source_step(artifact: Artifact) -> Step:
    labels = artifact.meta["labels"]
    if artifact.meta["stage"] != "tune":
        raise PtxError(
            f"{artifact.key[:12]} was itself found by a search, for {labels['target']}",
            f"import it first: ptx import {artifact.path / 'prompt.safetensors'} --model {labels['target']} "
            f"--task {labels['task']} --suite {labels['suite']} --layout {layout_of(artifact) or 'postfix'}",
        )
    model = resolve(labels["model"])
    if model.digest != artifact.meta["inputs"]["model"]:
        raise PtxError(
            f"the files of {model.name} have changed since prompt {artifact.key[:12]} was made for it",
            f"tune it again: ptx tune --model {model.name} --suite {labels['suite']} --tasks {labels['task']}",
        )
    (task,) = load_suite(labels["suite"]).choose([labels["task"]])
    return dataclasses.replace(stored_step(artifact), models=(model,), task=task)


def layout_of(artifact: Artifact) -> str | None:
    """The layout that a prompt was made for; a drawn one has none."""
    return artifact.meta["config"].get("tune", {}).get("layout")


def settings_for(step: Step, settings: Settings) -> Settings:
    """The settings of a command, with those that a stored prompt brings along: suite, task, layout, length."""
    own = step.config.get("tune", {})
    tune = {name: own[name] for name in ("layout", "prompt_length") if name in own}
    return dataclasses.replace(
        settings,
        suite=step.labels["suite"],
        tasks=(step.labels["task"],),
        seed=step.labels.get("seed", settings.seed),
        tune=dataclasses.replace(settings.tune, **tune),
    )


def searches(sources: Sequence[Step], method: str, target: str, anchors: Step, settings: Settings) -> Iterator[Step]:
    """One search per task, from all prompts given for it. Raises PtxError for prompts that do not go together."""
    if method in SOURCELESS:
        raise UsageError(f"--method {method} takes no --prompt", "leave it out, or use --method relative")
    by_task: dict[tuple[str, str], list[Step]] = {}
    for step in sources:
        by_task.setdefault((step.labels["suite"], step.labels["task"]), []).append(step)
    for (_, name), of_task in by_task.items():
        if method in ONE_SOURCE and len(of_task) > 1:
            raise UsageError(f"--method {method} takes one source", f"give one prompt for {name}, or --method relative")
        layouts = {step.config["tune"]["layout"] for step in of_task}
        if len(layouts) > 1:
            raise PtxError(
                f"the prompts for {name} have different layouts, {' and '.join(sorted(layouts))}",
                "combine prompts of one layout: tune or import them with the same --layout",
            )
        own = settings_for(of_task[0], settings)
        (task,) = own.chosen_tasks(*(["dev"] if settings.search.select == "dev" else []))
        yield search_step(method, of_task, resolve(target), task, anchors, own)


def warn_of_imported(artifacts: Iterable[Artifact], warn: Callable[[str], None]) -> None:
    """What to know of imported prompts: a scale far from that of the word embeddings, a place that others put them."""
    for artifact in artifacts:
        figures, labels = artifact.meta["metrics"], artifact.meta["labels"]
        if artifact.meta["stage"] != "tune" or labels.get("method") != IMPORTED:
            continue
        ratio = figures["std"] / figures["model_std"]
        if not 1 / FAR <= ratio <= FAR:
            times = f"{ratio:,.0f}" if ratio > 1 else f"{ratio:.2g}"
            warn(
                f"{labels['task']}: the prompt's standard deviation of {figures['std']:.3g} is {times} times that "
                f"of {labels['model']}'s word embeddings ({figures['model_std']:.3g}); is it for this model?"
            )
        if figures.get("behind"):
            warn(
                f"{labels['task']}: ptx puts the prompt behind {' '.join(figures['behind'])}, the programs that write "
                "such files before it: expect another accuracy than theirs"
            )
