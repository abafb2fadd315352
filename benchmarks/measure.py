"""Take times: a warm-up, then alternating repeats, then medians."""

from __future__ import annotations

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any


def medians(*actions: Callable[[], Any], repeats: int, warm_up: bool = True) -> list[float]:
    """Median seconds of each action. They take turns (A B A B ...), so that a slow spell of the machine hits all."""
    if warm_up:
        for action in actions:
            action()
    seconds: list[list[float]] = [[] for _ in actions]
    for _ in range(repeats):
        for taken, action in zip(seconds, actions, strict=True):
            taken.append(once(action))
    return [statistics.median(taken) for taken in seconds]


def once(action: Callable[[], Any]) -> float:
    """Seconds of one call. Garbage of what went before is not its business."""
    gc.collect()
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def environment() -> dict[str, Any]:
    """What a ratio may depend on."""
    import torch
    import transformers

    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def described(of: dict[str, Any]) -> str:
    """The environment in a sentence's worth of words."""
    return (
        f"{of['system']}, {of['cores']} cores, {of['threads']} threads, Python {of['python']}, "
        f"torch {of['torch']}, transformers {of['transformers']}, CPU only"
    )
