"""PEFT's prompt tuning and p-tuning: a folder of `adapter_config.json` and `adapter_model.safetensors` (or `.bin`)."""

import dataclasses
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
FINISHED = ("PROMPT_TUNING", "P_TUNING", "CPT")  # what is saved is what PEFT puts before the input (get_prompt)
LAYERS = "keys and values for every layer, not vectors at the input"
OTHERS = {
    "PREFIX_TUNING": LAYERS, "CARTRIDGE": LAYERS,
    "MULTITASK_PROMPT_TUNING": "one matrix for all tasks and factors for each, of which PEFT makes a task's prompt",
}  # fmt: skip
HINTS = {
    "MULTITASK_PROMPT_TUNING": "save one task's prompt and give that file: "
    '`torch.save(model.get_prompt(1, torch.tensor([TASK]))[0].detach(), "prompt.pt")`'
}


def read(folder: Path) -> Matrix:
    """Raises PtxError for adapters that are not one matrix of prompt vectors."""
    config = json.loads((folder / CONFIG).read_text("utf-8"))
    if not isinstance(config, dict):
        raise ValueError(f"{CONFIG} is not a JSON object")
    kind = config.get("peft_type")
    if kind not in FINISHED:
        what = OTHERS.get(str(kind), "weights inside the network, not vectors at its input")
        hint = HINTS.get(str(kind), "give an adapter of PEFT's PromptTuningConfig or PromptEncoderConfig")
        raise PtxError(f"{folder} is a {kind} adapter: {what}", hint)
    weights = next((folder / name for name in (WEIGHTS, OLD_WEIGHTS) if (folder / name).is_file()), None)
    if weights is None:
        raise PtxError(f"{folder} has neither {WEIGHTS} nor {OLD_WEIGHTS}", "fetch the adapter again, with its weights")
    found = (tensors if weights.name == WEIGHTS else torch_files).read(weights)
    # Two by default for encoder-decoders, but PEFT feeds the first half alone, to the encoder (PeftModelForSeq2SeqLM).
    parts = config.get("num_transformer_submodules") or (2 if config.get("task_type") == "SEQ_2_SEQ_LM" else 1)
    n, d = config.get("num_virtual_tokens") or len(found.values) // parts, config.get("token_dim")
    shape = tuple(found.values.shape)
    if len(shape) == 2 and (shape[0] != n * parts or d not in (None, shape[1])):
        vectors = f"{n} vectors" if parts == 1 else f"{n} vectors each for an encoder and a decoder,"
        message = f"{folder}: {CONFIG} speaks of {vectors} of width {d}, {weights.name} has shape {shape}"
        raise PtxError(message, "the two files do not belong together: fetch the adapter again")
    note = "the encoder's half of its rows; PEFT never uses the decoder's" if parts > 1 else found.note
    base, revision = config.get("base_model_name_or_path"), config.get("revision")
    base = base if isinstance(base, str) and base else None
    if base and isinstance(revision, str) and revision not in ("", "main") and not Path(base).is_dir():
        base = f"{base}@{revision}"
    return dataclasses.replace(found, values=found.values[:n], base=base, layout="prefix", behind=True, note=note)


def files(
    prompt: Float[Tensor, "m d"], *, base: str, revision: str | None, layers: int | None, heads: int | None
) -> dict[str, bytes]:
    """The adapter of a causal LM, by file name. PEFT puts its vectors before everything that the tokenizer returns.

    `layers` and `heads` of the base model change nothing, but PEFT asks for them and finds XGLM's by itself not.
    """
    m, d = prompt.shape
    config: dict[str, Any] = {
        "peft_type": "PROMPT_TUNING", "task_type": "CAUSAL_LM", "inference_mode": True,
        "base_model_name_or_path": base, "revision": revision, "prompt_tuning_init": "RANDOM",
        "num_transformer_submodules": 1, "num_virtual_tokens": m, "token_dim": d,
        "num_layers": layers, "num_attention_heads": heads,
    }  # fmt: skip
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    return {CONFIG: text.encode("utf-8"), WEIGHTS: save({TENSOR: prompt.contiguous()}, metadata={"format": "pt"})}
