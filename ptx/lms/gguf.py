"""GGUF files: dequantised once, by transformers' own reader, into a folder that is then read as any model's.

The folder lies in the cache, beside the artifacts, as `models/v1/gguf/<key>/`; it appears whole or not at all, and is
compared with its digests when it is read. The key, and the model's digest, come from the GGUF file's bytes, never from
what was made of them.
"""

import functools
import math
import os
import re
import shutil
import time
from collections.abc import Callable
from contextvars import ContextVar
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ptx.cache import MODELS, Store, digest, leases, models_beside
from ptx.cache.remote import folder_of
from ptx.errors import PtxError, first_line
from ptx.files import State, changed, digest_of, state

ENDING = ".gguf"
MAGIC = b"GGUF"
NEEDED = ("gguf", "accelerate")  # accelerate: transformers refuses to read a GGUF file without it
EXTRA = f"run `pip install {' '.join(NEEDED)}`"
WHOLE = "give the model that it was made from, or another GGUF file of it"
PART = re.compile(r"-\d{5}-of-\d{5}\.gguf$")
BLOCK = re.compile(r"blk\.(\d+)\.")
INSIDE = re.compile(r"(.+):([^/\\:]+\.gguf)")
# Beside language models, llama.cpp keeps in such files ...
BESIDE = {"mmproj": "the part of a model that reads images or sounds", "adapter": "an adapter of another model",
          "imatrix": "an importance matrix, of use for quantizing only"}  # fmt: skip

Tell = Callable[[str], None]
# Where this command's cache is, and whom to tell; a command without either uses what PTX_CACHE_DIR says.
KEPT: ContextVar[tuple[Store, Tell]] = ContextVar("kept")


def keep_in(store: Store, tell: Tell) -> None:
    """From here on, dequantised models are kept beside the artifacts of `store`."""
    KEPT.set((models_beside(store), tell))


def parts(name: str) -> tuple[str, str]:
    """The folder (or hub id) and the file of FOLDER:FILE.gguf; empty for other names."""
    found = INSIDE.fullmatch(name)
    return (found[1], found[2]) if found else ("", "")


def only_one(folder: str) -> Path | None:
    """The GGUF file in a folder, if there is one. Raises PtxError if there are several models."""
    found = [file for file in sorted(Path(folder).absolute().glob(f"*{ENDING}")) if file.is_file()]
    if len(found) > 1 and not PART.search(found[0].name):
        names = ", ".join(f"{folder}:{file.name}" for file in found)
        raise PtxError(f"{folder} holds {len(found)} GGUF files", f"name one of them: {names}")
    return found[0] if found else None


def dequantised(name: str, file: Path) -> tuple[Path, str]:
    """The folder that was made of a GGUF file, now or before, and the key of the model, which is that of the file.

    Raises PtxError for a file that is damaged, or holds something else than a language model that transformers knows.
    """
    with file.open("rb") as stream:
        if stream.read(4) != MAGIC:
            raise PtxError(f"{name} is no GGUF file: it does not begin like one", "fetch it again")
    key = key_of(file)
    store, tell = KEPT.get((Store(folder_of(os.environ.get("PTX_CACHE_DIR", "cache")) / "models"), lambda text: None))
    folder = store.folder(MODELS, key)
    if not intact(folder, store.warn):
        _make(name, file, key, store, tell)
    return folder, key


def key_of(file: Path) -> str:
    """The key of the model in a GGUF file, which need not have been dequantised."""
    return _key(digest_of(file))


def _key(content: str) -> str:
    """What decides the numbers: the file's bytes, and how they are read, which a major version may change."""
    return digest({"gguf": content, "transformers": version("transformers").split(".")[0]})


def intact(folder: Path, warn: Tell = lambda text: None) -> bool:
    """Whether a folder that was made of a GGUF file is there, as it was made."""
    if not folder.is_dir():
        return False
    return _intact(folder, warn, tuple((file.name, state(file)) for file in sorted(folder.iterdir())))


@functools.lru_cache(maxsize=64)
def _intact(folder: Path, warn: Tell, states: tuple[tuple[str, State | None], ...]) -> bool:
    return Store(folder.parents[2], warn).read(MODELS, folder.name) is not None


def _make(name: str, file: Path, key: str, store: Store, tell: Tell) -> None:
    if lacking := [package for package in NEEDED if find_spec(package) is None]:
        raise PtxError(f"{name} is a GGUF file, which takes the package {lacking[0]} to read", EXTRA)
    began = time.monotonic()
    held = store.lock(f"{MODELS}-{key[:16]}", lambda: tell(f"waiting for another ptx that dequantises {name}"))
    with leases.held(store, [(MODELS, key)]), held:  # its folder stands unfinished for long
        if store.read(MODELS, key) is not None:
            return
        tell(f"dequantising {name}, once")
        meta = {"labels": {"model": name}, "gguf": version("gguf")}
        made = store.publish(MODELS, key, meta, functools.partial(_write, name, file, key))
    size = sum(path.stat().st_size for path in made.path.iterdir()) / 1e6
    tell(f"dequantised {name} once: {size:.0f} MB in {time.monotonic() - began:.1f} s, kept in {made.path}")


def _write(name: str, given: Path, key: str, folder: Path) -> None:
    """Save model and tokenizer into a folder, of a copy of the file that nobody else writes: it is read by mapping it.

    Raises PtxError if the copy is not what was hashed.
    """
    file = folder / "copy" / given.name
    file.parent.mkdir()
    try:
        shutil.copyfile(given, file)
        if _key(digest_of(file)) != key:
            raise changed(name)
        _save(name, file, folder)
    finally:
        shutil.rmtree(file.parent, ignore_errors=True)


def _save(name: str, file: Path, folder: Path) -> None:
    """Every number is the one that dequantising to float32 gives; where all of a tensor's fit into 16 bits (F16 and
    BF16 files), it takes no more."""
    import torch
    from transformers import AutoConfig, AutoTokenizer, GgufConfig, modeling_gguf_pytorch_utils
    from transformers.utils import logging

    from ptx.lms.families import LOADERS, kind_of

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    vars(modeling_gguf_pytorch_utils)["tqdm"] = logging.tqdm  # a bar of its own, which that does not reach
    where: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True, "trust_remote_code": False}
    try:
        check(name, file)
        kind = kind_of(name, AutoConfig.from_pretrained(file.parent, **where))
        network, report = LOADERS[kind].from_pretrained(
            file.parent, dtype=torch.float32, output_loading_info=True,
            quantization_config=GgufConfig(dequantize=True), **where,  # else it would fetch kernels, which are code
        )  # fmt: skip
        tokenizer = AutoTokenizer.from_pretrained(file.parent, **where)
        if missing := sorted(report["missing_keys"]):
            raise ValueError(f"{missing[0]} is missing")
        _check_all_read(file, network)
    except PtxError:
        raise
    except MemoryError:
        raise PtxError(f"{name} takes more memory to dequantise than there is", "take a smaller model") from None
    except Exception as error:  # its own readers raise any kind for a file that is not as it should be
        what = f"transformers {version('transformers')} cannot read {name}: {first_line(error)}"
        raise PtxError(what, f"if it is damaged, fetch it again; else {WHOLE}") from None
    vars(network.config).pop("quantization_config", None)
    network.hf_quantizer = None  # with either, it would not be saved, or be read as quantized
    for parameter in network.parameters():
        parameter.data = _smallest(parameter.data)
    network.save_pretrained(folder)
    network.config.dtype = torch.float32  # what is computed in, whatever the first tensor was kept as
    network.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _smallest(tensor: Any) -> Any:
    import torch

    halves = (tensor.to(kind) for kind in (torch.bfloat16, torch.float16))
    return next((half for half in halves if half.float().equal(tensor)), tensor)


def check(name: str, file: Path) -> None:
    """Raise PtxError for a GGUF file that is not a whole language model, going by what it says of itself."""
    from transformers.integrations.gguf.reader import read_gguf_metadata

    if PART.search(file.name):
        hint = "join them with llama.cpp's `llama-gguf-split --merge`, and give the whole"
        raise PtxError(f"{name} is one part of a model that was split", hint)
    said, tensors = read_gguf_metadata(str(file))
    family, kind = said["general.architecture"], said.get("general.type", "model")
    if what := BESIDE.get("mmproj" if family == "clip" else kind):
        raise PtxError(f"{name} holds {what}, no language model", "give the GGUF file of the language model")
    if not 0 < said.get(f"{family}.block_count", 1) <= len(tensors):
        raise ValueError("it says that it has more layers than tensors")


def _check_all_read(file: Path, network: Any) -> None:
    """Raise ValueError if the file holds numbers that the network has no place for, of which its reader says nothing:
    all but tables of positions, which are computed, and layers behind the last (they guess several tokens at once)."""
    from transformers.integrations.gguf.reader import GgufHeader

    try:
        tensors = GgufHeader.from_file(str(file)).tensors
    except ValueError:  # a kind of number whose size transformers leaves to the package gguf
        return
    layers = network.config.get_text_config().num_hidden_layers
    known = [t for t in tensors if not t.name.startswith("rope_")]
    known = [t for t in known if not (at := BLOCK.match(t.name)) or int(at[1]) < layers]
    more = sum(math.prod(t.shape) for t in known) - sum(parameter.numel() for parameter in network.parameters())
    if more > 0:
        raise ValueError(f"{type(network).__name__} has no place for {more} of its numbers")
