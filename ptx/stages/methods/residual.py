"""`residual`: the text that a tuning started from, in the target, plus what the tuning added to it, moved along the
relative map (transfer/residual.py). Nothing but word embeddings is needed of the target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

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


def _settings(settings: Settings, task: Task) -> dict[str, Any]:
    search = settings.search
    own: dict[str, Any] = {"length": float(search.length), "map": search.map}
    if search.map == "top-k" and search.length:
        top_k = settings.encode.top_k
        own["top_k"] = int(top_k) if top_k.isdecimal() else top_k
    return own if search.length else own | {"map": "none"}


def _given(tuned: Sequence[Step], task: Task, settings: Settings) -> dict[str, Any]:
    """The texts that the prompts started from; those of the task, of which the nearest is taken, if none is known."""
    from ptx.stages.texts import started_from, texts_of

    every = [started_from(of) for of in sorted(tuned, key=lambda of: of.key)]
    if known := list(dict.fromkeys(text for texts in every for text in texts if text)):
        return {"texts": known}
    try:
        return {"texts": texts_of(task, settings)}
    except PtxError as error:
        what = f"the prompt for {task.name} did not start from a text that ptx knows, and the task has none"
        raise PtxError(what, f"{error.hint}; or tune from a text: --init text") from None


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

    from ptx.lms.embeddings import load_embeddings
    from ptx.stages.texts import text_of
    from ptx.stages.tune import read_prompt
    from ptx.transfer import residual
    from ptx.transfer.starts import readable, text_prompt

    tuned = step.parents_at("tune")
    sources = [load_embeddings(of.models[0], str(model.device)) for of in tuned]
    prompts = [source.fit(read_prompt(of, store)) for source, of in zip(sources, tuned, strict=True)]
    weights = step.settings["weights"]

    def difference(i: int, text: str) -> Tensor:
        return prompts[i] - text_prompt(sources[i], text, len(prompts[i]))

    def far(own: Sequence[str]) -> float:
        each = [difference(i, text).norm(dim=-1).mean().item() for i, text in enumerate(own)]
        return sum(w * length for w, length in zip(weights, each, strict=True))

    taken = [text_of(of, store) for of in tuned]
    texts = [*dict.fromkeys(filter(None, taken))] or step.settings["texts"]
    text = min(readable(texts, *sources, model) or texts, key=lambda text: far([text] * len(prompts)))
    own = [of or text for of in taken]
    ids, shares = residual.placed(
        text, [(s, len(v), of) for s, v, of in zip(sources, prompts, own, strict=True)], model
    )
    model.check_ids(ids, text)
    start = model.matrix[ids].float()
    added = torch.zeros_like(start, dtype=torch.float64)
    for i, (source, weight, share) in enumerate(zip(sources, weights, shares, strict=True)):
        if step.settings["map"] == "none":
            break
        words_there = source.word_embeddings(words)
        aligned = share.to(model.device) @ difference(i, own[i]).double()
        moved = residual.moved(aligned, source=words_there, anchors=anchors, top_k=step.settings.get("top_k", "all"))
        added += weight * residual.scale(words_there, embeddings) * moved
    return start, added, {"text": text, "moved": far(own)}


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
