"""What is told of searches: the accuracy to expect of those that were chosen by agreement, and that a prompt does not
travel."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from ptx.cache import Artifact
from ptx.engine.step import Step
from ptx.lms.catalogue import is_decoder
from ptx.stages.methods import method_named

LEAST = 0.2  # agreement below which a prompt is said not to travel, where no accuracy is known


def told(searches: Sequence[Artifact]) -> Iterator[tuple[str, bool]]:
    """For each method, its sources and target what to expect in the mean, and for one pair of models task by task; then
    each doubt, marked by True."""
    groups: dict[tuple[str, str, str], list[Artifact]] = {}
    for artifact in searches:
        if "forecast" in artifact.meta["metrics"]:
            labels = artifact.meta["labels"]
            key = labels["method"], " and ".join(labels["sources"]), labels["target"]
            groups.setdefault(key, []).append(artifact)
    for (method, sources, target), found in groups.items():
        figures = [artifact.meta["metrics"] for artifact in found]
        tasks = [f"{a.meta['labels']['task']} {_shown(a.meta['metrics'])}" for a in found]
        mean = {name: math.fsum(of[name] for of in figures) / len(figures) for name in RANGE}
        said = [*(tasks if len(groups) == 1 else []), f"mean {_shown(mean)}"] if len(found) > 1 else tasks
        yield f"accuracy to expect of {method} from {sources} on {target}, by agreement: {', '.join(said)}", False
    yield from ((doubt, True) for artifact in searches if (doubt := _doubt(artifact)))


RANGE = ("forecast", "forecast_low", "forecast_high")


def _shown(figures: dict[str, Any]) -> str:
    middle, low, high = (f"{figures[name]:.2f}" for name in RANGE)
    return f"{middle} ({low} to {high})"


def _doubt(artifact: Artifact) -> str:
    labels, figures = artifact.meta["labels"], artifact.meta["metrics"]
    if "agreement" not in figures:
        return ""
    what = f"the prompt for {labels['task']} does not travel to {labels['target']}: "
    what += f"it answers as its source on {figures['agreement']:.1%} of the inputs"
    if "forecast" not in figures:
        return f"{what}; {_instead(labels)}" if figures["agreement"] < LEAST else ""
    if figures["forecast"] > figures["majority_there"]:
        return ""
    expected = f"{figures['forecast']:.1%} is to be expected, no more than always the same answer gives"
    return f"{what}; {expected} ({figures['majority_there']:.1%}); {_instead(labels)}"


def _instead(labels: dict[str, Any]) -> str:
    if labels["method"] != "auto":
        return "try --method auto, which compares it with a text and with other ways"
    return "tune from a text (--init text), give --texts, or choose a nearer model"


def between_decoders(searches: Sequence[Step]) -> str:
    """What to say of searches that move whole prompts from one decoder to another; nothing if there are none."""
    named: dict[str, bool] = {}
    for step in searches:
        method = method_named(step.labels["method"])
        if step.stored is not None or method.from_text or not {"prompts", "encodings"} & {*method.needs}:
            continue
        models = [model for parent in step.parents for model in parent.models if parent.stage.name != "anchors"]
        target = step.models[0]
        if is_decoder(target) and any(is_decoder(of) and of.digest != target.digest for of in models):
            noise = any(parent.config.get("tune", {}).get("init") == "random" for parent in step.parents)
            named[method.name] = named.get(method.name, False) or noise
    if not named:
        return ""
    names = " and ".join(named)
    text = f"between decoders, whole prompts ({names}) moved nothing when it was measured (docs/transfer.md); "
    start = ", with prompts tuned from a text (--init text)" if any(named.values()) else ""
    return f"{text}try --method auto{start}"
