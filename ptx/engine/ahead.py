"""What lies ahead of a run, before any of it is begun: how much there is to build, and what that takes."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ptx.engine.meter import Meter
from ptx.engine.step import Step
from ptx.engine.work import size_of, work_of

REFERENCE = 50e9  # multiplications and additions a second, where ptx was measured
AT_LEAST = 0.6e9  # bytes of memory that a process takes beside its models
NOTED = 1.5  # times as slow as float32
BYTES = {"encode": 250_000, "answers": 150_000}  # of an artifact, for want of any in the cache
FEW_BYTES = 8_000


@dataclass(frozen=True)
class Ahead:
    """By stage how many artifacts there are to build, and how much of what that is; seconds (None: nobody knows), and
    by what these are known; bytes of memory and of disk."""

    artifacts: Mapping[str, int]
    amounts: Mapping[str, Mapping[str, int]]
    seconds: float | None
    basis: str
    memory: float
    disk: float


def ahead(meter: Meter, steps: Sequence[Step], sizes: Mapping[str, float], device: str) -> Ahead:
    """`sizes` are the bytes of artifacts in the cache, on average, by stage."""
    amounts: dict[str, Counter[str]] = {}
    for step in steps:
        work = work_of(step)
        amounts.setdefault(step.stage.name, Counter())[work.of] += work.count
    artifacts = Counter(step.stage.name for step in steps)
    known = {stage for stage, *_ in meter.earlier}
    basis, seconds = "by earlier runs", meter.left
    new = sum(part.expected for part in meter.parts.values() if part.kind[0] not in known)
    if new > 0.2 * sum(part.expected for part in meter.parts.values()):
        basis = "a guess by the models' size"
        if _has_gpu(device):
            return Ahead(artifacts, amounts, None, "", _memory(steps, meter.jobs), _disk(artifacts, sizes))
    return Ahead(artifacts, amounts, seconds, basis, _memory(steps, meter.jobs), _disk(artifacts, sizes))


def slowness() -> float:
    """How many times as long as where ptx was measured a product of matrices takes here."""
    import numpy as np

    left, right = np.ones((256, 768), np.float32), np.ones((768, 3072), np.float32)
    return REFERENCE * _quickest(5, lambda: left @ right) / (2 * 256 * 768 * 3072)


def slow_types(steps: Sequence[Step], device: str) -> Iterator[str]:
    """What to say of types that steps compute in and this processor has no instructions for."""
    said = [step.settings["dtype"] for step in steps if step.stage.on_device and "dtype" in step.settings]
    types = {kind for of_models in said for kind in of_models.split("+")}  # of several models, "float32+bfloat16"
    for kind in sorted(types - {"float32"}):
        from ptx.lms.embeddings import place  # torch, which float32 alone has no need of here

        if place(device) == "cpu" and (times := slower(kind)) > NOTED:
            yield f"this processor multiplies {times:.0f} times as slowly in {kind} as in float32: see --dtype"


def slower(kind: str) -> float:
    """How many times as long as in float32 the products of a layer and of its gradient take here in another type."""
    import torch

    def seconds(dtype: torch.dtype) -> float:
        rows, weights = torch.ones(80, 288, dtype=dtype), torch.ones(768, 288, dtype=dtype)
        return _quickest(4, lambda: torch.nn.functional.linear(rows, weights) @ weights)

    return seconds(getattr(torch, kind)) / seconds(torch.float32)


def _quickest(times: int, run: Callable[[], object]) -> float:
    """The least of the seconds that it takes."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def _has_gpu(device: str) -> bool:
    return device not in ("cpu", "auto") or (device == "auto" and os.path.exists("/dev/nvidia0"))


def _memory(steps: Sequence[Step], jobs: int) -> float:
    """Bytes: the largest models that are in memory at one time, in as many processes as there are."""
    each = [
        sum(size_of(model.path) for model in step.models) * (4 if "dtype" not in step.settings else 2)
        for step in steps
        if work_of(step).reading
    ]
    return jobs * (AT_LEAST + max(each, default=0.0))


def _disk(artifacts: Mapping[str, int], sizes: Mapping[str, float]) -> float:
    return sum(count * sizes.get(stage, BYTES.get(stage, FEW_BYTES)) for stage, count in artifacts.items())
