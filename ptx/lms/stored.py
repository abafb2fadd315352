"""The tensors of safetensors files, each read when it is asked for, piece by piece in the type that is computed in.

transformers by itself maps such files: beside the weights, all pages that it has read stay in memory, and a network
that computes in the type of its file would go on reading a file that someone may overwrite.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from ptx.lms.weights import weight_files

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
PIECE = 2**18  # numbers that are converted at a time


@dataclass(frozen=True)
class Part:
    """A tensor in a file, as transformers asks for it: `part[...]` is read at that moment.

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


def parts(folder: Path, wide: torch.dtype) -> dict[str, Part] | None:
    """The tensors of a folder's safetensors files by name; None for older formats, and for numbers of other types.

    Raises SafetensorError for a damaged file.
    """
    found: dict[str, Part] = {}
    for file in weight_files(folder):
        if file.suffix == ".json":
            continue
        if file.suffix != ".safetensors":
            return None
        with safe_open(file, framework="numpy"):  # which checks the header
            pass
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(length))
        for name, own in header.items():
            if name == "__metadata__":
                continue
            if own["dtype"] not in DTYPES:
                return None
            begin = 8 + length + own["data_offsets"][0]
            found[name] = Part(file, begin, tuple(own["shape"]), DTYPES[own["dtype"]], wide)
    return found or None
