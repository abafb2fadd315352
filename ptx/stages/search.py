"""The target's prompt, by one of the methods in ptx/stages/methods."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from ptx.cache import Store
from ptx.errors import PtxError
from ptx.lms.lm import FLOAT32, load_embeddings, load_model
from ptx.pipeline import Payload, Tick
from ptx.stages.methods import BUILDERS
from ptx.step import Step


def build(steps: Sequence[Step], store: Store, device: str, tick: Tick) -> Iterator[tuple[Step, Payload | PtxError]]:
    """See pipeline.BUILDERS."""
    if not steps:
        return
    # Only a choice on labelled dev facts needs more of the target than its word embeddings.
    labelled = any(step.settings.get("select") == "dev" for step in steps)
    target = steps[0].models[0]
    dtype = next((step.settings["dtype"] for step in steps if "dtype" in step.settings), FLOAT32)
    model = load_model(target, device, dtype) if labelled else load_embeddings(target, device)
    for method, of_method in itertools.groupby(steps, key=lambda step: step.settings["method"]):
        for step, payload in BUILDERS[method](list(of_method), model, store):
            tick(1)
            yield step, payload
