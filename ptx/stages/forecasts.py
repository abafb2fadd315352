"""What is told of searches: the accuracy to expect (stages/expected.py), and that a prompt does not travel."""

from __future__ import annotations

import contextlib
import functools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ptx.cache import Artifact, Store
from ptx.engine.step import Step
from ptx.lms.catalogue import is_decoder
from ptx.lms.names import named_in, written
from ptx.media import percent
from ptx.stages import todays
from ptx.stages.methods import method_named

NOTHING = ("relative",)  # moves no prompt between decoders from whatever start; nearest words give back a text
LEAST = 0.2  # kappa below which a prompt is said not to travel, where no accuracy is known


def told(
    searches: Sequence[Artifact], alike: Callable[[Artifact], Sequence[Artifact]] = lambda artifact: ()
) -> Iterator[tuple[str, bool]]:
    """For each method, its sources and target what to expect in the mean, and for one pair of models task by task; then
    each doubt, marked by True. Of what another search began with nothing is told. `alike` are other searches with the
    same prompts, whatever the target."""
    groups: dict[tuple[str, str, str], list[Artifact]] = {}
    begun = {parent["key"] for of in searches for parent in of.meta["parents"]}
    searches = [of for of in searches if of.key not in begun]
    for artifact in searches:
        if "forecast" in artifact.meta["metrics"]:
            labels = _names_of(artifact)
            key = labels["method"], " and ".join(labels["sources"]), labels["target"]
            groups.setdefault(key, []).append(artifact)
    for (method, sources, target), found in groups.items():
        figures = [artifact.meta["metrics"] for artifact in found]
        tasks = [f"{a.meta['labels']['task']} {_shown(a.meta['metrics'])}" for a in found]
        mean = {name: math.fsum(of[name] for of in figures) / len(figures) for name in RANGE}
        said = [*(tasks if len(groups) == 1 else []), f"mean {_shown(mean)}"] if len(found) > 1 else tasks
        yield f"accuracy to expect of {method} from {sources} on {target}, without labels: {', '.join(said)}", False
    doubted = [(of, doubt) for of in searches if (doubt := _doubt(of))]
    yield from ((f"{doubt}; {_instead(of, alike(of))}", True) for of, doubt in doubted)


RANGE = ("forecast", "forecast_low", "forecast_high")


def _shown(figures: dict[str, Any]) -> str:
    middle, low, high = (percent(figures[name]) for name in RANGE)
    return f"{middle} % ({low} to {high})"


def _names_of(artifact: Artifact) -> dict[str, Any]:
    """Its labels, with models as they are written for people."""
    labels = artifact.meta["labels"]
    return written(labels, named_in([labels]))


def _doubt(artifact: Artifact) -> str:
    figures = artifact.meta["metrics"]
    if "agreement" not in figures or _travels(artifact):
        return ""
    labels = _names_of(artifact)
    what = f"the prompt for {labels['task']} does not travel to {labels['target']}: "
    what += f"it answers as its source on {figures['agreement']:.1%} of the inputs"
    if "forecast" not in figures:
        return f"{what} (kappa {figures['kappa']:.2f})"
    expected = f"{figures['forecast']:.1%} is to be expected, no more than always the same answer gives"
    return f"{what}; {expected} ({figures['majority_there']:.1%})"


def _travels(artifact: Artifact) -> bool:
    """Whether more is to be expected than always the same answer gives, or, where nothing is, it agrees enough."""
    figures = artifact.meta["metrics"]
    if "forecast" not in figures:
        return bool(figures["kappa"] >= LEAST)
    return bool(figures["forecast"] > figures.get("majority_there", 1.0))


def _answers(artifact: Artifact) -> set[str]:
    """What it was held against: the sources' answers to certain inputs, by key."""
    return {parent["key"] for parent in artifact.meta["parents"] if parent["stage"] == "answers"}


def _instead(artifact: Artifact, alike: Sequence[Artifact]) -> str:
    """What would do better, as far as it is known: a text here, and of other models the nearest one."""
    labels, figures = artifact.meta["labels"], artifact.meta["metrics"]
    here = [of for of in alike if of.meta["inputs"]["target"] == artifact.meta["inputs"]["target"]]
    compared = [of.meta["metrics"].get("kappas", {}) for of in here if _answers(of) == _answers(artifact)]
    texts = [(of["text"], "a text (--method text)") for of in compared if "text" in of]
    if "text_kappa" in figures:
        texts.append((figures["text_kappa"], f"the text {figures['text']!r} (--method residual --length 0)"))
    better = []
    if texts and (best := max(texts))[0] > figures["kappa"]:
        better.append(f"{best[1]} would do better, with a kappa of {best[0]:.2f} instead of {figures['kappa']:.2f}")
    if there := [of for of in alike if of not in here and "forecast" in of.meta["metrics"] and _travels(of)]:
        nearest = max(there, key=lambda of: (of.meta["metrics"]["forecast"], of.key))
        expected = f"{nearest.meta['metrics']['forecast']:.1%} is to be expected"
        shown = f"{_names_of(nearest)['target']}, where {expected}"
        better.append(f"the nearest model that it travels to is {shown}")
    if better:
        return "; ".join(better)
    if labels["method"] not in ("auto", "distil"):
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
            if noise or method.name in NOTHING:
                named[method.name] = named.get(method.name, False) or noise
    if not named:
        return ""
    names = " and ".join(named)
    text = f"between decoders, whole prompts ({names}) moved nothing when it was measured (docs/transfer.md); "
    start = ", with prompts tuned from a text (--init text)" if any(named.values()) else ""
    return f"{text}try --method auto{start}"


def same_prompts(store: Store) -> Callable[[Artifact], list[Artifact]]:
    """Of a search by agreement the others that the store has of the same sources' prompts, whatever their target. What
    is there is looked at once, when this is asked for the first time."""

    @functools.cache
    def prompt(answers: str) -> str | None:
        found = store.read("answers", answers)
        return None if found is None else str(found.meta["parents"][0]["key"])

    def place(meta: Mapping[str, Any]) -> tuple[str, str, frozenset[str | None]]:
        """The suite, the task, and the prompts whose answers a search agreed with."""
        keys = [parent["key"] for parent in meta["parents"] if parent["stage"] == "answers"]
        return meta["labels"]["suite"], meta["labels"]["task"], frozenset(map(prompt, keys)) - {None}

    @functools.cache
    def searches() -> dict[Any, list[str]]:
        found: dict[Any, list[str]] = {}
        for folder in store.entries("search"):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # unverified, to see which are of use
                content = (folder / "meta.json").read_bytes()
                if b'"agreement"' not in content:  # as in nearly all
                    continue
                meta = json.loads(content)
                if "agreement" in meta["metrics"]:
                    found.setdefault(place(meta), []).append(folder.name)
        return found

    def others(search: Artifact) -> list[Artifact]:
        own = place(search.meta)
        keys = [key for key in searches().get(own, ()) if own[-1] and key != search.key]
        found = [artifact for key in keys if (artifact := store.read("search", key)) is not None]
        return todays(found)

    return others
