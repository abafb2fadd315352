"""Prompts that need no search: `random`, `direct` and `discretize`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from ptx.cache import Store
from ptx.errors import PtxError
from ptx.lms.embeddings import WordEmbeddings
from ptx.pipeline import Payload, Stopwatch, payload_of
from ptx.prompts import FILE, generator, read_prompt, to_bytes
from ptx.stages import relative
from ptx.stages.anchors import read_words
from ptx.step import Step


def build_random(
    steps: Sequence[Step], model: WordEmbeddings, store: Store
) -> Iterator[tuple[Step, Payload | PtxError]]:
    """Draws from a normal with the mean and std of the target's word embeddings."""
    watch = Stopwatch()
    mean, std = model.statistics
    for step in steps:
        shape = step.settings["prompt_length"], model.embeddings.shape[1]
        noise = torch.randn(*shape, generator=generator(step.settings["seed"], step.settings["task"]))
        yield step, Payload({FILE: to_bytes(noise * std + mean)}, {}, watch.lap())


def build_direct(
    steps: Sequence[Step], model: WordEmbeddings, store: Store
) -> Iterator[tuple[Step, Payload | PtxError]]:
    """The source's vectors, unchanged (Table 1): possible only between equal embedding widths."""
    watch = Stopwatch()
    for step in steps:
        prompt = read_prompt(payload_of(step.parents[0], store, FILE))
        width = model.embeddings.shape[1]
        if prompt.shape[1] == width:
            yield step, Payload({FILE: to_bytes(prompt)}, {}, watch.lap())
        else:
            source = step.labels["sources"][0]
            widths = f"{source} has {prompt.shape[1]}, {model.name} {width}"
            hint = f"run `ptx search --sources {source} --target {model.name} --method relative`"
            yield step, PtxError(f"direct transfer needs equal embedding widths: {widths}", hint)


def build_discretize(
    steps: Sequence[Step], model: WordEmbeddings, store: Store
) -> Iterator[tuple[Step, Payload | PtxError]]:
    """Each vector becomes the shared word nearest to it in the source (by cosine), embedded by the target (Table 3)."""
    watch = Stopwatch()
    words = read_words(steps[0].parents_at("anchors")[0], store)
    embeddings = model.word_embeddings(words)
    for step in steps:
        nearest = relative.read_cosines(step.parents_at("encode")[0], store).argmax(-1)
        metrics = {"words": [words[i] for i in nearest.tolist()]}
        yield step, Payload({FILE: to_bytes(embeddings[nearest.to(embeddings.device)])}, metrics, watch.lap())
