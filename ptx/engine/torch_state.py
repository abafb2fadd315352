"""PyTorch's settings that hold for a whole thread or process, as ptx needs them: a caller's own must not change
results."""

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def own_settings() -> Iterator[None]:
    """Float32 by default and in whole, on the CPU unless said otherwise, no autocast, gradients where something asks
    for them; afterwards all is as it was."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with contextlib.ExitStack() as stack:
            for device in ("cpu", "cuda"):
                if torch.is_autocast_enabled(device):
                    stack.enter_context(torch.autocast(device, enabled=False))
            if torch.get_default_device().type != "cpu":
                stack.enter_context(torch.device("cpu"))
            stack.enter_context(_whole_products())
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
            yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def _whole_products() -> Iterator[None]:
    """Matrix products of float32 are those of float32: where a caller allows it, PyTorch rounds what is multiplied to
    TF32 or bfloat16, on newer CPUs too."""
    import torch

    backends: Any = torch.backends
    if not hasattr(backends.cuda.matmul, "fp32_precision"):  # before PyTorch 2.9
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)
        return
    places = (backends.cuda.matmul, backends.mkldnn.matmul)
    found = [place.fp32_precision for place in places]
    try:
        for place in places:
            place.fp32_precision = "ieee"
        yield
    finally:
        for place, precision in zip(places, found, strict=True):
            place.fp32_precision = precision
