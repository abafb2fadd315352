"""Of several ways to a prompt the one by which the target answers most like the sources: `--method auto`, which goes on
from it by forward passes, and `--select agree` among the variants of one method. Each candidate is a search of its own,
kept and reused as any, and so is the choice.

`--forecast` asks the same of a single candidate.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ptx.config import EncodeConfig
from ptx.config.dtypes import FLOAT32
from ptx.config.lists import listed
from ptx.config.search import SearchConfig
from ptx.engine.step import Step
from ptx.errors import PtxError, UsageError
from ptx.lms.frames import framed
from ptx.lms.models import Model
from ptx.stages.aims import distil_step, refined_step, weighted_answers
from ptx.stages.anchors import shared_words
from ptx.stages.methods import METHODS, method_named
from ptx.stages.search import STAGE, labels_of, search_step, source_weights, sources_of
from ptx.stages.settings import Settings
from ptx.suites import Task

OWN = ("select", "weights", "texts", "inputs", "candidates", "forecast")  # of the whole choice, not of a candidate
BY, SHARE = "kappa", "share"  # what agreement is measured by, in keys; and was once, which keys left out
EXPECTS, BOTH = "expects", "agreement and confidence"  # what forecasts are told by, which keys once left out
WRITTEN = {"by": "chosen by", EXPECTS: "expected by"}  # settings whose names in keys say little
BY_AGREEMENT = {"candidates", "agree", "forecast"}  # of which each such search has one
Variant = tuple[str, Mapping[str, Any]]  # a method, and settings that differ from those asked for


def prompt_step(name: str, tuned: Sequence[Step], target: Model, task: Task, anchors: Step, settings: Settings) -> Step:
    """The target's prompt for one task, by a method (see search_step) or by a choice among candidates."""
    search = settings.search
    if search.candidates and name not in ("auto", "distil"):
        raise UsageError("--candidates are what --method auto chooses among", "add --method auto, or leave it out")
    if name == "distil":
        return _distilled(tuned, target, task, anchors, settings)
    if name != "auto" and search.select != "agree" and not search.forecast:
        return search_step(name, tuned, target, task, anchors, settings)
    if not tuned:
        hint = "leave out --select and --forecast, or choose another --method"
        raise UsageError(f"--method {name} has no source whose answers could be agreed with", hint)
    how = "" if name == "auto" else "agree" if search.select == "agree" else "forecast"
    select: Any = search.select if how == "forecast" else "none"  # what chooses by agreement sees no labels
    plain = dataclasses.replace(search, select=select, candidates="", forecast=False)
    if name == "auto":  # whose candidates have settings of their own
        plain = dataclasses.replace(SearchConfig(), weights=search.weights, texts=search.texts, inputs=search.inputs)
    plainly = dataclasses.replace(settings, search=plain)
    found = dict(_searches(_asked(name, how, search), tuned, target, task, anchors, plainly))
    chosen = _choice(name, how, found, tuned, target, task, shared_words(anchors), settings)
    if name == "auto" and search.refining:
        return refined_step(chosen, tuned, target, task, anchors, settings)
    return chosen


def _distilled(tuned: Sequence[Step], target: Model, task: Task, anchors: Step, settings: Settings) -> Step:
    """From what `auto` chooses."""
    choice = dataclasses.replace(settings, search=dataclasses.replace(settings.search, refine=0))
    start = prompt_step("auto", tuned, target, task, anchors, choice)
    return distil_step(start, tuned, target, task, anchors, settings)


def _choice(
    name: str, how: str, found: Mapping[str, Step], tuned: Sequence[Step], target: Model, task: Task, words: Step,
    settings: Settings,
) -> Step:  # fmt: skip
    labels = labels_of(name, sources_of(tuned), target, task, settings)
    labels |= {"candidates": list(found)} | ({"how": how} if how else {})
    weights = source_weights(settings.search.weights, len(labels["sources"]))
    if len(set(weights)) > 1:
        labels["weights"] = weights
    answers, ordered = weighted_answers(tuned, task, words, settings)
    own: dict[str, Any] = {"method": name, "layout": settings.tune.layout, "weights": ordered}
    own |= {"by": BY, EXPECTS: BOTH, **({how: True} if how else {"candidates": settings.search.candidates or "all"})}
    own |= {**settings.computed(target, "target"), **framed(target)}
    parents = (*found.values(), *answers)
    group = (target.digest, "answered", words.key, own.get("dtype", FLOAT32))
    return Step(STAGE, own, {"target": target.digest}, parents, labels, group, models=(target,), task=task)


def _searches(
    asked: Sequence[Variant], tuned: Sequence[Step], target: Model, task: Task, anchors: Step, settings: Settings
) -> Iterator[tuple[str, Step]]:
    """Candidates by name, each once; of a method that takes one source, one of each. What cannot be done is left out,
    and said. Raises PtxError if nothing is left."""
    keys: set[str] = set()
    named: set[str] = set()  # methods with which something can be done
    problem: PtxError | None = None
    for name, variant in asked:
        method = method_named(name)
        for part in [[step] for step in tuned] if method.sources == 1 else [tuned]:
            sources = sources_of(part)
            whose = f" from {sources[0]}" if len(part) < len(tuned) else ""
            try:
                same = all(
                    of.digest == target.digest for step in part for of in step.models
                )  # then the prompt fits as it is
                if not same and not method.exists(sources, target.name):
                    raise PtxError(
                        f"{name} cannot be between {sources[0]} and {target.name}", "name other --candidates"
                    )
                step = search_step(name, part, target, task, anchors, _varied(settings, variant))
            except UsageError:
                raise
            except PtxError as error:
                problem = error
                if name != "direct" and name not in named:  # that most widths differ needs no word
                    settings.tell(f"{name} is no candidate: {error.message}")
                continue
            if step.key not in keys:
                keys.add(step.key)
                named.add(name)
                yield spelled(name, variant) + whose, step
    if not keys and problem is not None:
        raise problem


def spelled(name: str, variant: Mapping[str, Any]) -> str:
    """A candidate as `--candidates` takes it."""
    return ":".join([name, *(f"{setting}={value}" for setting, value in variant.items())])


def _varied(settings: Settings, variant: Mapping[str, Any]) -> Settings:
    encode = {name: value for name, value in variant.items() if name in _names(EncodeConfig)}
    search = {name: value for name, value in variant.items() if name not in encode}
    return dataclasses.replace(
        settings,
        encode=dataclasses.replace(settings.encode, **encode),
        search=dataclasses.replace(settings.search, **search),
    )


def _asked(name: str, how: str, search: SearchConfig) -> list[Variant]:
    if how == "forecast":
        return [(name, {})]
    if how == "agree":
        if len(variants := method_named(name).variants) < 2:
            raise UsageError(f"--method {name} has no variants to choose among", "leave --select out, or use auto")
        return [(name, variant) for variant in variants]
    if search.candidates:
        return [variant for part in listed(search.candidates) for variant in _parsed(part)]
    return [(each, variant) for each in METHODS for variant in method_named(each).variants]


def _parsed(text: str) -> list[Variant]:
    """What one of `--candidates` means: a method with all its variants, or with the settings given."""
    name, *given = text.split(":")
    offered = [each for each in METHODS if method_named(each).variants]
    if name not in offered:
        raise UsageError(f"--candidates: {name!r} is nothing to choose", f"choose among {', '.join(offered)}")
    if not given:
        return [(name, variant) for variant in method_named(name).variants]
    return [(name, dict(_setting(text, part) for part in given))]


def _setting(text: str, part: str) -> tuple[str, Any]:
    from pydantic import TypeAdapter, ValidationError

    kinds = {
        setting: kind
        for config in (SearchConfig, EncodeConfig)
        for setting, kind in typing.get_type_hints(config).items()
        if setting not in OWN
    }
    setting, _, value = part.partition("=")
    setting = setting.replace("-", "_")
    if setting not in kinds:
        raise UsageError(f"--candidates {text}: no setting {setting!r}", f"its settings are {', '.join(kinds)}")
    try:
        return setting, TypeAdapter(kinds[setting]).validate_python(value)
    except ValidationError as error:
        why = error.errors()[-1]["msg"]
        raise UsageError(f"--candidates {text}: {value!r} will not do for {setting}", f"{why}") from None


def _names(config: type) -> set[str]:
    return {own.name for own in dataclasses.fields(config)}
