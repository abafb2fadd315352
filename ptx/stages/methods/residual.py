"""`residual`: the text that a tuning started from, in the target, plus what the tuning added to it, moved along the
relative map (transfer/residual.py). Nothing but word embeddings is needed of the target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ptx.config import TEXT
from ptx.errors import PtxError
from ptx.stages.methods.method import Found, Method

if TYPE_CHECKING:
    from torch import Tensor

    from ptx.cache import Store
    from ptx.engine.step import Step
    from ptx.lms.embeddings import WordEmbeddings
    from ptx.stages.settings import Settings
    from ptx.suites import Task

LENGTHS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)


def started_from(tuned: Step) -> list[str]:
    """The text that a tuned prompt starts from, or those of which the tuning takes one; none if it is noise, or nobody
    knows."""
    own = tuned.config.get("tune", {})
    init = str(own.get("init", ""))
    if init == "text":
        return list(own.get("texts", [own.get("text", "")]))
    return [init.removeprefix(TEXT)] if init.startswith(TEXT) else []


def _settings(settings: Settings, task: Task) -> dict[str, Any]:
    search = settings.search
    own: dict[str, Any] = {"length": float(search.length), "map": search.map}
    if search.map == "top-k" and search.length:
        top_k = settings.encode.top_k
        own["top_k"] = int(top_k) if top_k.isdecimal() else top_k
    return own if search.length else own | {"map": "none"}


def _given(tuned: Sequence[Step], task: Task, settings: Settings) -> dict[str, Any]:
    """The text; those of the task, of which the nearest is taken, for prompts that did not start from one."""
    from ptx.stages.texts import texts_of

    every = [texts for of in tuned if (texts := started_from(of))]
    if known := list(dict.fromkeys(text for texts in every for text in texts)):
        if min(map(len, every)) == 1:
            _one_text(task.name, [texts[0] for texts in every if len(texts) == 1])
        return {"texts": known}
    try:
        return {"texts": texts_of(task, settings)}
    except PtxError as error:
        what = f"the prompt for {task.name} did not start from a text that ptx knows, and the task has none"
        raise PtxError(what, f"{error.hint}; or tune from a text: --init text") from None


def _one_text(task: str, texts: Sequence[str]) -> str:
    """The text that all prompts started from, of those where that is known. Raises PtxError if there are two."""
    known = list(dict.fromkeys(filter(None, texts)))
    if len(known) > 1:
        what = f"the prompts for {task} started from different texts, {known[0]!r} and {known[1]!r}"
        raise PtxError(what, "tune the sources from one text: --init 'text:...'")
    return known[0] if known else ""


def build(steps: Sequence[Step], model: WordEmbeddings, store: Store) -> Iterator[tuple[Step, Found | PtxError]]:
    """See Method. What is moved is the same for all lengths, and found once."""
    from ptx.engine.build import Stopwatch
    from ptx.stages.anchors import read_words
    from ptx.transfer.target import TargetAnchors

    watch = Stopwatch()
    words = read_words(steps[0].parents_at("anchors")[0], store)
    embeddings = model.word_embeddings(words)
    anchors = TargetAnchors(embeddings)
    found: dict[Any, tuple[Tensor, Tensor, Mapping[str, Any]]] = {}
    for step in steps:
        own = {name: value for name, value in step.settings.items() if name != "length"}
        asked = repr([own, [parent.key for parent in step.parents]])
        try:
            if asked not in found:
                found[asked] = _parts(step, words, embeddings, anchors, model, store)
        except PtxError as error:
            yield step, error
            continue
        text, added, figures = found[asked]
        prompt = (text.double() + step.settings["length"] * added).float()
        yield step, Found(prompt, figures, watch.lap())


def _parts(
    step: Step, words: Sequence[str], embeddings: Tensor, anchors: Any, model: WordEmbeddings, store: Store
) -> tuple[Tensor, Tensor, Mapping[str, Any]]:
    """The text in the target [m, d], what is added to it at length 1, and figures."""
    import torch

    from ptx.engine.build import artifact_of
    from ptx.lms.lm import load_embeddings
    from ptx.stages.tune import read_prompt
    from ptx.transfer import residual
    from ptx.transfer.starts import readable, text_prompt

    tuned = step.parents_at("tune")
    sources = [load_embeddings(of.models[0], str(model.device)) for of in tuned]
    prompts = [source.fit(read_prompt(of, store)) for source, of in zip(sources, tuned, strict=True)]
    weights = step.settings["weights"]

    def differences(text: str) -> list[Tensor]:
        return [v - text_prompt(source, text, len(v)) for source, v in zip(sources, prompts, strict=True)]

    def far(text: str) -> float:
        return sum(w * d.norm(dim=-1).mean().item() for w, d in zip(weights, differences(text), strict=True))

    taken = [str(of.meta["metrics"].get("text", "")) for tune in tuned if (of := artifact_of(tune, store))]
    texts = readable(step.settings["texts"], *sources, model) or step.settings["texts"]
    text = _one_text(step.labels["task"], taken) or min(texts, key=far)
    ids, shares = residual.placed(text, [(s, len(v)) for s, v in zip(sources, prompts, strict=True)], model)
    model.check_ids(ids, text)
    start = model.matrix[ids].float()
    added = torch.zeros_like(start, dtype=torch.float64)
    for source, weight, share, difference in zip(sources, weights, shares, differences(text), strict=True):
        if step.settings["map"] == "none":
            break
        own = source.word_embeddings(words)
        aligned = share.to(model.device) @ difference.double()
        moved = residual.moved(aligned, source=own, anchors=anchors, top_k=step.settings.get("top_k", "all"))
        added += weight * residual.scale(own, embeddings) * moved
    return start, added, {"text": text, "moved": far(text)}


METHOD = Method(
    "residual",
    sources=None,
    needs=("prompts", "anchors"),
    options=("length", "map", "texts", "weights"),
    settings=_settings,
    given=_given,
    from_text=True,
    build=build,
    seconds=0.5,
    variants=(
        *({"map": "relative", "length": length} for length in LENGTHS),
        *({"map": "top-k", "top_k": "8192", "length": length} for length in LENGTHS[1:]),
    ),
)
