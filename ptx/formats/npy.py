"""Numpy's .npy: OptiPrompt's and PTfer's (10, d), of which the first rows are the prompt, and Google's (100, d)."""

import io
import math
from pathlib import Path
from typing import IO

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ptx.config.tune import Layout
from ptx.errors import PtxError
from ptx.formats.matrix import MAX_NUMBERS, SAVE_AGAIN, Matrix

MAGIC = b"\x93NUMPY"
BFLOAT16 = np.dtype("V2")  # how JAX programs store it: two bytes that numpy has no name for
OPTIPROMPT_ROWS = 10  # MAX_NUM_VECTORS: OptiPrompt saves as many, whatever --num_vectors was
OPTIPROMPT_VECTORS = 5  # its default and the paper's


def read(path: Path, layout: Layout | None = None) -> Matrix:
    with path.open("rb") as stream:
        return Matrix(read_array(stream, path), layout=layout)


def read_array(stream: io.BufferedIOBase | IO[bytes], path: Path) -> Tensor:
    """The array in an open .npy file, which is never unpickled and never larger than its header and MAX_NUMBERS allow.

    Raises PtxError for other contents than floating-point numbers, ValueError for a damaged file.
    """
    version = np.lib.format.read_magic(stream)
    header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if header is None:
        raise ValueError(f"unknown version {version} of the npy format")
    shape, by_columns, dtype = header(stream)
    if dtype.hasobject:
        raise PtxError(f"{path} holds Python objects (a pickle), not numbers; nothing of it was run", SAVE_AGAIN)
    if dtype != BFLOAT16 and (dtype.kind != "f" or dtype.itemsize > 8):
        raise PtxError(f"{path} holds {dtype} values, not floating-point numbers", SAVE_AGAIN)
    count = math.prod(shape)
    if any(n < 0 for n in shape) or count > MAX_NUMBERS:
        raise PtxError(f"{path} holds an array of shape {shape}, which is no soft prompt", SAVE_AGAIN)
    content = stream.read(count * dtype.itemsize + 1)
    if len(content) != count * dtype.itemsize:
        raise ValueError(f"its header promises {count * dtype.itemsize} bytes of numbers, which it does not have")
    flat = np.frombuffer(content, dtype)
    if dtype == BFLOAT16:
        flat = (flat.view("<u2").astype("<u4") << 16).view("<f4")
    array = flat.reshape(shape, order="F" if by_columns else "C")
    return torch.from_numpy(np.array(array, dtype=flat.dtype.newbyteorder("="), order="C"))


def rows_in(path: Path) -> int | None:
    """How many rows a .npy file of float32 says it has; None for any other (reading it tells what is wrong)."""
    try:
        with path.open("rb") as stream:
            np.lib.format.read_magic(stream)
            shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    except Exception:
        return None
    return shape[0] if len(shape) == 2 and dtype == np.float32 else None


def to_bytes(prompt: Float[Tensor, "m d"]) -> bytes:
    """Little-endian float32, as Google's prompts are."""
    content = io.BytesIO()
    np.save(content, prompt.numpy().astype("<f4"), allow_pickle=False)
    return content.getvalue()


def to_optiprompt(prompt: Float[Tensor, "m d"]) -> bytes:
    """Ten rows: the prompt, then zeros, which OptiPrompt reads but does not use with --num_vectors m."""
    if len(prompt) > OPTIPROMPT_ROWS:
        message = f"OptiPrompt's files hold at most {OPTIPROMPT_ROWS} vectors, and this prompt has {len(prompt)}"
        raise PtxError(message, "use --to npy, which holds any number")
    return to_bytes(torch.nn.functional.pad(prompt, (0, 0, 0, OPTIPROMPT_ROWS - len(prompt))))
