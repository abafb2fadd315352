"""What every prompt file comes down to: a matrix of finite numbers. Nothing that a file holds is ever run."""

import contextlib
import dataclasses
import pickle
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ptx.config.tune import Layout
from ptx.errors import PtxError, first_line

MAX_NUMBERS = 2**26  # 256 MB in float32; the largest released prompts have 100 x 12,288
SAVE_AGAIN = "save its matrix of shape (vectors, width) with safetensors or numpy.save, and give that file"
OURS, MIXED = "prompt", "soft_embedding.weight"
# How a tensor's name ends in files of several: PEFT, OpenPrompt (its mixed template has soft tokens anywhere), thunlp's
# prompts, ptx; and where those stand.
NAMES: Mapping[str, Layout | None] = {
    "prompt_embeddings": "prefix", "soft_embeds": "prefix", MIXED: None, "model": "prefix", OURS: None,
}  # fmt: skip


@dataclass(frozen=True)
class Matrix:
    """The prompt's rows of a file as they are, unchecked; where it says so, the base model's name and the layout.

    `behind`: the program feeds them to the network in place of what its embedding layer gives, so that a factor of that
    layer (Gemma's) is in them; ptx's are in the scale of the layer's matrix, in front of the factor. `beside` names the
    file's other tensors, `note` says which rows were left out and why.
    """

    values: Tensor
    base: str | None = None
    layout: Layout | None = None
    behind: bool = False
    beside: tuple[str, ...] = ()
    note: str = ""


@contextlib.contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turns whatever a parser raises into a PtxError: for damaged bytes that is anything (torch: a dozen types).

    Its warnings, of old pickle protocols and headers, are of no use to who reads a prompt.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except PtxError:
        raise
    except OSError as error:
        hint = "check the path and its permissions"
        raise PtxError(f"cannot read {path}: {error.strerror or error}", hint) from None
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        what = f"asks for {asked[1]}, which is code and not data" if asked else "is damaged or holds more than tensors"
        hint = f"only if you trust it: load it elsewhere, {SAVE_AGAIN}"
        raise PtxError(f"{path} is a pickle that {what}; nothing of it was run", hint) from None
    except Exception as error:
        hint = f"fetch it again if it may be damaged, name its --format, or {SAVE_AGAIN}"
        raise PtxError(f"{path} cannot be read as {kind}: {first_line(error)}", hint) from None


def pick(tensors: Mapping[Any, Any], path: Path) -> Matrix:
    """The prompt among named tensors: the only one with a known name, else the only one there is.

    Looks into a `state_dict` or `model` that is a mapping itself. Raises PtxError if the choice is not clear.
    """
    found = {str(name): value for name, value in tensors.items() if isinstance(value, Tensor)}
    for inner in ("state_dict", "model"):
        if isinstance(tensors.get(inner), Mapping):
            chosen = pick(tensors[inner], path)
            return dataclasses.replace(chosen, beside=(*chosen.beside, *sorted(found)))
    known = {name: end for name in found for end in NAMES if f".{name}".endswith(f".{end}")}
    choice = list(known or found)
    if len(choice) != 1:
        raise PtxError(f"{path}: which tensor is the prompt? It has {some(choice) or 'no tensor'}", SAVE_AGAIN)
    (name,) = choice
    values, end, note = found.pop(name), known.get(name), ""
    if end == MIXED:
        values, note = values[1:], "without the first row, which belongs to no token in OpenPrompt's mixed templates"
    behind = end not in (None, OURS)
    return Matrix(values, layout=NAMES.get(end or ""), behind=behind, beside=tuple(sorted(found)), note=note)


def some(names: Iterable[str]) -> str:
    """The first five of names, for a message."""
    listed = list(names)
    return ", ".join(listed[:5]) + (", ..." if len(listed) > 5 else "")


def unscaled(vectors: Float[Tensor, "m d"], factor: float) -> Float[Tensor, "m d"]:
    """What gives the vectors when it is multiplied by the factor, to the last bit where any float32 does."""
    found = vectors / factor
    for way in (-torch.inf, torch.inf):
        near = torch.nextafter(found, torch.tensor(way))
        closer = (near * factor - vectors).abs() < (found * factor - vectors).abs()
        found = torch.where(closer, near, found)
    return found


def checked(values: Tensor, path: Path) -> Float[Tensor, "n d"]:
    """The matrix in float32. Raises PtxError unless it is one of at most MAX_NUMBERS floating-point numbers."""
    shape = tuple(values.shape)
    if values.ndim != 2:
        raise PtxError(f"{path} holds an array of shape {shape}, and a prompt is a matrix (vectors, width)", SAVE_AGAIN)
    if not values.is_floating_point() or values.layout is not torch.strided or values.device.type != "cpu":
        kind = str(values.dtype).removeprefix("torch.")
        raise PtxError(f"{path} holds {kind} ({values.layout}, {values.device}), not plain numbers", SAVE_AGAIN)
    if not 0 < values.numel() <= MAX_NUMBERS:
        raise PtxError(f"{path} holds a matrix of shape {shape}, which is no soft prompt", SAVE_AGAIN)
    return values.detach().to(torch.float32, copy=True).contiguous()


def finite(prompt: Float[Tensor, "m d"], path: Path) -> Float[Tensor, "m d"]:
    """The prompt, unless a number of it is NaN or infinite (in float32)."""
    bad = ~torch.isfinite(prompt)
    if bad.any():
        row, column = (bad.nonzero()[0] + 1).tolist()
        what = f"{int(bad.sum())} of {prompt.numel()} numbers are NaN or infinite, first row {row}, column {column}"
        hint = "its tuning diverged or the file is damaged: fetch or tune the prompt again"
        raise PtxError(f"{path}: {what}", hint)
    return prompt
