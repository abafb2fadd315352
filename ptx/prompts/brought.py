"""What was read from a prompt file, for the model that it is meant for: in which scale, and what was left out."""

import contextlib
import os

from jaxtyping import Float
from torch import Tensor

from ptx.cache import Store
from ptx.config.nearby import aliases
from ptx.engine.build import Reporter
from ptx.errors import PtxError
from ptx.formats import PromptFile
from ptx.formats.matrix import some, unscaled
from ptx.lms.embeddings import load_embeddings
from ptx.lms.models import Model
from ptx.lms.names import public
from ptx.prompts.given import PROMPTS, made_for
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


def model_in(found: PromptFile, store: Store) -> str:
    """The model that a file says it is for, empty if it says none. Raises PtxError for one of which a card has the name
    alone: it is looked for where PEFT's own file says, among the aliases of the settings file, in this folder, and
    where it was when the prompt was made, if that is in the cache."""
    record, base = found.record, found.base
    if record is None or not record.local:
        return found.model
    if base and record.model.rpartition("/")[2] == public([base])[base]:
        return base
    if record.model in aliases() or os.path.exists(record.model):
        return record.model
    with contextlib.suppress(PtxError):
        return made_for(store.find(record.key, PROMPTS))[0]
    what = f"{found.path} is for a model that was in a folder {record.model}, and does not say where"
    raise PtxError(what, "add --model FOLDER, or a hub id of that very model")


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
