"""PEFT's prompt tuning: a folder of `adapter_config.json` and `adapter_model.safetensors` (or `.bin`)."""

import json
from pathlib import Path
from typing import Any

from jaxtyping import Float
from safetensors.torch import save
from torch import Tensor

from ptx.errors import PtxError
from ptx.formats import tensors, torch_files
from ptx.formats.matrix import Matrix

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
OLD_WEIGHTS = "adapter_model.bin"
TENSOR = "prompt_embeddings"


def read(folder: Path) -> Matrix:
    """Raises PtxError for adapters that are not one matrix of prompt vectors."""
    config = json.loads((folder / CONFIG).read_text("utf-8"))
    if not isinstance(config, dict):
        raise ValueError(f"{CONFIG} is not a JSON object")
    kind = config.get("peft_type")
    if kind != "PROMPT_TUNING":
        what = f"a {kind} adapter; only a PROMPT_TUNING adapter is a matrix of prompt vectors at the input"
        raise PtxError(f"{folder} is {what}", "give an adapter of PEFT's PromptTuningConfig")
    submodules = config.get("num_transformer_submodules") or (2 if config.get("task_type") == "SEQ_2_SEQ_LM" else 1)
    if submodules != 1:
        message = f"{folder} holds {submodules} prompts, for an encoder and a decoder (num_transformer_submodules)"
        raise PtxError(message, "ptx works on models with one input: give an adapter of a masked or causal LM")
    weights = next((folder / name for name in (WEIGHTS, OLD_WEIGHTS) if (folder / name).is_file()), None)
    if weights is None:
        raise PtxError(f"{folder} has neither {WEIGHTS} nor {OLD_WEIGHTS}", "fetch the adapter again, with its weights")
    found = (tensors if weights.name == WEIGHTS else torch_files).read(weights)
    said = config.get("num_virtual_tokens"), config.get("token_dim")
    shape = tuple(found.values.shape)
    if len(shape) == 2 and any(n is not None and n != m for n, m in zip(said, shape, strict=True)):
        message = f"{folder}: {CONFIG} speaks of {said[0]} vectors of width {said[1]}, {weights.name} has shape {shape}"
        raise PtxError(message, "the two files do not belong together: fetch the adapter again")
    base = config.get("base_model_name_or_path")
    return Matrix(found.values, base=base if isinstance(base, str) and base else None, layout="prefix")


def files(prompt: Float[Tensor, "m d"], *, base: str, revision: str | None) -> dict[str, bytes]:
    """The adapter of a causal LM, by file name. PEFT puts its vectors before everything that the tokenizer returns."""
    m, d = prompt.shape
    config: dict[str, Any] = {
        "peft_type": "PROMPT_TUNING", "task_type": "CAUSAL_LM", "inference_mode": True,
        "base_model_name_or_path": base, "revision": revision, "prompt_tuning_init": "RANDOM",
        "num_transformer_submodules": 1, "num_virtual_tokens": m, "token_dim": d,
    }  # fmt: skip
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    return {CONFIG: text.encode("utf-8"), WEIGHTS: save({TENSOR: prompt.contiguous()}, metadata={"format": "pt"})}
