"""The command that makes a number again, from the settings that its evaluations were keyed by."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

from ptx.cache import Artifact, Store
from ptx.config import CONFIGS
from ptx.config.dtypes import FLOAT32
from ptx.config.fields import left_out
from ptx.lms.known import anchor_models
from ptx.results.collect import Result

GIVEN = ("anchors", "eval")  # stages whose options are written otherwise
# What a choice was made among, and what it was made with, may be files: the finished prompts are scored again.
CHOSEN = ("auto", "distil", "portable", "imported")


def again(results: Sequence[Result], store: Store, words: Sequence[str] = (), spell: Callable[[str], str] = str) -> str:
    """One line of a shell for all tasks and seeds of a transfer; with `words`, options for other ones than its own.
    Empty if there is none. `spell` writes the name of a model."""
    first = results[0]
    labels, config = first.artifact.meta["labels"], first.artifact.meta["config"]
    tasks = list(dict.fromkeys(result.labels["task"] for result in results))
    parts = ["ptx", "eval", "--target", spell(labels["target"])]
    if labels["method"] == "ensemble":
        return ""
    chosen = labels["method"] in CHOSEN or "how" in labels or _has_texts(config)
    if chosen or any(stage.startswith("init.") for stage in config):
        parents = [parent for r in results for parent in r.artifact.meta["parents"]]
        keys = [of["key"][:12] for of in parents if of["stage"] in ("tune", "portable", "search")]
        other = ["--suite", labels["suite"]] if "tuned_on" in labels else []
        answers = next((store.read(of["stage"], of["key"]) for of in parents if of["stage"] == "anchors"), None)
        among = words or _named(answers, labels)
        return shlex.join([*parts, "--prompt", ",".join(keys), *other, *_split(labels), *among])
    if labels["sources"]:
        parts += ["--sources", ",".join(map(spell, labels["sources"]))]
    parts += ["--method", labels["method"], "--suite", labels.get("tuned_on", labels["suite"])]
    parts += ["--tasks", ",".join(tasks), *(["--on", labels["suite"]] if "tuned_on" in labels else []), *_split(labels)]
    for stage, kind in CONFIGS.items():
        if stage not in GIVEN and (own := _asked(stage, config)):
            parts += options({**left_out(kind), **as_named(own, labels)}, kind)
    parts += words or _named(_anchors(first.artifact, store), labels)
    types = {
        what: config.get(stage, {}).get("dtype", FLOAT32) for what, stage in (("source", "tune"), ("target", "eval"))
    }
    if {*types.values()} != {FLOAT32}:
        parts += ["--dtype", ",".join(f"{what}={kind}" for what, kind in types.items() if kind != FLOAT32)]
    seeds = sorted({result.labels.get("seed", 0) for result in results})
    if len(seeds) > 1:
        parts += ["--seeds", ",".join(map(str, seeds))]
    elif seeds[0]:
        parts += ["--seed", str(seeds[0])]
    return shlex.join(parts)


def _has_texts(config: Mapping[str, Any]) -> bool:
    """Whether some of its texts may be the lines of `--texts`: all but those that its own tuning started from."""
    from_start = str(config.get("tune", {}).get("init", "")).startswith("text")
    return "texts" in config or ("texts" in config.get("search", {}) and not from_start)


def _asked(stage: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the options of a stage were, of which a method that encodes by itself has the search keep some."""
    searched = config.get("search", {})
    if stage == "encode" and stage not in config:
        return {"top_k": searched["top_k"]} if "top_k" in searched else {}
    own = config.get(stage, {})
    return {name: value for name, value in own.items() if (name, value) != ("map", "none")}  # of the text alone


def as_named(own: Mapping[str, Any], labels: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with weights in the order in which the sources are named; in keys it is that of the prompts' keys."""
    return {**own, **{name: labels[name] for name in {"weights"} & own.keys() & labels.keys()}}


def _split(labels: Mapping[str, Any]) -> list[str]:
    return ["--split", labels["split"]] if labels["split"] != "test" else []


def _named(anchors: Artifact | None, labels: Mapping[str, Any]) -> list[str]:
    """Nothing for those that the command takes by itself."""
    if anchors is None:
        return []
    if anchors.meta["labels"].get("models") == anchor_models([*labels["sources"], labels["target"]])[0]:
        return [*options(anchors.meta["config"]["anchors"], CONFIGS["anchors"])]
    return ["--anchors", anchors.key[:12]]


def options(settings: Mapping[str, Any], kind: Any) -> Iterator[str]:
    """Those that are not at their defaults today; of a file only its lines are known, so its option is not named."""
    for own in fields(kind):
        value = settings.get(own.name)
        if isinstance(value, list) and any(isinstance(part, str) for part in value):
            continue
        if isinstance(value, list):  # weights, of which equal ones are the default
            value = ",".join(f"{w:g}" for w in value) if len({*value}) > 1 else None
        if value is None or value == "" or _same(value, own.default):
            continue
        flag = own.name.replace("_", "-")
        if isinstance(value, bool):
            yield f"--{'' if value else 'no-'}{flag}"
        else:
            yield from (f"--{flag}", str(value))


def _same(value: Any, default: Any) -> bool:
    try:
        return float(value) == float(default)
    except (TypeError, ValueError):
        return str(value) == str(default)


def _anchors(artifact: Artifact, store: Store) -> Artifact | None:
    """Those of the search, else of the evaluation; None where the cache has them no more."""
    for stage in ("search", "encode", "anchors"):
        for parent in artifact.meta["parents"]:
            if parent["stage"] == stage and (above := store.read(stage, parent["key"])) is not None:
                return above if stage == "anchors" else _anchors(above, store)
    return None
