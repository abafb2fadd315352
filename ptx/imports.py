"""A prompt from a file, stored as if it had been tuned here: encodings, searches and evaluations can be made of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptx import formats
from ptx.cache import Store
from ptx.config import Layout
from ptx.errors import PtxError, UsageError
from ptx.formats import PromptFile
from ptx.lms.embeddings import WordEmbeddings
from ptx.lms.inputs import frame
from ptx.lms.lm import load_embeddings
from ptx.lms.models import PAPER, Model, resolve, zoo
from ptx.pipeline import Payload, Stopwatch, Tick
from ptx.prompts import FILE, to_bytes
from ptx.step import IMPORTED, Step
from ptx.suites import Task, load_suite

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

ANYWAY = "or import it all the same with --unchecked"


@dataclass(frozen=True)
class Origin:
    """What a prompt is for: the model it was tuned on, the task, and where it stands in the input."""

    model: Model
    suite: str
    task: Task
    layout: Layout


def origin(
    found: PromptFile,
    *,
    model: str = "",
    suite: str = "",
    task: str = "",
    layout: Layout | None = None,
    unchecked: bool = False,
) -> Origin:
    """What the user says of a prompt, filled in from its card or adapter and, unless `unchecked`, compared with it.

    Raises PtxError for a contradiction, UsageError if nobody says which model or task it is for.
    """
    record = found.record
    model = model or (record.model if record else found.base) or ""
    suite = suite or (record.suite if record else "facts")
    tasks = load_suite(suite).tasks
    task = task or (record.task if record else tasks[0].name if len(tasks) == 1 else "")
    for flag, value in (("model", model), ("task", task)):
        if not value:
            raise UsageError(f"{found.path} does not say which {flag} it is for", f"add --{flag} NAME")
    (chosen,) = load_suite(suite).choose([task])
    said = Origin(resolve(model), suite, chosen, layout or found.layout or "postfix")
    if not unchecked:
        _compare(found, said)
    return said


def _compare(found: PromptFile, said: Origin) -> None:
    record = found.record
    if record is None:
        if found.base is not None and not _same_model(found.base, said.model):
            raise PtxError(
                f"{found.path} was made for {found.base}, not for {said.model.name}",
                f"add --model {found.base}; if both are the same model, import it all the same with --unchecked",
            )
        return
    card = formats.card.beside(found.path)
    if vectors_digest(found.prompt) != record.sha256:
        raise PtxError(
            f"{found.path} does not hold the {record.vectors} vectors that its card describes",
            f"leave --rows and --format out, export the prompt again, {ANYWAY}",
        )
    if said.model.digest != record.model_digest:
        raise PtxError(
            f"{card} is of a prompt for {record.model} (digest {record.model_digest[:12]}), and {said.model.name} "
            f"has other files (digest {said.model.digest[:12]})",
            f"give the folder or hub id of that very model with --model, {ANYWAY}",
        )
    if said.task.name != record.task or said.layout != record.layout:
        raise PtxError(
            f"{card} is of a prompt for {record.task} with the layout {record.layout}, not for {said.task.name} with "
            f"{said.layout}",
            f"leave --task and --layout out, {ANYWAY}",
        )
    if record.records_digest not in (None, said.task.digest("train", "dev")):
        raise PtxError(
            f"{card}: the prompt was tuned on other train and dev records than {said.task.name} of {said.suite} has",
            f"give the suite that it was tuned on with --suite, {ANYWAY}",
        )


def _same_model(base: str, model: Model) -> bool:
    """Whether the name that another program wrote means this model: the hub knows "gpt2" with and without its owner."""
    names = {model.name, PAPER.get(model.name, model.name)}
    if base in names or PAPER.get(base) in names or base in {name.split("/")[-1] for name in names}:
        return True
    return (base in zoo() or Path(base).is_dir()) and resolve(base).digest == model.digest


def vectors_digest(prompt: Float[Tensor, "m d"]) -> str:
    """SHA-256 of a prompt as ptx stores it: the same vectors are the same prompt, whatever file they came in."""
    return hashlib.sha256(to_bytes(prompt)).hexdigest()


def import_step(found: PromptFile, said: Origin) -> Step:
    """The artifact of a prompt that was read: of the stage `tune`, so that later stages take it as any other."""
    return Step(
        "tune",
        {"init": IMPORTED, "layout": said.layout, "prompt_length": len(found.prompt), "task": said.task.name},
        {
            "model": said.model.digest,
            "facts": said.task.digest("train", "dev"),
            "prompt": vectors_digest(found.prompt),
        },
        labels={
            "model": said.model.name,
            "suite": said.suite,
            "task": said.task.name,
            "method": IMPORTED,
            "format": found.format,
            "file": found.path.name,
        },
        group=(IMPORTED, said.model.digest),
        models=(said.model,),
        task=said.task,
        file=found.path,
    )


def build(steps: Sequence[Step], store: Store, device: str, tick: Tick) -> Iterator[tuple[Step, Payload | PtxError]]:
    """See pipeline.BUILDERS: the imported ones among the steps of `tune`."""
    watch = Stopwatch()
    model = load_embeddings(steps[0].models[0], device)
    for step in steps:
        try:
            found = _read_again(step, model)
        except PtxError as error:
            yield step, error
        else:
            metrics: dict[str, Any] = {"layout": step.settings["layout"], "vectors": len(found.prompt)}
            metrics["width"] = found.prompt.shape[1]
            metrics |= {"mean": found.prompt.mean().item(), "std": found.prompt.std(correction=0).item()}
            metrics |= dict(zip(("model_mean", "model_std"), model.statistics, strict=True))
            if found.record is not None:
                metrics["origin"] = found.record.to_dict()
            elif found.layout == step.settings["layout"] == "prefix":
                opening, _ = frame(model.tokenizer)  # ptx puts a prompt behind it
                metrics["behind"] = model.tokenizer.convert_ids_to_tokens(opening)
            yield step, Payload({FILE: to_bytes(found.prompt)}, metrics, watch.lap())
        tick(1)


def _read_again(step: Step, model: WordEmbeddings) -> PromptFile:
    assert step.file is not None
    found = formats.read(step.file, format=step.labels["format"], rows=step.settings["prompt_length"])
    if vectors_digest(found.prompt) != step.inputs["prompt"]:
        raise PtxError(f"{step.file} changed while it was read", "run the command again")
    width = model.embeddings.shape[1]
    if found.prompt.shape[1] != width:
        raise PtxError(
            f"{step.file} holds vectors of width {found.prompt.shape[1]}, the word embeddings of {model.name} have "
            f"{width}",
            f"import it for its own model (`ptx import {step.file} --model OTHER`), then transfer it: `ptx search "
            f"--prompt KEY --target {model.name}`",
        )
    return found
