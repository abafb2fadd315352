"""What of a model's folder is read, and so is part of its digest; and what of it is refused.

transformers finds files by their names, of which each class of tokenizers has its own, and by names that other files
tell it. So every file counts but what certainly is not read, and configurations that name files, code, kernels or
repositories are refused.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ptx.errors import PtxError, shown
from ptx.files import State, digest_of, settled, state
from ptx.lms.weights import read_json, weight_files

CONFIG, TOKENIZER_CONFIG = "config.json", "tokenizer_config.json"
# Texts for people, settings of generation, images, sounds and training, what belongs to a repository, other formats of
# weights (those of ours that are read are found by weight_files), and code, which is never run: how names begin or end.
NOT_READ_BEGIN = (
    ".", "readme", "license", "licence", "copying", "notice", "use_policy", "use-policy", "citation", "changelog",
    "model_card", "modelcard", "modelfile", "chat_template", "events.out.tfevents", "generation_config.json",
    "card.json", "trainer_state.json", "adapter_config.json", "modules.json", "model_index.json",
    "config_sentence_transformers.json", "sentence_bert_config.json",
)  # fmt: skip
NOT_READ_END = (
    ".safetensors", ".bin", ".gguf", ".onnx", ".onnx_data", ".h5", ".msgpack", ".ot", ".tflite", ".mlmodel", ".pt",
    ".pth", ".ckpt", ".npz", ".npy", ".parquet", ".arrow", ".index.json", "results.json", "processor_config.json",
    ".md", ".rst", ".pdf", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".html", ".py", ".ipynb", ".sh", ".yml",
    ".yaml", ".log", ".lock", ".tmp", ".zip", ".gz", ".tgz", ".tar", ".orig", ".bak", ".out", ".ini", ".db", "~",
)  # fmt: skip
# Model types for which transformers goes by the type, whatever class of tokenizers a folder names: those of which the
# hub has wrong names, and Mistral's, whose older files it reads otherwise.
BY_TYPE = {
    "arctic", "chatlm", "ernie4_5", "ernie4_5_moe", "fuyu", "h2ovl_chat", "hyperclovax", "hyperclovax_vlm",
    "hyperclovax_vision_v2", "internlm2", "internlm3", "iquestcoder", "jamba", "llava", "llava_next", "minicpm3",
    "minicpmv", "minimax_m2", "modernbert", "modernbert-decoder", "molmo", "molmo2", "nemotron", "nvfp4",
    "opencua", "openvla", "paddleocr_vl", "phi3", "phi3_v", "phimoe", "qwen2", "qwen3_5", "qwen3_5_moe",
    "qwen3_5_moe_text", "qwen4_exp", "step3_vl", "vipllava", "cohere_asr", "camembertv2-base", "siglip2",
    "smolvlm", "mistral", "mistral3", "voxtral", "ministral", "pixtral",
}  # fmt: skip
NAMES_CODE = ("auto_map", "custom_pipelines", "custom_generate")
NAMES_FILES = ("transformers_weights", "configuration_files", "fast_tokenizer_files", "init_inputs", "gguf_file")
MAY_NAME_A_FILE = re.compile(r"(.*_)?(files?|vocab|merges)")
SEVERAL = ("attn_implementation", "experts_implementation", "kernel", "repo_id")  # parts of keys of kernels

States = tuple[tuple[str, State | None], ...]


def counted(folder: Path) -> tuple[list[Path], list[Path]]:
    """The files that a tokenizer may be made of, and what else a network is: its configuration and weights. Links are
    followed: the hub's own cache is made of them."""
    of_network = [folder / CONFIG, *weight_files(folder)]
    weights = {file.name for file in of_network}
    names = [name for name in sorted(os.listdir(folder)) if name not in weights and _may_be_read(name.lower())]
    return [folder / name for name in names if (folder / name).is_file()], of_network


def _may_be_read(name: str) -> bool:
    return not (name.startswith(NOT_READ_BEGIN) or name.endswith(NOT_READ_END))


def states(folder: Path) -> States:
    """What changes when a file that counts is written, replaced, added or removed."""
    try:
        tokenizer, network = counted(folder)
    except (OSError, PtxError):  # gone, or being written
        return (("", state(folder)),)
    return tuple((file.name, state(file)) for file in [*tokenizer, *network])


def are_settled(of: States) -> bool:
    return settled(*(each for _, each in of))


def digests(folder: Path, *, tokenizer_only: bool = False) -> tuple[dict[str, str], dict[str, str]]:
    """SHA-256 of the network's files, none with `tokenizer_only`, and of the tokenizer's, by name; among the latter
    what transformers goes by in config.json. Raises PtxError for files that change meanwhile."""
    tokenizer, network = counted(folder)
    found = {file.name: digest_of(file) for file in tokenizer}
    config, own = read_json(folder / CONFIG), read_json(folder / TOKENIZER_CONFIG)
    if "tokenizer_class" not in own:
        found["model_type"] = str(config.get("model_type"))
        if config.get("tokenizer_class"):
            found["tokenizer_class"] = str(config["tokenizer_class"])
    elif {str(config.get("model_type")), str(config.get("model_name"))} & BY_TYPE:
        found |= {name: str(config.get(name)) for name in ("model_type", "model_name", "transformers_version")}
    return {} if tokenizer_only else {file.name: digest_of(file) for file in network}, found


def refuse(name: str, folder: Path) -> None:
    """Raise PtxError for a checkpoint that wants its own code, a kernel or another repository's to run, or that names
    other files than those it is made of."""
    for file in (CONFIG, TOKENIZER_CONFIG, "special_tokens_map.json"):
        for key, value in _entries(read_json(folder / file)):
            last = key.rpartition(".")[2]
            if value and last in NAMES_CODE:
                raise PtxError(
                    f"{name} brings code of its own ({key} in {file}), which ptx never runs",
                    "choose a checkpoint that transformers reads by itself; if it has a class for this model type, "
                    f"remove {key} in a local copy and give that folder",
                )
            if any(part in last for part in SEVERAL) and (of := _repository(value)):
                raise PtxError(
                    f"{name} asks for code of the repository {shown(of)} ({key} in {file}), which ptx never runs",
                    f"remove {key} in a local copy and give that folder: ptx chooses what computes attention itself",
                )
            if value and (last in NAMES_FILES or (MAY_NAME_A_FILE.fullmatch(last) and _is_there(value))):
                raise PtxError(
                    f"{name} names other files than those it is made of ({key} in {file})",
                    f"remove {key} in a local copy, call the files as usual, and give that folder",
                )


def _entries(content: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of a configuration and of those inside it, with its value."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield f"{above}{key}", value
            yield from _entries(value, f"{above}{key}.")


def _repository(value: Any) -> str:
    """The first text in a value that could be a repository's name."""
    if isinstance(value, dict | list):
        inside = value.values() if isinstance(value, dict) else value
        return next(filter(None, map(_repository, inside)), "")
    return value if isinstance(value, str) and "/" in value else ""


def _is_there(value: Any) -> bool:
    """Whether a value is the path of something on this machine: old tokenizers name files of their authors'."""
    return isinstance(value, str) and os.path.exists(value)
