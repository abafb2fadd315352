"""Where a prompt of the cache comes from: what its artifact, its ancestors and its evaluations say, for its card."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import Any

from ptx import __version__, formats
from ptx.cache import Artifact, Store
from ptx.errors import PtxError
from ptx.formats import words
from ptx.formats.card import Choice, Record
from ptx.lms.models import Model, hub_commit, resolve
from ptx.lms.names import public
from ptx.lms.template import LAYOUTS
from ptx.prompts.given import check_fits, layout_of, made_for, task_of
from ptx.prompts.imported import vectors_digest
from ptx.stages import portable
from ptx.stages.tune import FILE
from ptx.transfer.forecast import Seen, forecast

# What the card of an imported prompt said about its making stays true.
INHERITED = (
    "method", "train_facts", "seed", "dev_accuracy", "majority", "matching_loss", "evaluations", "sources", "choice",
    "settings",
)  # fmt: skip


def model_of(artifact: Artifact) -> Model:
    """The model that a prompt is for. Raises PtxError if its files are not those any more that it was made for."""
    model = resolve(made_for(artifact)[0])
    check_fits(artifact, model, "make the prompt again with the model as it is now")
    return model


def record_of(artifact: Artifact, store: Store) -> Record:
    """Everything a card says about a tuned, found or imported prompt. Reads the evaluations in the store."""
    meta, labels = artifact.meta, artifact.meta["labels"]
    model = model_of(artifact)
    prompt = formats.read_prompt(artifact.path / FILE)
    layout: Any = layout_of(artifact) or "postfix"
    ancestors = [artifact] if meta["stage"] == "tune" else _tuned_ancestors(artifact, store)
    tuned = [*{found.key: found for found in ancestors}.values()]  # a choice has them through each of its candidates
    made: dict[str, Any] = {
        "input": LAYOUTS[layout],
        "method": labels.get("method", "tuned"),
        "train_facts": tuned[0].meta["metrics"].get("facts") if tuned else None,
        "seed": labels.get("seed"),
        "dev_accuracy": meta["metrics"].get("dev_accuracy"),
        "majority": meta["metrics"].get("majority"),
        "matching_loss": meta["metrics"].get("matching_loss"),
        "evaluations": _evaluations(artifact, store),
        "sources": [] if tuned == [artifact] else [named for source in tuned for named in _sources(source)],
        "choice": choice_of(artifact, tuned, store),
        "settings": meta["config"],
    }
    origin = meta["metrics"].get("origin", {})
    made |= {name: origin[name] for name in INHERITED if name in origin and not (name == "evaluations" and made[name])}
    with contextlib.suppress(PtxError):  # the user's suite is gone: the card says less
        task = task_of(artifact)
        made["input"] = task.asked_as(LAYOUTS[layout])
        made |= {"task_label": task.label, "template": task.template, "label_words": list(task.labels)}
    return Record(
        version=__version__, key=artifact.key, suite=labels["suite"], task=labels["task"],
        model=model.name, model_digest=model.digest, tokenizer_digest=model.tokenizer, commit=hub_commit(model)[1],
        vectors=len(prompt), width=prompt.shape[1], sha256=vectors_digest(prompt),
        layout=layout,
        records_digest=tuned[0].meta["inputs"]["facts"] if tuned else None,
        **made,
    )  # fmt: skip


def for_others(record: Record, hub: str | None) -> Record:
    """With models by names that say something elsewhere, of paths their last part; `hub` is the id of one that lies in
    the hub's cache."""
    names = public([record.model, *(source["model"] for source in record.sources)])
    model, local = names[record.model], names[record.model] != record.model
    if local and hub:
        model, local = f"{hub}@{record.commit}", False
    sources = [{**source, "model": names[source["model"]]} for source in record.sources]
    return replace(record, model=model, local=local or None, sources=sources)


def choice_of(artifact: Artifact, tuned: Sequence[Artifact], store: Store) -> dict[str, Any]:
    """Which candidate was chosen by agreement (of a distilled prompt, to begin with), and the accuracy to expect of the
    prompt: as its search told it, else from what the card of the one source says of its accuracy. Empty if none was
    chosen."""
    parents = [store.read(parent["stage"], parent["key"]) for parent in artifact.meta["parents"]]
    every = [of.meta["metrics"] for of in (artifact, *parents) if of is not None and of.meta["stage"] == "search"]
    figures: dict[str, Any] = next((of for of in every if "chosen" in of), {})
    last = every[0] if figures and "confidence" in every[0] else figures
    found = {name: figures[name] for name in (field.name for field in fields(Choice)) if name in figures}
    origins = [source.meta["metrics"].get("origin", {}) for source in tuned]
    if "forecast" in last:
        found |= {name: last[name] for name in ("forecast", "forecast_low", "forecast_high")}
    elif "confidence" in last and len(origins) == 1 and "dev_accuracy" in origins[0]:
        with contextlib.suppress(PtxError):  # as above
            facts = len(task_of(artifact).splits["dev"])
            seen = Seen(*(last[field.name] for field in fields(Seen)))
            told = forecast(seen, origins[0]["dev_accuracy"], origins[0].get("majority", 0.0), facts)
            found |= {"forecast": told.accuracy, "forecast_low": told.low, "forecast_high": told.high}
    return found


def _tuned_ancestors(artifact: Artifact, store: Store) -> Iterator[Artifact]:
    for parent in artifact.meta["parents"]:
        found = store.read(parent["stage"], parent["key"])
        if found is not None and found.meta["stage"] in ("tune", portable.STAGE.name):
            yield found
        elif found is not None:
            yield from _tuned_ancestors(found, store)


def _sources(tuned: Artifact) -> list[dict[str, Any]]:
    """The model that a prompt was tuned on; of a portable one, all of them."""
    meta = tuned.meta
    if meta["stage"] == portable.STAGE.name:
        of: list[dict[str, Any]] = words.read(tuned.path / portable.FILE).origin()["sources"]
        return [{**source, "key": tuned.key} for source in of]
    dev = {name: value for name, value in meta["metrics"].items() if name == "dev_accuracy"}
    return [{"model": meta["labels"]["model"], "model_digest": meta["inputs"]["model"], "key": tuned.key, **dev}]


def _evaluations(artifact: Artifact, store: Store) -> list[dict[str, Any]]:
    """The prompt's evaluations in the store, verified; unverified ones are only looked at for their parents."""
    found = []
    for folder in store.entries("eval"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            parents = {parent["key"] for parent in json.loads((folder / "meta.json").read_bytes())["parents"]}
            evaluation = store.read("eval", folder.name) if artifact.key in parents else None
            if evaluation is not None:
                figures = {name: evaluation.meta["metrics"][name] for name in ("accuracy", "facts", "dropped", "floor")}
                found.append({"split": evaluation.meta["labels"]["split"], **figures, "key": evaluation.key})
    return found
