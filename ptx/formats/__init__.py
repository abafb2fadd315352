"""Soft prompts in the files of other programs. A file's content says what it is; `--format` overrides that."""

import dataclasses
import functools
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ptx.config.tune import Layout
from ptx.errors import PtxError
from ptx.formats import card, koboldai, npy, peft, tensors, torch_files, words
from ptx.formats.card import Record
from ptx.formats.matrix import SAVE_AGAIN, Matrix, checked, finite, reading, unscaled
from ptx.formats.words import Words

READERS: Mapping[str, Callable[[Path], Matrix]] = {
    "optiprompt": functools.partial(npy.read, layout="postfix"),  # [X] V1..Vm [Y]
    "npy": npy.read,
    "torch": torch_files.read,  # thunlp's and OpenPrompt's
    "safetensors": tensors.read,
    "peft": peft.read,
    "koboldai": koboldai.read,
}
FORMATS = (*READERS, "words")  # words are vectors on a model only


@dataclass(frozen=True)
class PromptFile:
    """A prompt read from a file. `prompt` are those of its `rows` that belong to it; what a file does not say is None.

    `base` is the base model's name as another program wrote it, `record` what ptx wrote beside the file. `behind`,
    `beside` and `note` are those of its Matrix; with a record, the factor is out of the vectors. A file of `words` has
    vectors on a model only: its `prompt` is of width 0.
    """

    path: Path
    format: str
    prompt: Float[Tensor, "m d"]
    rows: int
    base: str | None
    layout: Layout | None
    record: Record | None
    behind: bool
    beside: tuple[str, ...]
    note: str
    words: Words | None = None

    @property
    def about(self) -> Record | Words | None:
        """What the file or its card says of suite and task."""
        return self.words or self.record

    @property
    def model(self) -> str:
        """The name of the model that the file says it is for, or none."""
        return (self.record.model if self.record else self.base) or ""

    def __str__(self) -> str:
        if self.words is not None:
            return f"{self.path}: {self.format}, {len(self.prompt)} vectors"
        taken = f"{len(self.prompt)} vectors of width {self.prompt.shape[1]}"
        if len(self.prompt) < self.rows and self.format == "optiprompt":
            taken += f", the first of {self.rows} rows (OptiPrompt saves {self.rows} always; --rows N takes N)"
        elif len(self.prompt) < self.rows:
            taken += f" of its {self.rows} rows"
        return f"{self.path}: {self.format}, {taken}"


def read(path: Path, *, format: str = "auto", rows: int | None = None) -> PromptFile:
    """The prompt in a file, or in a PEFT adapter's folder. `rows`: how many of its first rows are the prompt.

    By default that is what the card of ptx beside it says, else 5 of OptiPrompt's 10 rows, else all rows. Raises
    PtxError for anything that is not a finite matrix of floating-point numbers; nothing in a file is ever run.
    """
    if not (path.is_file() or path.is_dir()):
        raise PtxError(f"no file {path}", "give the path of a prompt file or of a PEFT adapter's folder")
    record = card.read(path)
    if format == "auto":
        with reading(path, "a prompt file"):
            format = detect(path, record)
    if path.is_dir() != (format == "peft"):
        wants = "a folder with adapter_config.json" if format == "peft" else "a file"
        raise PtxError(f"--format {format} reads {wants}, and {path} is none", "leave --format out, or choose another")
    if format == "words":
        return _of_words(path, rows)
    with reading(path, f"a file of the format {format}"):
        found = READERS[format](path)
        whole = checked(found.values, path)
    first = record.leading if record else 0
    usual = npy.OPTIPROMPT_VECTORS if format == "optiprompt" else len(whole) - first
    count = rows or (record.vectors if record else min(usual, len(whole)))
    if first + count > len(whole):
        raise PtxError(f"{path} has {len(whole) - first} rows, not {count}", "choose a smaller --rows, or leave it out")
    prompt = finite(whole[first : first + count].clone(), path)
    layout, behind = found.layout, found.behind
    if record is not None:
        layout, behind, prompt = record.layout, False, unscaled(prompt, record.factor or 1.0)
    rest = (record, behind, found.beside, found.note)
    return PromptFile(path, format, prompt, len(whole), found.base, layout, *rest)


def _of_words(path: Path, rows: int | None) -> PromptFile:
    with reading(path, "a file of the format words"):
        found = words.read(path)
    if (rows or 0) > (n := len(found.vectors)):
        raise PtxError(f"{path} has {n} vectors, not {rows}", "choose a smaller --rows, or leave it out")
    taken = dataclasses.replace(found, vectors=found.vectors[:rows])
    blank = torch.empty(len(taken.vectors), 0)
    return PromptFile(path, "words", blank, n, None, found.layout, None, False, (), "", taken)


def detect(path: Path, record: Record | None = None) -> str:
    """The format by the first bytes, or for archives by what is in them. Raises PtxError if it is none of ours."""
    if path.is_dir():
        if (path / peft.CONFIG).is_file():
            return "peft"
        raise PtxError(f"{path} is a folder without {peft.CONFIG}", "give a PEFT adapter's folder, or a file in it")
    with path.open("rb") as stream:
        head = stream.read(9)
    if b"\0" not in head and head.lstrip().startswith(b"{"):  # the headers of safetensors have zeros
        return "words"
    if head.startswith(npy.MAGIC):
        return "optiprompt" if record is None and npy.rows_in(path) == npy.OPTIPROMPT_ROWS else "npy"
    if head.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        if koboldai.TENSOR in names:
            return "koboldai"
        if any(name.split("/")[-1] == "data.pkl" for name in names):
            return "torch"
    elif head[:1] == b"\x80":  # torch.save before 1.6, and any other pickle: refused when read
        return "torch"
    elif head[8:] == b"{":  # behind the length of the header
        return "safetensors"
    raise PtxError(f"{path} is in no format that ptx knows", f"it reads {', '.join(FORMATS)}; {SAVE_AGAIN}")


def read_prompt(path: Path) -> Float[Tensor, "m d"]:
    """The prompt in a file of the cache or of another program, in float32 (see `read`). Raises PtxError."""
    return vectors_in(read(path))


def vectors_in(found: PromptFile) -> Float[Tensor, "m d"]:
    """What was read, as it is. Raises PtxError for words, which have no vectors without a model."""
    if found.words is not None:
        what = f"{found.path} holds words, which are vectors on a model only"
        raise PtxError(what, f"make them a model's: ptx import {found.path} --model NAME")
    return found.prompt
