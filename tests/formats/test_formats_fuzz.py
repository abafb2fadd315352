"""Whatever bytes a prompt file has: an error with a hint, or a finite matrix. The profile `torture` tries more."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign import VALID, VECTORS
from hypothesis import given, settings
from hypothesis import strategies as st

from ptx import formats
from ptx.errors import PtxError
from ptx.formats import card
from ptx.formats.card import Record

MAGIC = [
    b"",
    b"\x93NUMPY\x01\x00",
    b"\x93NUMPY\x02\x00",
    b"PK\x03\x04",
    b"\x80\x02",
    b"\x80\x04",
    b"\x10" + bytes(7) + b"{",
]
RECORD = Record(
    version="1", key="k", method="tuned", model="m", model_digest="d", tokenizer_digest="t", width=6, vectors=7,
    layout="prefix", suite="facts", task="P17", sha256="s",
    evaluations=[{"split": "test", "accuracy": 0.5, "facts": 9}],
)  # fmt: skip
# Deletions, insertions and replacements of a few bytes at places given as shares of the length.
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 8), st.binary(max_size=8)), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("valid")
    return {name: write(folder / name, VECTORS) for name, (write, _, _) in VALID.items()}


def mutated(content: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    for share, length, new in edits:
        at = int(share * len(content))
        content = content[:at] + new + content[at + length :]
    return content


def survives(path: Path, format: str = "auto") -> None:
    refused = None
    try:
        found = formats.read(path, format=format)
    except PtxError as error:
        refused = error
    if refused is not None:
        assert refused.message
        assert refused.hint
        return
    assert found.prompt.ndim == 2
    assert found.prompt.numel() > 0
    assert found.prompt.dtype == torch.float32
    assert torch.isfinite(found.prompt).all()


@given(start=st.sampled_from(MAGIC), rest=st.binary(max_size=300), format=st.sampled_from(["auto", *formats.READERS]))
@settings(deadline=None)
def test_random_bytes(start: bytes, rest: bytes, format: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "prompt")
        path.write_bytes(start + rest)
        survives(path, format)


@pytest.mark.parametrize("name", VALID)
@given(edits=EDITS)
@settings(deadline=None)
def test_damaged_files(name: str, whole: dict[str, Path], edits: list[tuple[float, int, bytes]]) -> None:
    source = whole[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "prompt")
        if source.is_dir():  # the configuration is damaged as much as the weights
            path.mkdir()
            for file in source.iterdir():
                (path / file.name).write_bytes(mutated(file.read_bytes(), edits))
        else:
            path.write_bytes(mutated(source.read_bytes(), edits))
        survives(path)


@given(edits=EDITS)
@settings(deadline=None)
def test_damaged_cards(whole: dict[str, Path], edits: list[tuple[float, int, bytes]]) -> None:
    text = card.render(RECORD, usage="", tags=["npy"], base=None).encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "prompt.npy")
        path.write_bytes(whole["google.npy"].read_bytes())
        card.beside(path).write_bytes(mutated(text, edits))
        survives(path)
        try:
            found = card.read(path)
        except PtxError:
            return
        if found is not None:
            card.render(found, usage="", tags=[], base=None)


def test_an_unharmed_card_says_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "prompt.npy"
    path.write_bytes(b"")
    card.beside(path).write_text(card.render(RECORD, usage="", tags=[], base=None))
    assert card.read(path) == RECORD


def test_a_card_is_data(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    path = tmp_path / "prompt.npy"
    path.write_bytes(b"")
    call = f"!!python/object/apply:os.system ['echo run > {marker}']"
    card.beside(path).write_text(f"---\nptx: {call}\n---\n")
    with pytest.raises(PtxError, match="cannot be read"):
        card.read(path)
    card.beside(path).write_text(f"---\nother: {call}\nptx: 1\n---\n")
    with pytest.raises(PtxError, match="cannot be read"):
        card.read(path)
    assert not marker.exists()


def test_the_hub_reads_the_front_matter() -> None:
    from huggingface_hub import ModelCard

    text = card.render(RECORD, usage="", tags=["peft"], base="openai-community/gpt2", library="peft")
    found: Any = ModelCard(text).data  # its attributes are what the front matter holds
    assert (found.base_model, found.library_name) == ("openai-community/gpt2", "peft")
    assert found.eval_results[0].metric_value == 0.5
    assert {"soft-prompt", "ptx", "peft"} <= set(found.tags)
