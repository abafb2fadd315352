"""Where to compute: which devices there are. torch is asked only where a GPU is named."""

import re

from ptx.errors import UsageError

DEVICE = re.compile(r"(auto|cpu|mps)|cuda(:\d+)?")


def check_device(name: str) -> None:
    """Raise UsageError unless there is such a device, before anything is loaded."""
    if not DEVICE.fullmatch(name):
        raise UsageError(f"--device {name!r} is none of auto, cpu, cuda, cuda:1, mps", "leave it out for auto")
    kind, _, number = name.partition(":")
    if kind not in ("cuda", "mps"):
        return
    import torch

    cpu = "leave it out, or use --device cpu"
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UsageError("--device mps: there is no Apple GPU here that torch can use", cpu)
    if kind == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"--device {name}: there is no CUDA GPU here that torch can use", cpu)
    if kind == "cuda" and int(number or 0) >= (count := torch.cuda.device_count()):
        raise UsageError(f"--device {name}: CUDA GPUs here are numbered 0 to {count - 1}", "use --device cuda:0")
