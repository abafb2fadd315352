"""What a checkpoint's folder holds, read from JSON and safetensors headers alone: no weights, no torch, no pickle."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from ptx.errors import PtxError, shown

# A single file or the index of several, in transformers' order of preference.
FORMATS = (("model.safetensors", "model.safetensors.index.json"), ("pytorch_model.bin", "pytorch_model.bin.index.json"))
# How the names of word-embedding matrices end: BERT's kin and BLOOM, GPT-2, Llama's kin and OPT, GPT-NeoX, ModernBERT.
MATRICES = ("word_embeddings.weight", "wte.weight", "embed_tokens.weight", "embed_in.weight", "tok_embeddings.weight")
# What configurations call numbers of layers, each of which has tensors, and of what may be a row of one tensor.
LAYERS = re.compile(r"(layers?|depths?|hidden_groups|group_num|blocks|stages)$")
ROWS = re.compile(r"(experts|num_labels)$")
SHARING, MOST_LAYERS, MOST_ROWS = 100, 1000, 100_000  # layers may share tensors, as ALBERT's; in files without headers
SHARED = "shared.weight"  # T5 and BART: one matrix for encoder and decoder, of which older files hold copies
LONGEST = 10**8  # bytes of a header that safetensors itself reads
SIZES = {  # bytes of a number, as headers spell its type
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "C64": 8, "BOOL": 1,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Stored:
    """A tensor in a safetensors file."""

    file: Path
    name: str
    shape: tuple[int, ...]
    dtype: str  # as headers spell it: F32, BF16
    begin: int  # of its bytes in the file


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file, empty if there is no file. Raises PtxError if it is not one."""
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise PtxError(f"cannot read {file}: {error}", "save the model again with `save_pretrained`") from None
    if not isinstance(content, dict):
        raise PtxError(f"{file} holds no JSON object", "save the model again with `save_pretrained`")
    return content


def weight_files(folder: Path) -> list[Path]:
    """The files of weights that transformers loads, indices included: safetensors win over older formats.

    Raises PtxError if an index names files that are not there.
    """
    for single, index in FORMATS:
        if (folder / single).is_file():
            return [folder / single]
        if names := shards(folder / index):
            if missing := [name for name in names if not (folder / name).is_file()]:
                raise PtxError(f"{folder} lacks {missing[0]}, which {index} names", "save or download the model again")
            return [folder / name for name in (index, *names)]
    return []


def shards(index: Path) -> list[str]:
    """The files that an index names. Raises PtxError for a name that leads out of the index's folder."""
    content = read_json(index).get("weight_map", {})
    names = sorted({str(name) for name in content.values()}) if isinstance(content, dict) else []
    for name in names:
        if Path(name).name != name:
            raise PtxError(f"{index} names a file outside of its folder: {name}", "download the model again")
    return names


def stored(folder: Path) -> list[Stored]:
    """The tensors of a folder's safetensors files, by their headers; none for older formats and damaged files."""
    found = []
    for file in weight_files(folder):
        if file.suffix == ".bin":
            return []
        if file.suffix != ".safetensors":
            continue
        try:
            found += tensors_of(file)
        except (OSError, SafetensorError):
            return []
    return found


def tensors_of(file: Path) -> list[Stored]:
    """The tensors of a safetensors file, by its header; read, not mapped, since a mapped file that others cut short
    ends the process. Raises SafetensorError for one that is not whole."""
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(0)
        length = int.from_bytes(stream.read(8), "little")
        if not 2 <= length <= min(size - 8, LONGEST):
            raise SafetensorError(f"{file.name} is no safetensors file, or was cut off")
        text = stream.read(length)
    try:
        header = {name: own for name, own in json.loads(text).items() if name != "__metadata__"}
        found = [
            (own["data_offsets"], Stored(file, name, tuple(own["shape"]), own["dtype"], 8 + length + begin))
            for name, own in header.items()
            for begin in own["data_offsets"][:1]
        ]
        end = 0
        for (begin, after), tensor in sorted(found, key=lambda pair: pair[0]):
            if begin != end or after < begin or min(tensor.shape, default=0) < 0:
                raise ValueError(f"{tensor.name} is not where it should be")
            wanted = math.prod(tensor.shape) * SIZES.get(tensor.dtype, 0)
            if not re.fullmatch(r"(F|BF|I|U|C)\d\w*|BOOL", tensor.dtype):
                raise ValueError(f"{tensor.dtype} is no type of numbers")
            if tensor.dtype in SIZES and after - begin != wanted:
                raise ValueError(f"{tensor.name} has {after - begin} bytes, not {wanted}")
            end = after
        if 8 + length + end != size:
            raise ValueError(f"it has {size} bytes, not {8 + length + end}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SafetensorError(f"the header of {file.name} is damaged, or the file was cut off: {error}") from None
    return [tensor for _, tensor in found]


def check_counts(name: str, folder: Path, *, whole: bool) -> None:
    """Raise PtxError for a config.json with more layers than the files have tensors for (if these are there as a
    `whole`): a network would be built for hours before that was noticed."""
    counts = [(key, count) for key, count in _counts(read_json(folder / "config.json")) if count > SHARING]
    tensors = len(stored(folder)) if counts and whole else 0
    for key, count in counts:
        most = MOST_ROWS if ROWS.search(key) else tensors + SHARING if tensors else MOST_LAYERS
        if count > most:
            what = f"{name}: config.json says {shown(key)} {count:,}, too many for {tensors or 'its'} tensors"
            raise PtxError(what, "it does not describe these weights: download or save the model again")


def _counts(values: dict[str, Any]) -> Iterator[tuple[str, int]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _counts(value)
        elif isinstance(value, int) and (LAYERS.search(key) or ROWS.search(key)):
            yield key, value


def unscaled(folder: Path) -> list[str]:
    """The factors that 8-bit floating-point numbers of a folder's safetensors files lack, by their names."""
    found = {tensor.name: tensor.dtype for tensor in stored(folder)}
    scales = {f"{name}_scale_inv" for name, kind in found.items() if kind.startswith("F8_")}
    return sorted(scales - found.keys())


def word_matrix(folder: Path) -> Stored | None:
    """The word-embedding matrix, unless other than exactly one stored tensor has a name that says so."""
    tensors = stored(folder)
    for endings in ((SHARED,), MATRICES):
        found = [tensor for tensor in tensors if tensor.name.endswith(endings) and len(tensor.shape) == 2]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def matrix_shape(folder: Path) -> tuple[int, ...] | None:
    """The (words, width) of the word-embedding matrix, if a header shows it."""
    matrix = word_matrix(folder)
    return None if matrix is None else matrix.shape


def parameters(folder: Path) -> int | None:
    """How many numbers the safetensors files hold; None for older formats."""
    return sum(math.prod(tensor.shape) for tensor in stored(folder)) or None


def own_type(folder: Path) -> str:
    """The type that most numbers of a checkpoint have, of those that networks compute in: by the headers of its
    files, else (older formats) by its config.json."""
    counts: dict[str, int] = {}
    for tensor in stored(folder):
        counts[tensor.dtype] = counts.get(tensor.dtype, 0) + math.prod(tensor.shape)
    if counts:
        return {"BF16": "bfloat16", "F16": "float16"}.get(max(counts, key=lambda kind: counts[kind]), "float32")
    config = read_json(folder / "config.json")
    said = str(config.get("dtype") or config.get("torch_dtype"))
    return said if said in ("bfloat16", "float16") else "float32"
