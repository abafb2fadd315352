"""A prompt as a tensor, with what is known of it: for notebooks."""

from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from ptx import formats
from ptx.cache import STAGES, Store
from ptx.engine.build import Reporter
from ptx.lms.models import resolve
from ptx.prompts.brought import in_front, left_out
from ptx.prompts.given import find
from ptx.prompts.record import record_of
from ptx.stages.tune import FILE


def load(
    named: str, store: Store, tell: Reporter, *, model: str, format: str, rows: int | None
) -> tuple[Float[Tensor, "m d"], dict[str, Any]]:
    """The vectors of a key or file, on `model` if that is named (in the scale of its word-embedding matrix), and what
    the artifact, the card beside the file or the file itself says. Raises PtxError."""
    found = find(named, store, STAGES)
    if not isinstance(found, Path):
        return formats.read_prompt(found.path / FILE), record_of(found, store).to_dict()
    read = formats.read(found, format=format, rows=rows)
    if read.beside:
        tell.warn(left_out(read))
    vectors = in_front(read, resolve(model)) if model else formats.vectors_in(read)
    about: dict[str, Any] = {"model": read.model, "layout": read.layout}
    if read.record is not None:
        about = read.record.to_dict()
    elif read.words is not None:
        about |= read.words.origin()
    return vectors, {**about, "format": read.format, "vectors": len(vectors), "width": vectors.shape[1]}
