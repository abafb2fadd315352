"""What `ptx models` and Table 4 say about models, from their files and cards. Nothing heavy is imported."""

import functools
import json
from pathlib import Path
from typing import Any

from ptx.config.nearby import aliases
from ptx.lms import weights
from ptx.lms.known import PAPER, ZOO_FOLDER, zoo
from ptx.lms.models import Model, resolve, unchanged

# What configurations call the hidden width.
HIDDEN = ("hidden_size", "d_model", "n_embd", "dim", "emb_dim")


@functools.cache  # a Model names its files' digest
def embedding_width(model: Model) -> int:
    """The width of the word embeddings, by their matrix. In ALBERT, ELECTRA and OPT it is not the hidden width."""
    with unchanged(model):
        shape = weights.matrix_shape(Path(model.path))
    if shape is not None:
        return shape[1]
    from ptx.lms.families import width_by_class  # no safetensors file shows it

    return width_by_class(model)


def card(name: str) -> dict[str, Any]:
    """The card of an embedded model: its data, recipe, seconds, loss and accuracies."""
    return json.loads((ZOO_FOLDER / name / "card.json").read_text("utf-8"))


def describe(name: str) -> dict[str, Any]:
    """A row of Table 4 from a model's files and card: `name`, `parameters`, `hidden`, `embedding`, `task`, `data`."""
    model = resolve(name)
    config = model.config
    if name in zoo():
        data = f"{card(name)['sentences']:,} sentences of the facts suite"
    else:
        data = ", ".join(_data_of(Path(model.path))) or "not in its card"
    task = "causal LM" if is_decoder(model) else "masked LM"
    return {
        "name": name,
        "parameters": weights.parameters(Path(model.path)),
        "hidden": next((config[key] for key in HIDDEN if key in config), None),
        "embedding": embedding_width(model),
        "task": "encoder-decoder" if config.get("is_encoder_decoder") else task,
        "data": data,
    }


def is_decoder(model: Model) -> bool:
    """Whether a model was saved as a causal LM: by its configuration, without its code."""
    saved_as = model.config.get("architectures")
    return isinstance(saved_as, list) and str((saved_as or [""])[0]).endswith(("ForCausalLM", "LMHeadModel"))


def _data_of(folder: Path) -> list[str]:
    """The training data that a hub model's card names."""
    if not (folder / "README.md").is_file():
        return []
    from huggingface_hub import ModelCard

    found = ModelCard.load(folder / "README.md").data.datasets or []
    return [found] if isinstance(found, str) else list(found)


def catalogue() -> list[dict[str, Any]]:
    """What `ptx models` lists: the embedded models with their figures, then the paper's aliases, then those of the
    nearest settings file."""
    own = {**PAPER, **aliases()}
    return [*map(_embedded, zoo()), *({"name": alias, "where": where} for alias, where in own.items())]


def _embedded(name: str) -> dict[str, Any]:
    about = card(name)
    shape, accuracy = about["shape"], about.get("accuracy", {})
    return {
        "name": name,
        "where": "embedded",
        "parameters": about["parameters"],
        "hidden": shape["hidden_size"],
        "embedding": shape.get("embedding_size", shape["hidden_size"]),
        "manual": accuracy.get("manual"),
        "tuned": accuracy.get("tuned"),
    }
