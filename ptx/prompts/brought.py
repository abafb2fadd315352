"""What was read from a prompt file, for the model that it is meant for: in which scale, and what was left out."""

from jaxtyping import Float
from torch import Tensor

from ptx.engine.build import Reporter
from ptx.errors import PtxError
from ptx.formats import PromptFile
from ptx.formats.matrix import some, unscaled
from ptx.lms.embeddings import load_embeddings
from ptx.lms.models import Model
from ptx.transfer.mixtures import Embedded, embedded


def say_read(found: PromptFile, layout: str, model: Model, tell: Reporter) -> None:
    """Tell what was read for a model, what was done to it, and what was left out."""
    factor = factor_of(found, model)
    divided = f"divided by {factor:.6g}, which the embedding layer of {model.name} multiplies by" if factor != 1 else ""
    words = str(on_model(found, model)) if found.words is not None else ""
    tell.message("; ".join(filter(None, [f"{found}", f"layout {layout}", found.note, divided, words])))
    if found.beside:
        tell.warn(left_out(found))


def left_out(found: PromptFile) -> str:
    return f"{found.path} has other weights beside the prompt, which are left out: {some(found.beside)}"


def factor_of(found: PromptFile, model: Model) -> float:
    """The factor of the model's embedding layer that is in the vectors of a file."""
    if not found.behind:
        return 1.0
    from ptx.lms.families import factor_by_class  # which needs the classes of networks

    return factor_by_class(model)


def in_front(found: PromptFile, model: Model) -> Float[Tensor, "m d"]:
    """The vectors in the scale of the model's word-embedding matrix, as ptx has them: what the embedding layer
    turns into the file's vectors, or what the file's words are on the model."""
    if found.words is not None:
        return on_model(found, model).prompt
    return unscaled(found.prompt, factor_of(found, model))


def on_model(found: PromptFile, model: Model) -> Embedded:
    """A file of words on a model. Raises PtxError for words that it does not know."""
    assert found.words is not None
    return embedded(load_embeddings(model, "cpu"), found.words.vectors)


def check_alone(found: PromptFile) -> None:
    """Raise PtxError for an adapter with other weights beside the prompt. PEFT saves what was trained, or resized."""
    if found.format == "peft" and found.beside:
        what = f"{found.path} was trained together with {some(found.beside)}, and its prompt is of little use alone"
        raise PtxError(what, f"import the prompt alone all the same: `ptx import {found.path} --unchecked`")
