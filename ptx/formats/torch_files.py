"""Files of `torch.save`: thunlp's bare tensor or dict with `model`, OpenPrompt's state dicts, PEFT's older weights.

They are pickles, so they are read by torch's restricted unpickler only, which builds tensors and plain containers.
"""

import dataclasses
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ptx.formats.matrix import Matrix, pick


def read(path: Path) -> Matrix:
    """Raises pickle.UnpicklingError for a file that asks for anything but data, and much else for a damaged one."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
        # torch never compresses; unpacked, such a file could be of any size
        if any(m.compress_type != zipfile.ZIP_STORED for m in members) or (
            sum(m.file_size for m in members) > path.stat().st_size
        ):
            raise ValueError("a compressed archive, which torch.save does not write")
    content = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(content, Tensor):
        return Matrix(content, layout="prefix", behind=True)
    if isinstance(content, Mapping):
        return dataclasses.replace(pick(content, path), behind=True)
    raise ValueError(f"it holds a {type(content).__name__}, not tensors")


def to_bytes(prompt: Float[Tensor, "m d"]) -> bytes:
    """A bare tensor, as vLLM takes prompt embeddings."""
    content = io.BytesIO()
    torch.save(prompt.clone(), content)
    return content.getvalue()
