"""Results in the cache: evaluations, each with every setting that it depends on."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ptx.cache import Artifact, Store
from ptx.config.fields import left_out
from ptx.config.tune import TuneConfig
from ptx.lms.names import named_in, shown, written
from ptx.media import counted
from ptx.stages import todays
from ptx.stages.choice import BY_AGREEMENT, EXPECTS, SHARE, WRITTEN
from ptx.suites.asked import parted

# Settings that name a row (as weights do), are averaged over, or follow from the task are no reason for another table.
NOT_SETTINGS = {"seed", "task", "template", "text", "texts", "reads", "frame", "method", "weights", "split"}
TUNED = {name: value for name, value in left_out(TuneConfig).items() if value is not None}
LEFT_OUT = {"dtype": "float32", **TUNED}  # of keys, and of what is said of a table
LACKED = "none"
SUITES = ("suite", "tuned on")
OWN = {"words", "temperature"}  # of a search, whose default is each method's own: methods that differ in them compare
SAME = {
    "search.prompt_length": "tune.prompt_length", "portable.prompt_length": "tune.prompt_length",
    "eval.layout": "tune.layout", "search.layout": "tune.layout", "portable.layout": "tune.layout",
    "search.by": f"search.{WRITTEN['by']}", f"search.{EXPECTS}": f"search.{WRITTEN[EXPECTS]}",
}  # fmt: skip


@dataclass(frozen=True)
class Result:
    """One evaluation: what it is of (`labels`), its figures, and every setting that it depends on."""

    artifact: Artifact
    labels: Mapping[str, Any]
    metrics: Mapping[str, Any]
    settings: Mapping[str, Any]

    @property
    def method(self) -> str:
        """How a table calls it (see table.row_title)."""
        return "+".join(filter(None, [self.labels["method"], self.labels.get("how", "")]))

    @functools.cached_property
    def place(self) -> list[tuple[str, float | None]]:
        """The sources with their weights (None: equal ones), in an order that does not depend on how they were named;
        of prompts of one model, the first stays first."""
        names = self.labels["sources"]
        weights = self.labels.get("weights") or [None] * len(names)
        return sorted(zip(names, weights, strict=True), key=lambda pair: pair[0])


def evaluations(store: Store, *, split: str = "test", keys: Iterable[str] | None = None) -> list[Artifact]:
    """The verified evaluations in a store on one split: all of them, or those with these keys."""
    wanted = None if keys is None else set(keys)
    names = [folder.name for folder in store.entries("eval") if wanted is None or folder.name in wanted]
    found = [a for name in names if (a := store.read("eval", name)) and a.meta["labels"]["split"] == split]
    return of_today(found, "evaluation", store.warn)


def of_today(artifacts: Sequence[Artifact], what: str, warn: Callable[[str], None]) -> list[Artifact]:
    """Without those that another version of some stage had a part in: it would compute something else today."""
    kept = todays(artifacts)
    if others := len(artifacts) - len(kept):
        left = f"{counted(others, what)} by other versions of ptx {'is' if others == 1 else 'are'} left out"
        warn(f"{left}; `ptx cache gc` removes older ones")
    return kept


def result_of(artifact: Artifact) -> Result:
    labels = artifact.meta["labels"]
    # Classification answers among its label words instead of the shared ones.
    words = next((parent["key"] for parent in artifact.meta["parents"] if parent["stage"] == "anchors"), "labels")
    settings = {"suite": labels["suite"], "split": labels["split"], "words": words}
    if "tuned_on" in labels:  # another suite than the one scored
        settings["tuned on"] = labels["tuned_on"]
    for stage, config in artifact.meta["config"].items():
        warm = config.get("init") == "prompt"  # which has as many vectors as what it starts from
        for name, value in config.items():
            if name not in NOT_SETTINGS and not (warm and name == "prompt_length"):
                whole = f"{stage}.{config['method']} {name}" if stage == "search" and name in OWN else f"{stage}.{name}"
                settings[SAME.get(whole, whole)] = value
        if stage == "search" and BY_AGREEMENT & config.keys() and config["method"] != "distil":
            settings.setdefault(SAME["search.by"], SHARE)
            raised = len(labels["sources"]) > 1 and settings.pop("search.calibrated", None) is None  # by pairs of them
            settings.setdefault(SAME[f"search.{EXPECTS}"], "agreement, raised" if raised else "agreement")
        if "refine" in config:
            settings.setdefault("search.directions", "batch")  # as they were at first, without saying so
        if stage in ("tune", "portable", "eval"):
            settings.setdefault(f"{stage}.dtype", "float32")  # which keys leave out
        if "epochs" in config and stage.removeprefix("init.") == "tune":  # and no imported prompt
            if "lr_scale" in config:
                settings[f"{stage}.lr"] = f"{settings.pop(f'{stage}.lr_scale')} std"
            for name, value in TUNED.items():
                settings.setdefault(f"{stage}.{name}", value)
    return Result(artifact, labels, artifact.meta["metrics"], settings)


def for_people(results: Sequence[Result]) -> list[Result]:
    """Results that name models and suites shortly, and tell them apart; their artifacts have the full names."""
    names = named_in(result.labels for result in results)
    suites = _short_suites({of.settings[name] for of in results for name in SUITES if name in of.settings})
    return [
        replace(
            result,
            labels=written(result.labels, names),
            settings={name: suites[value] if name in SUITES else value for name, value in result.settings.items()},
        )
        for result in results
    ]


def _short_suites(names: Iterable[str]) -> dict[str, str]:
    """Of a path the last part, and with how it is read (suites/asked.py)."""
    places = {name: parted(name)[0] for name in names}
    short = shown(places.values())
    return {name: short[place] + name.removeprefix(place) for name, place in places.items()}
