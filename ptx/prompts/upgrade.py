"""`ptx upgrade`: a prompt follows its model. Whose prompt it is, what is asked of the search for its successor, and
what became of it; the search itself is that of any prompt (given.searches)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptx import formats
from ptx.cache import Artifact, Store
from ptx.config.search import DRAWN_INPUTS, TRAIN_INPUTS, SearchConfig
from ptx.engine.build import Built, Reporter
from ptx.engine.step import Step
from ptx.errors import PtxError, UsageError
from ptx.formats import card
from ptx.lms.families import check_readable, kind_of, read_config
from ptx.lms.models import Model, resolve
from ptx.lms.names import short
from ptx.media import counted, percent
from ptx.prompts import brought, given, imported
from ptx.prompts.export import export_prompt
from ptx.prompts.record import record_of
from ptx.stages.methods import METHODS, method_named
from ptx.stages.table import stored_step
from ptx.stages.tune import FILE
from ptx.suites import NONE, Task, load_suite

FROM = "name the model, or a copy of it, with --from"  # of a quantized one, a copy that is not


@dataclass(frozen=True)
class Upgrade:
    """What became of an upgrade: a row for people and programs (empty unless something was written), what was built,
    and why its prompt is not good enough, if it is not."""

    built: Built
    row: Mapping[str, Any]
    doubt: PtxError | None = None


def source(named: str, store: Store, tell: Reporter, *, base: str, suite: str, task: str) -> Step:
    """The prompt to upgrade: an adapter, a prompt file or its card, or a key. `base` is what `--from` says, `suite` and
    `task` are what the user says of it.

    Raises PtxError for a model that is not to be had or not the prompt's, and for what holds no vectors.
    """
    found = given.find(_behind_card(named), store)
    if isinstance(found, Artifact):
        return _of_artifact(found, base, suite, task)
    read = formats.read(found)
    if read.words is not None:
        what = f"{found} holds words, which any model reads as they are"
        raise PtxError(what, f"it needs no upgrade: `ptx import {found} --model NAME`")
    if not (base or read.model):
        raise UsageError(f"{found} does not say which model it is for", FROM)
    if not (suite or task or read.about):
        suite = NONE
    try:
        model = base or brought.model_in(read, store)
        _model(model, named, base)
        if base and read.record is None:  # whoever names the model has said that it is the adapter's
            read = dataclasses.replace(read, base=None)
        said = imported.origin(read, model=model, suite=suite, task=task)
    except PtxError as error:
        raise type(error)(error.message, error.hint.replace("--model", "--from")) from None
    brought.say_read(read, said.layout, said.model, tell)
    return imported.import_step(read, said)


def _behind_card(named: str) -> str:
    """The prompt of a card that the user named."""
    path = Path(named)
    if path.suffix != ".md" or not path.is_file():
        return named
    return str(path.parent if path.name == card.FOLDER_CARD else path.with_suffix(""))


def _model(name: str, named: str, base: str) -> Model:
    try:
        model = resolve(name)
        check_readable(model)
        return model
    except PtxError as error:
        if base:
            raise
        raise PtxError(f"the model of {named} is not to be had: {error.message}", f"{FROM}; {error.hint}") from None


def target(name: str) -> Model:
    """The model to upgrade to. Raises PtxError if it is not to be had, before anything is asked of the source."""
    model = resolve(name)
    check_readable(model)
    return model


def _of_artifact(artifact: Artifact, base: str, suite: str, task: str) -> Step:
    """A tuned prompt as it is; one that was found for a model as if it had been imported for it."""
    labels, key = artifact.meta["labels"], artifact.key[:12]
    if task not in ("", labels["task"]):
        raise UsageError(f"prompt {key} is for the task {labels['task']}, not for {task}", "leave --task out")
    model = _model(base or given.made_for(artifact)[0], f"prompt {key}", base)
    given.check_fits(artifact, model, FROM)
    (chosen,) = load_suite(suite or labels["suite"]).choose([labels["task"]])
    suite = suite or labels["suite"]
    if artifact.meta["stage"] == "tune":
        own = {**labels, "model": model.name, "suite": suite}
        return dataclasses.replace(stored_step(artifact), labels=own, models=(model,), task=chosen)
    layout: Any = given.layout_of(artifact) or "postfix"
    return imported.import_step(formats.read(artifact.path / FILE), imported.Origin(model, suite, chosen, layout))


def asked(search: SearchConfig, task: Task, tell: Reporter) -> SearchConfig:
    """The settings of the search: by default the inputs that there are, and all candidates of `auto` that these allow,
    first of them the prompt as it is, which is right wherever the word embeddings stayed. The new model is to answer as
    the old one did, so what it says to a text is not trusted."""
    inputs, candidates = search.inputs, search.candidates
    if not inputs:
        inputs = TRAIN_INPUTS if task.splits["train"] else DRAWN_INPUTS
        if inputs == DRAWN_INPUTS:
            tell.message("inputs: random shared words, as no subjects are known; --inputs FILE with subjects is better")
    if not candidates:
        names = [name for name in dict.fromkeys(["direct", *METHODS]) if method_named(name).variants]
        candidates = ",".join(name for name in names if name != "text" or task.splits["train"])
    refine = search.refining  # before candidates are named
    return dataclasses.replace(search, inputs=inputs, candidates=candidates, trust=0.0, refine=refine)


def format_for(target: Model, layout: str) -> str:
    """What is written by default: a PEFT adapter, where PEFT can express the prompt."""
    causal = kind_of(target.name, read_config(target)) == "causal"
    return "peft" if causal and layout == "prefix" else "safetensors"


def file_for(named: str, target: Model, to: str) -> Path:
    """Where it is written by default: in the working directory, by the names of prompt and target."""
    stem = Path(named).name if Path(named).exists() else named[:12]
    model = target.name.rstrip("/").split("/")[-1].replace(":", "-")
    return Path(f"{stem}-for-{model}{'' if to == 'peft' else f'.{to}'}")


def finished(
    built: Built, artifact: Artifact, store: Store, tell: Reporter,
    *, to: str, output: Path, check: float | None, anyway: bool, force: bool,
) -> Upgrade:  # fmt: skip
    """Say what to expect, and write the prompt unless that is below the bound `check`; `anyway` writes it even so."""
    record, labels = record_of(artifact, store), artifact.meta["labels"]
    choice = record.choice
    what = f"the prompt for {record.task} on {short(record.model)}"
    if "forecast" in choice:
        value, name = choice["forecast"], "accuracy to expect"
        shown = f"{percent(value)} % ({percent(choice['forecast_low'])} to {percent(choice['forecast_high'])})"
    else:
        value, name = choice["agreement"], "agreement"
        name += " before the gradient steps" if record.method == "distil" else ""
        shown = f"{percent(value)} % on {counted(choice['inputs'], 'input')} (its source's accuracy is not known)"
    tell.message(f"{what}: by {choice['chosen']}, {name} {shown}")
    doubt = None
    if check is not None and value < check:
        hint = f"tune anew with `ptx tune --model {record.model}`, or write it all the same with --anyway"
        if record.method != "distil":
            hint = f"try --gradients, {hint}"
        doubt = PtxError(f"{what} has an {name} of {shown}, below --check {check:g}", hint)
        if not anyway:
            return Upgrade(built, {}, doubt)
    export_prompt(artifact, store, to, output, force=force, dry_run=False)
    row: dict[str, Any] = {"path": str(output.absolute()), "card": str(card.beside(output).absolute()), "format": to}
    row |= {"source": "+".join(labels["sources"]), "target": record.model, "method": record.method}
    row |= {"task": record.task, **choice}
    row |= {name: of[name] for of in record.evaluations if of["split"] == "test" for name in ("accuracy", "facts")}
    return Upgrade(built, {"stage": artifact.meta["stage"], "key": artifact.key, **row}, doubt)
