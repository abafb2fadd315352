"""Results in the cache, and which of them may stand in one table: those that no setting tells apart."""

import contextlib
import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ptx.cache import Artifact, Store, versions_of
from ptx.cache.store import unverified
from ptx.config.fields import left_out
from ptx.config.tune import TuneConfig
from ptx.lms.names import named_in, shown, written
from ptx.media import counted
from ptx.stages import versions
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
}  # fmt: skip


@dataclass(frozen=True)
class Result:
    """One evaluation: what it is of (`labels`), its figures, and every setting that it depends on."""

    artifact: Artifact
    labels: Mapping[str, Any]
    metrics: Mapping[str, Any]
    settings: Mapping[str, Any]

    @functools.cached_property
    def place(self) -> list[tuple[str, float | None]]:
        """The sources with their weights (None: equal ones), in an order that does not depend on how they were named;
        of prompts of one model, the first stays first."""
        names = self.labels["sources"]
        weights = self.labels.get("weights") or [None] * len(names)
        return sorted(zip(names, weights, strict=True), key=lambda pair: pair[0])


def collect(store: Store, *, split: str = "test", keys: Iterable[str] | None = None) -> list[Result]:
    """The verified evaluations in a store on one split: all of them, or those with these keys."""
    wanted = None if keys is None else set(keys)
    names = [folder.name for folder in store.entries("eval") if wanted is None or folder.name in wanted]
    found = [a for name in names if (a := store.read("eval", name)) and a.meta["labels"]["split"] == split]
    return [result_of(artifact) for artifact in of_today(found, "evaluation", store.warn)]


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


def todays(artifacts: Sequence[Artifact]) -> list[Artifact]:
    """Those in which no other version of some stage had a part."""
    today = versions()
    return [a for a in artifacts if all(today.get(n) == version for n, version in versions_of(a.meta).items())]


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
        for name, value in config.items():
            if name not in NOT_SETTINGS:
                whole = f"{stage}.{config['method']} {name}" if stage == "search" and name in OWN else f"{stage}.{name}"
                settings[SAME.get(whole, whole)] = value
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


def apart(results: Sequence[Result], warn: Callable[[str], None]) -> list[Result]:
    """Of results that say the same of the same names, but are of other content, each with a number of its own as a
    setting that keeps them in tables of their own: by how the artifacts behind them were made (what `auto` chose among
    has settings that are not its own), which is the same for every task, then by date (another file of texts, inputs or
    vectors was read)."""
    alike: dict[str, dict[str, Result]] = {}  # by artifact: sources may have been named in two orders
    for result in _filled(results):
        labels = {name: value for name, value in result.labels.items() if name not in ("sources", "weights")}
        identity = json.dumps([labels, result.place, result.settings], sort_keys=True)
        alike.setdefault(identity, {}).setdefault(result.artifact.key, result)
    if count := sum(len(of) for of in alike.values() if len(of) > 1):
        what = "results have the same names and settings and differ in a file that was read"
        warn(f"{count} {what}: they are shown apart")
    found: list[Result] = []
    for of in alike.values():
        if len(of) == 1:
            found += of.values()
            continue
        ordered = sorted(of.values(), key=_made)
        found += [replace(r, settings={**r.settings, "version": n}) for n, r in enumerate(ordered, start=1)]
    return found


def _filled(results: Sequence[Result]) -> list[Result]:
    """Results of which none lacks a setting that others of its method have: made before there was that setting, or
    without it, it is another result, and no table may have the mean of both."""

    def method(of: Result) -> tuple[str, str]:
        return of.labels["method"], of.labels.get("how", "")

    names: dict[tuple[str, str], dict[str, None]] = {}
    for result in results:
        names.setdefault(method(result), {}).update(dict.fromkeys(result.settings))
    lacked = [dict.fromkeys(names[method(result)].keys() - result.settings.keys(), LACKED) for result in results]
    return [
        replace(result, settings={**result.settings, **of}) if of else result
        for result, of in zip(results, lacked, strict=True)
    ]


def _made(result: Result) -> tuple[list[str], str, str]:
    return _behind(result.artifact.path), result.artifact.meta["created"], result.artifact.key


def _behind(folder: Path) -> list[str]:
    """The settings of an artifact and of all that it was made of, without those of its task. Unverified: they only
    order what has been verified. Nothing of what is gone."""
    if (meta := unverified(folder)) is None:
        return []
    config = {n: v for n, v in meta["config"].get(meta["stage"], {}).items() if n not in NOT_SETTINGS}
    above = [line for of in meta["parents"] for line in _behind(folder.parents[1] / of["stage"] / of["key"])]
    return sorted({json.dumps([meta["stage"], config], sort_keys=True), *above})


def comparable(results: Sequence[Result]) -> list[tuple[Mapping[str, Any], list[Result]]]:
    """Results by their settings. One that lacks a setting (manual prompts have no learning rate) is with all that it
    does not contradict."""
    named = [json.dumps(result.settings, sort_keys=True) for result in results]
    distinct: list[Mapping[str, Any]] = []
    done: set[str] = set()  # settings that would change nothing if they came again, as those of every task do
    order = sorted(zip(results, named, strict=True), key=lambda of: (-len(of[0].settings), of[0].artifact.key))
    for own, name in ((result.settings, name) for result, name in order):
        if name in done:
            continue
        if not any(agree(own, other) for other in distinct):
            more = [*distinct, own]
        else:
            more = [{**other, **own} if agree(own, other) else other for other in distinct]
        done = (done if more == distinct else set()) | {name}
        distinct = more
    unique = list({json.dumps(settings, sort_keys=True): settings for settings in distinct}.values())
    by_name = {name: result.settings for result, name in zip(results, named, strict=True)}
    agreeing = [{name for name, own in by_name.items() if agree(own, settings)} for settings in unique]
    return [
        (settings, [result for result, name in zip(results, named, strict=True) if name in names])
        for settings, names in zip(unique, agreeing, strict=True)
    ]


def agree(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    return all(b[name] == value for name, value in a.items() if name in b)
