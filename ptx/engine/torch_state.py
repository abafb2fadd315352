"""PyTorch's settings that hold for a whole thread, as ptx needs them: a caller's own must not change results."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def own_settings() -> Iterator[None]:
    """Float32 by default, no autocast, gradients where something asks for them; afterwards all is as it was."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with contextlib.ExitStack() as stack:
            for device in ("cpu", "cuda"):
                if torch.is_autocast_enabled(device):
                    stack.enter_context(torch.autocast(device, enabled=False))
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
            yield
    finally:
        torch.set_default_dtype(before)
