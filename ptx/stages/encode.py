"""`encode`: a prompt as similarities to the anchors (Eq. 3). What belongs to the source never names the target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ptx.cache import Store
from ptx.engine.build import Stopwatch, payload_of
from ptx.engine.step import Payload, Stage, Step, Tick
from ptx.errors import PtxError
from ptx.stages.anchors import read_words
from ptx.stages.settings import Settings
from ptx.stages.tune import read_prompt

if TYPE_CHECKING:
    from torch import Tensor

FILE = "relative.safetensors"
TOGETHER = 64  # prompts per product with the anchors: bounds memory


def encode_step(tuned: Step, anchors: Step, settings: Settings) -> Step:
    top_k = settings.encode.top_k
    own = {"top_k": int(top_k) if top_k.isdecimal() else top_k}
    group = (tuned.models[0].digest, anchors.key)
    return Step(STAGE, own, {}, (tuned, anchors), tuned.labels, group, models=tuned.models, task=tuned.task)


def read_similarities(step: Step, store: Store) -> Tensor:
    """The similarities [m, k] of a finished encoding in float64, before the top-k is applied."""
    from safetensors.torch import load

    return load(payload_of(step, store, FILE).read_bytes())["cosines"].double()


def build(steps: Sequence[Step], store: Store, device: str, tick: Tick) -> Iterator[tuple[Step, Payload | PtxError]]:
    """See engine.step.Stage. All similarities are stored: with several sources the top-k is that of their sum."""
    import torch
    from safetensors.torch import save

    from ptx.lms.embeddings import load_embeddings
    from ptx.transfer.equations import kept, relative_representation, unit_rows

    watch = Stopwatch()
    model = load_embeddings(steps[0].models[0], device)
    anchors = unit_rows(model.word_embeddings(read_words(steps[0].parents_at("anchors")[0], store)))
    for first in range(0, len(steps), TOGETHER):
        part = steps[first : first + TOGETHER]
        prompts = [read_prompt(step.parents_at("tune")[0], store) for step in part]
        together = relative_representation(torch.cat(prompts).to(anchors.device), anchors=anchors).float().cpu()
        seconds = watch.lap() / len(part)
        for step, r in zip(part, together.split([len(prompt) for prompt in prompts]), strict=True):
            metrics = {"anchors": r.shape[1], "top_k": kept(step.settings["top_k"], r.shape[1])}
            yield step, Payload({FILE: save({"cosines": r.contiguous()})}, metrics, seconds)
            tick(1)


STAGE = Stage("encode", version=1, build=build, columns=("model", "task", "anchors", "top_k"))
