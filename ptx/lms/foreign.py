"""What people give in place of a model's folder: what it is, and what to do. Names of files and their first bytes."""

import re
from collections.abc import Iterable
from pathlib import Path

from ptx.errors import PtxError, shown
from ptx.lms.gguf import ENDING, MAGIC
from ptx.lms.hub import TOKENIZER_FILES
from ptx.lms.weights import FORMATS, read_json
from ptx.suites.lines import LFS

TOKENIZER = "tokenizer files"
SAVED = "save both into one folder with `save_pretrained`, and give that"
TENSORS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".npz", ".onnx")
ADAPTER = "adapter_config.json"
MERGE = "merge it with PEFT's `merge_and_unload`"
SOFT = ("PROMPT_TUNING", "P_TUNING", "CPT")
UNMERGED = ("PREFIX_TUNING", "MULTITASK_PROMPT_TUNING", "ADAPTION_PROMPT", "CARTRIDGE")  # PEFT itself refuses to
ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin", "pytorch_adapter.bin")
OTHERS = {  # file names, whose they are
    "tf_model*.h5": "TensorFlow", "*.ckpt.index": "TensorFlow", "flax_model*.msgpack": "Flax", "rust_model.ot": "Rust",
    "consolidated*.pth": "the original Llama code", "consolidated*.safetensors": "Mistral's own code",
}  # fmt: skip


def file(name: str, where: str = "") -> PtxError:
    """Why a file is no model; with `where` in front."""
    path, name = Path(name), where + name
    with path.open("rb") as stream:
        if stream.read(4) == MAGIC:
            return PtxError(f"{name} is a GGUF file by another name", f"call it {path.name}{ENDING}, and give that")
    if not path.name.endswith(TENSORS):
        return PtxError(f"{name} is a file, not a model's folder", f"give the folder with {FORMATS[0][0]}")
    if path.name in ADAPTERS and (error := adapter(str(path.parent), path.parent)):
        return PtxError(where + error.message, error.hint)
    if (path.parent / "config.json").is_file():
        return PtxError(f"{name} is a file of weights, not a model's folder", f"give its folder, {path.parent}")
    what = f"{name} is a file of weights: without config.json and a tokenizer beside it, it is no model"
    return PtxError(what, f"load it into its class and tokenizer with transformers, {SAVED}")


def adapter(name: str, folder: Path) -> PtxError | None:
    """Why an adapter is no model, if the folder holds one, alone or beside a model that it would change."""
    if (folder / ADAPTER).is_file():
        config = read_json(folder / ADAPTER)
        kind = config.get("peft_type")
        hint = f"{MERGE}, save the whole model, and give that folder"
        if kind in SOFT:
            hint = f"it is a soft prompt: `ptx import {name}`"
        elif kind in UNMERGED:
            hint = "it cannot be merged: give the model that it was made for"
        kind = "DORA" if config.get("use_dora") else kind
        what = (
            "an adapter" if kind is None else f"{'an' if str(kind)[:1] in 'AEIOU' else 'a'} {shown(str(kind))} adapter"
        )
        base = shown(str(config.get("base_model_name_or_path") or "unnamed"))
        return PtxError(f"{name} is {what} of another model, {base} (it has an {ADAPTER})", hint)
    if found := [name for name in ADAPTERS if (folder / name).is_file()]:
        if not (folder / "config.json").is_file():
            what = f"{name} is an adapter of another model ({found[0]}), without the {ADAPTER} that names it"
            return PtxError(what, f"fetch it again with that file; then {MERGE}, and save the whole model")
        what = f"{name} holds an adapter, {found[0]}, which a model read from there would lack"
        return PtxError(what, f"{MERGE}; or move it elsewhere, to have the model alone")
    return None


def check_pulled(name: str, files: Iterable[Path]) -> None:
    """Raise PtxError if one of a model's files is what Git LFS puts in its place."""
    for file in files:
        with file.open("rb") as stream:
            if stream.read(len(LFS)) == LFS:
                hint = f"fetch what it points to: git -C {name} lfs pull"
                raise PtxError(f"{name}: {file.name} is a pointer of Git LFS, not the file itself", hint)


def incomplete(name: str, lacks: str) -> PtxError:
    """Why a folder that `lacks` something is no model: what it holds instead, as far as that can be told."""
    folder = Path(name)
    if (folder / "snapshots").is_dir() and folder.name.startswith("models--"):
        repo = folder.name.removeprefix("models--").replace("--", "/")
        return PtxError(f"{name} is a folder of the hub's cache, not a model's", f"give {repo}, or {repo}@REVISION")
    whole = (folder / "config.json").is_file()
    if found := _in(folder, f"*{ENDING}"):
        return PtxError(f"{name} has no {lacks}, but a GGUF file", f"give that: {name}:{found[0].name}")
    if (folder / "modules.json").is_file() and (inside := _models_in(folder)):
        hint = f"give {Path(name) / inside[0].name}, which has words for anchors and searches; tuning needs an LM head"
        return PtxError(f"{name} is a folder of sentence-transformers; the model is inside, in {inside[0].name}", hint)
    if (folder / "model_index.json").is_file():
        return PtxError(f"{name} is a pipeline of diffusers", "give the folder of a masked or causal LM")
    if not whole and (inside := sorted(path.parent for path in folder.glob(f"*/{ADAPTER}"))):
        what = f"{name} holds no model, but adapters of another one: {', '.join(path.name for path in inside[-4:])}"
        return PtxError(what, f"{MERGE}, save the whole model, and give that folder")
    if not whole and (inside := _models_in(folder)):
        names = ", ".join(path.name for path in inside[-4:])
        what = f"{name} holds no model itself, but folders that do: {names}"
        return PtxError(what, f"give one of them, such as {Path(name) / inside[-1].name}")
    for pattern, whose in OTHERS.items():
        if found := _in(folder, pattern):
            hint = "fetch the weights for PyTorch, or convert them with a version of transformers that reads both"
            return PtxError(f"{name} has weights for {whose} only ({found[0].name})", hint)
    if found := _in(folder, "*.onnx") or _in(folder, "onnx/*.onnx"):
        what = f"{name} was exported to ONNX ({found[0].relative_to(folder)}), which ptx does not read"
        return PtxError(what, "give the model that it was exported from")
    if found := [path for ending in TENSORS for path in _in(folder, f"*{ending}")]:
        usual = " or ".join(single for single, _ in FORMATS)
        if not whole:
            what = f"{name} has weights ({found[0].name}) without a config.json that says what they are of"
            return PtxError(what, f"copy config.json and the tokenizer of that model into it, or {SAVED}")
        if lacks != TOKENIZER:
            what = f"{name} has no {usual}; {found[0].name} is not looked at"
            return PtxError(what, f"if these are all its weights, call the file {FORMATS[0][0]}; else {SAVED}")
    if lacks == TOKENIZER and any((folder.absolute().parent / own).is_file() for own in TOKENIZER_FILES):
        hint = f"a tokenizer lies in {folder.absolute().parent}: if it is this model's, copy its files into {name}"
        return PtxError(f"{name} has no {lacks}", hint)
    return PtxError(f"{name} has no {lacks}", "save model and tokenizer into it with `save_pretrained`")


def _in(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if path.is_file())


def _models_in(folder: Path) -> list[Path]:
    """The folders inside that hold a model, checkpoint-1000 behind checkpoint-500."""
    found = [config.parent for config in folder.glob("*/config.json")]
    found = [path for path in found if any((path / name).is_file() for names in FORMATS for name in names)]
    return sorted(found, key=lambda path: [(int(part), "") if part.isdigit() else (-1, part)
                                           for part in re.split(r"(\d+)", path.name)])  # fmt: skip
