"""What a notebook has in memory, as files: a frame of facts, a model that is loaded with its tokenizer.

Each is saved once, in `given/` beside the artifacts of the cache, in a folder named after a digest of its content. From
there on it is a file or a folder as any other, and keys are those of the same data in a file, of the same folder.
"""

import contextlib
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ptx.cache.given import FOLDER
from ptx.cache.store import hidden
from ptx.errors import PtxError, UsageError, first_line
from ptx.files import digest_of, put_folder, write_whole
from ptx.lms.contents import TOKENIZER_CONFIG
from ptx.lms.weights import read_json

FACTS = ("suite", "on")  # the options that take a frame
HOW_FOUND = ("is_local", "local_files_only")
PAIR = "give the model with its tokenizer: target=(model, tokenizer)"


def holds(option: str, value: Any) -> bool:
    """Whether something in memory is given, or is among what is given."""
    if option in FACTS and _is_frame(value):
        return True
    several = value if isinstance(value, list | tuple) else [value]
    return any(_is_pair(each) or hasattr(each, "save_pretrained") for each in several)


def saved(value: Any, root: Path) -> str:
    """The file or the folder in which it lies, in the cache `root`; of several models, all names with commas between.

    Raises PtxError for what cannot be saved, or read again.
    """
    folder = root.absolute() / FOLDER
    try:
        if _is_frame(value):
            return _used(_facts(value, folder))
        several = value if isinstance(value, list | tuple) and not _is_pair(value) else [value]
        return ",".join(each if isinstance(each, str) else _used(_model(each, folder)) for each in several)
    except OSError as error:
        raise PtxError(f"cannot write {folder}: {error.strerror or error}", "choose another cache_dir") from None


def _used(path: Path) -> str:
    """Its path; the time of the folder around it says when it was given last, as that of an artifact does."""
    with contextlib.suppress(OSError):  # read-only
        os.utime(path.parent)
    return str(path)


def _is_frame(value: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(hasattr(of, "save_pretrained") for of in value)


def _facts(frame: Any, folder: Path) -> Path:
    """The frame as a CSV file, its index if that has a name. Without a column of tasks, the task is called as
    `frame.attrs["name"]` says."""
    from ptx.suites.task import check_task_name

    name = str(frame.attrs.get("name", "frame"))
    check_task_name(name, 'frame.attrs["name"]')
    try:
        text = frame.to_csv(index=frame.index.names != [None], lineterminator="\n")
        content: bytes = text.encode()
    except ValueError as error:  # a lone surrogate
        raise PtxError(f"the frame of facts is no text: {first_line(error)}", "correct it, or give a file") from None
    path = folder / hashlib.sha256(content).hexdigest()[:16] / f"{name}.csv"
    if not path.is_file() or path.read_bytes() != content:
        write_whole(path, content)
    return path


def _model(given: Any, folder: Path) -> Path:
    """The model's folder, as `save_pretrained` writes it. Weights are written only if they are not there as they were:
    the digest by which ptx knows a model stands beside it."""
    from ptx.cache import digest
    from ptx.lms.models import resolve

    model, tokenizer = _checked(given)
    partial = hidden(folder / "model")
    with _quiet():
        try:
            tokenizer.save_pretrained(partial)
            model.config.save_pretrained(partial)
            _as_it_was(partial / TOKENIZER_CONFIG, Path(tokenizer.name_or_path, TOKENIZER_CONFIG))
            small = {file.name: digest_of(file) for file in sorted(partial.iterdir())}
            place = folder / digest({"files": small, "tensors": tensors_digest(model)})[:16]
            made = place / (re.sub(r"[^\w.-]+", "-", Path(model.name_or_path).name) or model.config.model_type)
            seal = place / "digest"
            with contextlib.suppress(OSError, PtxError):
                if resolve(str(made)).digest == seal.read_text("utf-8"):
                    return made
            model.save_pretrained(partial)
            place.mkdir(exist_ok=True)
            put_folder(partial, made)
            write_whole(seal, resolve(str(made)).digest.encode())
            return made
        except (TypeError, ValueError, RuntimeError, NotImplementedError) as error:  # transformers', quantized say
            what = f"transformers cannot save the {type(model).__name__}: {first_line(error)}"
            raise PtxError(what, "save it yourself, and name its folder") from None
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _as_it_was(written: Path, origin: Path) -> None:
    """Where a tokenizer was loaded from a folder, the file there: transformers adds how it was found to its copy."""
    ours, theirs = ({k: v for k, v in read_json(file).items() if k not in HOW_FOUND} for file in (written, origin))
    if theirs and ours == theirs:
        shutil.copyfile(origin, written)


def _checked(given: Any) -> tuple[Any, Any]:
    """A model and its tokenizer. Raises UsageError for anything else."""
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    if not _is_pair(given):
        raise UsageError(f"a {type(given).__name__} by itself is no model", PAIR)
    model, tokenizer = given
    if not isinstance(model, PreTrainedModel):
        what = f"a {type(model).__name__} is no model of transformers"
        merged = "; of an adapter: model.merge_and_unload()" if hasattr(model, "merge_and_unload") else ""
        raise UsageError(what, f"{PAIR}{merged}")
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise UsageError(f"a {type(tokenizer).__name__} is no tokenizer of transformers", PAIR)
    return model, tokenizer


def tensors_digest(model: Any) -> str:
    """SHA-256 of a model's tensors with their names, types and shapes; of what several names share, once."""
    import torch

    found = hashlib.sha256()
    seen: dict[tuple[Any, ...], str] = {}
    for name, tensor in sorted(model.state_dict().items()):
        first = seen.setdefault((tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype), name)
        found.update(f"{name} {first} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        if first == name:
            found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Saving shows a bar of its own."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
