"""What a stage has made is looked at before it is kept: a value that is no number would spread from there."""

import json
import math
from collections.abc import Iterator
from typing import Any

from ptx.engine.step import Payload, Step
from ptx.errors import PtxError


def bad_value(step: Step, payload: Payload) -> PtxError | None:
    """The error that names stage, model, task and place of the first NaN or infinite value, if there is one."""
    where = next(_bad(payload), None)
    return None if where is None else (step.stage.blame or not_finite)(step, where)


def not_finite(step: Step, where: str, advice: str = "") -> PtxError:
    labels = step.labels
    model = labels.get("target") or labels.get("model") or "+".join(labels.get("sources", ()))
    of = " ".join(part for part in (step.stage.name, labels.get("method", ""), labels.get("task", "")) if part)
    return PtxError(
        f"{of} on {model}: NaN or infinite values in {where}; nothing of it is kept",
        f"{advice}check that the weights of {model} are finite numbers, or try --device cpu",
    )


def _bad(payload: Payload) -> Iterator[str]:
    for name, content in payload.files.items():
        if name.endswith(".safetensors"):
            import numpy as np
            from safetensors.numpy import load

            yield from (f"{name} ({tensor})" for tensor, v in load(content).items() if not np.isfinite(v).all())
        elif name.endswith(".jsonl"):
            lines = enumerate(content.splitlines(), start=1)
            yield from (f"{name}, line {number}" for number, line in lines if not _finite(json.loads(line)))
    yield from (f"the figure {name}" for name, value in payload.metrics.items() if not _finite(value))


def _finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
