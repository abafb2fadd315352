"""The tensors of a checkpoint's files, each read when it is asked for, piece by piece in the type that is computed in.

transformers by itself maps such files: beside the weights, all pages that it has read stay in memory, a network that
computes in the type of its file would go on reading a file that someone may overwrite, and one that is cut short ends
the process.
"""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ptx.lms.weights import Stored, tensors_of, weight_files

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}  # fmt: skip
PIECE = 2**18  # numbers that are converted at a time


@dataclass(frozen=True)
class Part:
    """A tensor in a file, as transformers asks for it: `part[...]` is read at that moment, into memory of its own.

    What is stored in half precision becomes `wide` if that is float32, which loses nothing.
    """

    file: Path
    begin: int
    shape: tuple[int, ...]
    dtype: torch.dtype
    wide: torch.dtype

    def get_shape(self) -> list[int]:
        return [*self.shape]

    def __getitem__(self, index: Any) -> Tensor:
        widened = self.wide == torch.float32 and self.dtype in (torch.float16, torch.bfloat16)
        found = torch.empty(math.prod(self.shape), dtype=self.wide if widened else self.dtype)
        with self.file.open("rb", buffering=0) as stream:
            stream.seek(self.begin)
            room = torch.empty(PIECE, dtype=self.dtype)
            for piece in found.split(PIECE):
                raw = room[: len(piece)] if widened else piece
                _fill(stream, raw.view(torch.uint8).numpy().data)
                if widened:
                    piece.copy_(raw)
        return found.view(self.shape)[index]


def _fill(stream: Any, room: memoryview) -> None:
    while room:
        if not (count := stream.readinto(room)):
            raise OSError(f"{stream.name} ends within a tensor: it has changed since")
        room = room[count:]


def part_of(tensor: Stored, wide: torch.dtype) -> Part:
    """Raises ValueError for numbers of a type that is none of PyTorch's."""
    if tensor.dtype not in DTYPES:
        raise ValueError(f"{tensor.name} holds numbers of the type {tensor.dtype}")
    return Part(tensor.file, tensor.begin, tensor.shape, DTYPES[tensor.dtype], wide)


def parts(folder: Path, wide: torch.dtype) -> Mapping[str, Part | Tensor]:
    """The tensors of a folder's files of weights by name; those of older formats, which are pickles, read as tensors
    only.

    Raises SafetensorError for a damaged file, UnpicklingError for a pickle of something else, ValueError for numbers
    of other types.
    """
    found: dict[str, Part | Tensor] = {}
    for file in weight_files(folder):
        if file.suffix == ".safetensors":
            found |= {tensor.name: part_of(tensor, wide) for tensor in tensors_of(file)}
        elif file.suffix == ".bin":
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Detected pickle protocol")  # it is refused
                content = torch.load(file, map_location="cpu", weights_only=True, mmap=False)
            found |= {name: value for name, value in content.items() if isinstance(value, Tensor)}
    return found
