"""A prompt from a file, stored as if it had been tuned here: encodings, searches and evaluations can be made of it."""

import dataclasses
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from ptx import formats
from ptx.cache import Artifact, Store
from ptx.config.tune import Layout
from ptx.engine.build import Reporter, Stopwatch
from ptx.engine.step import Payload, Step, Tick
from ptx.errors import PtxError, UsageError
from ptx.formats import PromptFile
from ptx.formats.tensors import to_bytes
from ptx.lms.embeddings import WordEmbeddings, load_embeddings
from ptx.lms.families import factor_by_class
from ptx.lms.frames import added_frame
from ptx.lms.inputs import frame
from ptx.lms.known import zoo
from ptx.lms.models import Model, hub_commit, resolve
from ptx.lms.places import hub_id, local_gguf, pinned
from ptx.prompts import hub
from ptx.prompts.brought import check_alone, in_front, model_in, on_model, say_read
from ptx.stages import tune
from ptx.stages.tune import FILE
from ptx.suites import Task, load_suite
from ptx.suites.hub import asks_hub

IMPORTED = "imported"  # the method, and the setting `init`, by which tables keep such prompts apart from tuned ones
FAR = 10  # standard deviations that differ by this factor deserve a warning
EACH_TASK = "{task}"
COMMIT = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True)
class Origin:
    """What a prompt is for: the model it was tuned on, the task, and where it stands in the input."""

    model: Model
    suite: str
    task: Task
    layout: Layout


def import_steps(
    file: str,
    store: Store,
    tell: Reporter,
    *,
    task: str = "",
    format: str = "auto",
    rows: int | None = None,
    **said: Any,
) -> Iterator[Step]:
    """The artifact of a prompt file, or of those of all tasks where `file` has {task} in it; tells what was read.

    `said` is what the user says of it (see `origin`; `model` may be empty). Raises PtxError.
    """
    on_hub = file.startswith(hub.PREFIX) and not Path(file).exists()
    for name, path in [(task, hub.fetched(file))] if on_hub else _files(file, task, said["suite"] or "facts"):
        found = formats.read(path, format=format, rows=rows)
        agreed = origin(found, task=name, **{**said, "model": said["model"] or model_in(found, store)})
        say_read(found, agreed.layout, agreed.model, tell)
        step = import_step(found, agreed)
        yield dataclasses.replace(step, labels={**step.labels, "file": file}) if on_hub else step


def _files(file: str, task: str, suite: str) -> Iterator[tuple[str, Path]]:
    """Task and file; for a path with {task}, of all tasks whose file exists."""
    if EACH_TASK not in file or Path(file).exists():
        yield task, Path(file)
        return
    if task:
        raise UsageError(f"{EACH_TASK} in {file} stands for every task", "leave --task out, or name one file")
    paths = [(each.name, Path(file.replace(EACH_TASK, each.name))) for each in load_suite(suite).tasks]
    if not any(path.exists() for _, path in paths):
        raise PtxError(f"no file {file} for any task of the suite {suite}", "check the path, or name another --suite")
    yield from ((name, path) for name, path in paths if path.exists())


def origin(
    found: PromptFile,
    *,
    model: str, suite: str = "", task: str = "", layout: Layout | None = None, unchecked: bool = False,
) -> Origin:  # fmt: skip
    """What the user says of a prompt, filled in from its card or adapter and, unless `unchecked`, compared with it.

    Raises PtxError for a contradiction or an incomplete adapter, UsageError if nobody says which model or task it is
    for.
    """
    about = found.about
    if not suite and about and asks_hub(about.suite):
        what = f"the card of {found.path} names a data set of the hub, {about.suite}, which a file alone cannot ask for"
        raise PtxError(what, f"add --suite {about.suite} to fetch it, or --suite none")
    suite = suite or (about.suite if about else "facts")
    tasks = load_suite(suite).tasks
    task = task or (about.task if about else tasks[0].name if len(tasks) == 1 else "")
    for flag, value in (("model", model), ("task", task)):
        if not value:
            raise UsageError(f"{found.path} does not say which {flag} it is for", f"add --{flag} NAME")
    (chosen,) = load_suite(suite).choose([task])
    said = Origin(resolve(model), suite, chosen, layout or found.layout or "postfix")
    if not unchecked:
        check_alone(found)
        _compare(found, said)
    return said


def _compare(found: PromptFile, said: Origin) -> None:
    record, model, task = found.record, said.model, said.task
    if record is None:
        if found.base is not None and not _same_model(found.base, model):
            hint = f"add --model {found.base}; if both are the same model, import it all the same with --unchecked"
            raise PtxError(f"{found.path} was made for {found.base}, not for {model.name}", hint)
        return
    card = formats.card.beside(found.path)
    if vectors_digest(found.prompt) != record.sha256:
        wrong = f"{found.path} does not hold the {record.vectors} vectors that its card describes"
        hint = "leave --rows and --format out, export the prompt again"
    elif model.digest != record.model_digest:
        files = f"{model.name} has other files (digest {model.digest[:12]})"
        wrong = f"{card} is of a prompt for {record.model} (digest {record.model_digest[:12]}), and {files}"
        hint = "give the folder or hub id of that very model with --model"
        if record.commit:
            hint = f"add --model {pinned(record.model)[0]}@{record.commit}"
    elif (task.name, said.layout) != (record.task, record.layout):
        asked = f"{task.name} with {said.layout}"
        wrong = f"{card} is of a prompt for {record.task} with the layout {record.layout}, not for {asked}"
        hint = "leave --task and --layout out"
    elif record.records_digest not in (None, task.digest("train", "dev")):
        wrong = f"{card}: the prompt was tuned on other train and dev records than {task.name} of {said.suite} has"
        hint = "give the suite that it was tuned on with --suite"
    else:
        return
    raise PtxError(wrong, f"{hint}, or import it all the same with --unchecked")


def _same_model(base: str, model: Model) -> bool:
    """Whether the name that another program wrote means this model: the hub knows "gpt2" with and without its owner."""
    (named, revision), (own, _), (hub, commit) = pinned(base), pinned(model.name), hub_commit(model)
    if COMMIT.fullmatch(revision) and commit not in (None, revision):
        return False
    names = {own, hub_id(own) or own, hub or own}
    if named in names or hub_id(named) in names or named in {name.split("/")[-1] for name in names}:
        return True
    return bool(base in zoo() or Path(base).is_dir() or local_gguf(base)) and resolve(base).digest == model.digest


def vectors_digest(prompt: Float[Tensor, "m d"]) -> str:
    """SHA-256 of a prompt as ptx stores it: the same vectors are the same prompt, whatever file they came in."""
    return hashlib.sha256(to_bytes(prompt)).hexdigest()


def import_step(found: PromptFile, said: Origin) -> Step:
    """The artifact of a prompt that was read: of the stage `tune`, so that later stages take it as any other."""
    vectors = vectors_digest(in_front(found, said.model))
    return Step(
        STAGE,
        {"init": IMPORTED, "layout": said.layout, "prompt_length": len(found.prompt), "task": said.task.name},
        {"model": said.model.digest, "facts": said.task.digest("train", "dev"), "prompt": vectors},
        labels={
            "model": said.model.name, "suite": said.suite, "task": said.task.name,
            "method": IMPORTED, "format": found.format, "file": found.path.name,
        },
        group=(IMPORTED, said.model.digest), models=(said.model,), task=said.task, file=found.path.absolute(),
    )  # fmt: skip


def build(steps: Sequence[Step], store: Store, device: str, tick: Tick) -> Iterator[tuple[Step, Payload | PtxError]]:
    """See engine.step.Stage."""
    watch = Stopwatch()
    model = load_embeddings(steps[0].models[0], device)
    for step in steps:
        try:
            found, prompt = _read_again(step, model)
        except PtxError as error:
            yield step, error
        else:
            vectors, width = prompt.shape
            metrics: dict[str, Any] = {"layout": step.settings["layout"], "vectors": vectors, "width": width}
            metrics |= {"mean": prompt.mean().item(), "std": prompt.std(correction=0).item()}
            metrics["model_mean"], metrics["model_std"] = model.statistics
            if _far(metrics["std"] / metrics["model_std"]) and (factor := factor_by_class(step.models[0])) != 1:
                metrics["factor"] = factor
            if found.words is not None:
                metrics |= {"origin": found.words.origin(), "several": on_model(found, step.models[0]).several}
            elif found.record is not None:
                metrics["origin"] = found.record.to_dict()
            elif found.layout == step.settings["layout"] == "prefix":
                added, _ = added_frame(step.models[0])  # ptx puts a prompt behind the frame
                metrics["behind"] = [*added] or model.tokenizer.convert_ids_to_tokens(frame(model.tokenizer)[0])
            yield step, Payload({FILE: to_bytes(prompt)}, metrics, watch.lap())
        tick(1)


def _read_again(step: Step, model: WordEmbeddings) -> tuple[PromptFile, Float[Tensor, "m d"]]:
    """The file, and its vectors in the scale of the model's matrix."""
    assert step.file is not None
    found = formats.read(step.file, format=step.labels["format"], rows=step.settings["prompt_length"])
    prompt = in_front(found, step.models[0])
    if vectors_digest(prompt) != step.inputs["prompt"]:
        raise PtxError(f"{step.file} changed while it was read", "run the command again")
    width, needed = prompt.shape[1], model.matrix.shape[1]
    if width != needed:
        why = f"{step.file} holds vectors of width {width}, the word embeddings of {model.name} have {needed}"
        hint = f"import it for its own model (`ptx import {step.file} --model OTHER`), then transfer it: "
        raise PtxError(why, f"{hint}`ptx search --prompt KEY --target {model.name}`")
    return found, prompt


def _far(ratio: float) -> bool:
    return not 1 / FAR <= ratio <= FAR


def doubts(artifact: Artifact) -> Iterator[str]:
    """What to know of an imported prompt: a scale far from that of the word embeddings, a place that others put it."""
    figures, labels = artifact.meta["metrics"], artifact.meta["labels"]
    if artifact.meta["stage"] != "tune" or labels.get("method") != IMPORTED:
        return
    ratio = figures["std"] / figures["model_std"]
    if _far(ratio):
        factor = figures.get("factor", 1)
        why = "is it for this model?"
        if factor != 1 and not _far(ratio / factor):
            why = (
                f"its embedding layer multiplies words by {factor:.6g}, and the vectors look as if they were already: "
                "then divide them by that and import them again"
            )
        times = f"{ratio:,.0f}" if ratio > 1 else f"{ratio:.2g}"
        yield (
            f"{labels['task']}: the prompt's standard deviation of {figures['std']:.3g} is {times} times that "
            f"of {labels['model']}'s word embeddings ({figures['model_std']:.3g}); {why}"
        )
    if figures.get("behind"):
        yield (
            f"{labels['task']}: ptx puts the prompt behind {' '.join(figures['behind'])}, the programs that write "
            "such files before it: expect another accuracy than theirs"
        )


COLUMNS = ("model", "task", "layout", "vectors", "width", "mean", "std", "model_mean", "model_std")
# An artifact of the stage `tune` like any other, so that later stages take it as such; only its making differs.
STAGE = dataclasses.replace(tune.STAGE, build=build, columns=COLUMNS, blame=None, strict=None)
