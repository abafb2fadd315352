"""`search`: the target's prompt, by one of the methods in stages/methods."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import Any

from ptx.cache import Store
from ptx.config.dtypes import FLOAT32
from ptx.config.fields import left_out
from ptx.config.search import BATCH, PAIRS, SearchConfig
from ptx.config.tune import A_STEP
from ptx.engine.build import Stopwatch
from ptx.engine.checks import not_finite
from ptx.engine.step import Payload, Stage, Step, Tick
from ptx.engine.work import Work, work_of
from ptx.errors import PtxError, UsageError
from ptx.lms.models import Model
from ptx.lms.names import shown
from ptx.stages.anchors import shared_words
from ptx.stages.encode import encode_step
from ptx.stages.methods import method_named, offered
from ptx.stages.methods.method import Method
from ptx.stages.settings import Settings
from ptx.stages.texts import texts_step
from ptx.stages.tune import FILE
from ptx.suites import Task

ASKED = 0.7  # of candidates, as was measured: some come out the same, and are asked once


def search_step(name: str, tuned: Sequence[Step], target: Model, task: Task, anchors: Step, settings: Settings) -> Step:
    """The target's prompt for one task, by the method `name` from as many tuned prompts as it takes, or from the one
    that its sources learned together."""
    method = method_named(name)
    weighed = method.sources is None and "portable" not in method.needs
    labelled = settings.search.select == "dev"
    if labelled and not method.has_epochs and settings.search.solver == "exact":
        hint = "add --solver adam or --method projector"
        raise UsageError("--select dev chooses among steps of Adam or epochs of the projector", hint)
    sources = sources_of(tuned)
    if len({step.key for step in tuned}) < len(tuned):
        whose = f"of the sources {' and '.join(shown(sources).values())} for {task.name}"
        what = f"{whose}, two are one: the same prompt, by equal files"
        raise PtxError(what, "name it once; a copy or a link of a model is that model")
    labels = labels_of(name, sources, target, task, settings)
    words = shared_words(anchors)
    basis = anchors if "anchors" in method.needs else words
    prompts = [_needed(method, step, task, basis, settings) for step in tuned]
    own: dict[str, Any] = {"method": name, **method.settings(settings, task), **method.given(tuned, task, settings)}
    weights = source_weights(settings.search.weights if weighed else "", len(tuned))
    if len(set(weights)) > 1:
        labels["weights"] = weights  # in the order of labels["sources"]
    pairs = [*zip(prompts, weights, strict=True)]
    if own.get("solver") == "ptfer":
        if len(pairs) > 2:
            hint = "name two, or use --solver adam"
            raise UsageError("--solver ptfer takes one source or two, as the authors' code does", hint)
    else:  # the order in which sources are named changes nothing, so it must not change the key
        pairs.sort(key=lambda pair: (pair[0].key, pair[1]))
    parents = tuple(prompt for prompt, _ in pairs)
    parents += (basis,) if {"anchors", "words"} & {*method.needs} else ()
    if weighed:
        own["weights"] = [weight for _, weight in pairs]
    inputs: dict[str, Any] = {"target": target.digest}
    if own.get("select") == "dev":
        inputs["facts"] = task.digest("dev")
        own |= {"layout": settings.tune.layout, **settings.computed(target, "target")}
        parents += (words,) if words not in parents else ()
    group = (target.digest, name, basis.key if basis in parents else "", own.get("dtype", FLOAT32))
    return Step(STAGE, own, inputs, parents, labels, group, models=(target,), task=task)


def sources_of(tuned: Sequence[Step]) -> list[str]:
    """The models that prompts are of, as they are named; of one that several learned together, all of these."""
    named = ([step.labels["model"]] if "model" in step.labels else step.labels["sources"] for step in tuned)
    return [*itertools.chain.from_iterable(named)]


def check_options(name: str, search: SearchConfig) -> None:
    """Raise UsageError for a setting of a search, not at its default, that the method does not use."""
    for unused in _unused(name, search):
        flag = f"--{'no-' * (getattr(search, unused) is False)}{unused}"
        users = [other for other in offered(searched=True) if unused in (method_named(other).options or ())]
        hint = f"leave it out, or use --method {' or '.join(users)}"
        raise UsageError(f"--method {name} does not use {flag}", hint)


def of_method(name: str, search: SearchConfig) -> SearchConfig:
    """Settings of a grid, of which each method takes those that it uses, and leaves the others at their defaults."""
    defaults: dict[str, Any] = {own.name: own.default for own in fields(search)}
    return replace(search, **{unused: defaults[unused] for unused in _unused(name, search)})


def _unused(name: str, search: SearchConfig) -> list[str]:
    """Settings that are not at their defaults, and that the method does not use."""
    used, later = method_named(name).options, left_out(SearchConfig)
    found = []
    for own in fields(search):
        value = getattr(search, own.name)
        if own.name in ("inputs", "forecast") or (own.name, value) == ("select", "agree"):
            continue  # of every choice by agreement
        if value != own.default and (own.name in later if used is None else own.name not in used):
            found.append(own.name)
    return found


def labels_of(name: str, sources: Sequence[str], target: Model, task: Task, settings: Settings) -> dict[str, Any]:
    """What names a search for people."""
    return {
        "target": target.name,
        "sources": list(sources),
        "method": name,
        "suite": settings.suite,
        "task": task.name,
        "seed": settings.seed,
    }


def _needed(method: Method, tuned: Step, task: Task, basis: Step, settings: Settings) -> Step:
    """What a method starts from in a source."""
    if "texts" in method.needs:
        return texts_step(tuned.models[0], task, shared_words(basis), settings)
    return encode_step(tuned, basis, settings) if "encodings" in method.needs else tuned


def source_weights(text: str, n: int) -> list[float]:
    """`--weights` as n numbers that sum to one; equal weights if the text is empty."""
    if not text:
        return [1 / n] * n if n else []
    try:
        weights = [float(part) for part in text.split(",")]
    except ValueError:
        weights = []
    if len(weights) != n or any(not 0 < w < float("inf") for w in weights):
        raise UsageError(f"--weights {text!r} is not one positive number per source", "write it like --weights 2,1")
    return [w / sum(weights) for w in weights]


def spelled(sources: Sequence[str], weights: Sequence[float] = (), digits: int = 2) -> str:
    """Sources as they are shown, with their weights where these are not equal: "a+b (0.67:0.33)"."""
    shares = f" ({':'.join(f'{weight:.{digits}g}' for weight in weights)})" if weights else ""
    return "+".join(sources) + shares


def build(steps: Sequence[Step], store: Store, device: str, tick: Tick) -> Iterator[tuple[Step, Payload | PtxError]]:
    """See engine.step.Stage."""
    from ptx.formats.tensors import to_bytes
    from ptx.lms.embeddings import WordEmbeddings, load_embeddings

    watch = Stopwatch()
    # Only a choice, on labelled dev facts or by agreement, and distilling need more of the target than its embeddings.
    asked = any(step.settings.get("select") == "dev" or step.parents_at("answers") for step in steps)
    target = steps[0].models[0]
    dtype = next((step.settings["dtype"] for step in steps if "dtype" in step.settings), FLOAT32)
    if asked:
        from ptx.lms.lm import load_model

        model: WordEmbeddings = load_model(target, device, dtype)
    else:
        model = load_embeddings(target, device)
    tick(0, "the first prompt")
    for name, of_method in itertools.groupby(steps, key=_builder):
        method = method_named(name)
        assert method.build is not None
        for step, found in method.build(list(of_method), model, store):
            if isinstance(found, PtxError):
                tick(work(step).units, name)
                yield step, found
            else:
                tick(work(step).units, name, seconds=found.seconds)  # of many that are found at once, its share
                seconds = watch.lap() if found.seconds is None else found.seconds
                yield step, Payload({FILE: to_bytes(found.prompt)}, found.metrics, seconds)


def work(step: Step) -> Work:
    """Vectors that are found; with a network, the inputs that it reads to choose among candidates, or to learn."""
    vectors = next((tuned.settings.get("prompt_length", 5) for tuned in _tuned(step)), 5)
    count = Work(vectors, "vectors", seconds=method_named(step.settings["method"]).seconds)
    if answers := step.parents_at("answers"):
        inputs = work_of(answers[0]).units
        asked = inputs * max(1.0, ASKED * len(step.parents_at("search")))
        passes = A_STEP * step.settings.get("distil_steps", 0) + 2 * PAIRS * step.settings.get("refine", 0)
        return replace(count, units=asked + BATCH * passes, reading=True)
    adam = 0.003 * step.settings["steps"] if step.settings.get("solver", "exact") != "exact" else 0.0
    if step.settings.get("select") == "dev":
        assert step.task is not None
        looks = step.settings["steps"] / 50 if adam else step.settings.get("epochs", 1)
        return replace(count, units=looks * len(step.task.splits["dev"]), reading=True, seconds=count.seconds + adam)
    return replace(count, seconds=count.seconds + adam)


def _tuned(step: Step) -> list[Step]:
    encoded = [tuned for parent in step.parents_at("encode") for tuned in parent.parents_at("tune")]
    return [*step.parents_at("tune"), *encoded]


def _builder(step: Step) -> str:
    """The method that builds a step: a choice among several is `auto`'s, whichever they are."""
    return "auto" if {"agree", "forecast"} & {*step.settings} else str(step.settings["method"])


def blame(step: Step, where: str) -> PtxError:
    if not where.startswith(FILE):
        return not_finite(step, where)
    return PtxError(
        f"the search gave {step.labels['target']} a prompt for {step.labels['task']} that is not finite",
        "look at the source's prompt with `ptx cache show`: it may be all zeros",
    )


STAGE = Stage(
    "search",
    version=2,
    build=build,
    work=work,
    columns=("sources", "target", "method", "task", "matching_loss", "search_loss", "chosen", "agreement", "forecast"),
    blame=blame,
)
