"""Prompts as words in JSON: what is written is read, a stranger's file is bounded and checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from ptx import formats
from ptx.errors import PtxError
from ptx.formats.tensors import to_bytes as to_safetensors
from ptx.formats.words import VERSION, Source, Words, mixture, to_bytes

MODELS = [Source("bert-micro", "a" * 64, 0.7123), Source("roberta-micro", "b" * 64)]
WORDS = Words(
    VERSION, "facts", "P17", "postfix",
    [mixture(1.23456, {"lies": 0.4, "in": 0.5, "straße": 1e-7}), mixture(0.5, {'"': 1})],
    template="[X] is located in [Y] .", models=MODELS,
)  # fmt: skip


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "prompt.words.json"
    path.write_bytes(to_bytes(WORDS))
    found = formats.read(path)
    assert found.words == WORDS
    assert found.words is not None
    assert to_bytes(found.words) == path.read_bytes()
    assert (found.format, found.layout, found.model, str(found)) == (
        "words",
        "postfix",
        "",
        f"{path}: words, 2 vectors",
    )
    assert found.words.vectors[0].words == {"in": 0.5556, "lies": 0.4444}
    assert found.words.vectors[0].scale == 1.235


def test_people_read_it() -> None:
    lines = to_bytes(WORDS).decode().splitlines()
    assert '    {"scale": 1.235, "words": {"in": 0.5556, "lies": 0.4444}},' in lines
    assert '  "task": "P17",' in lines
    assert '  "license": null,' in lines


def test_a_usual_prompt_takes_less_than_two_kilobytes() -> None:
    """Five vectors of eight words of eleven letters each, from three models."""
    weights = {"establishe" + "abcdefgh"[i]: 1 + i / 7 for i in range(8)}
    models = [Source("organisation/model-name-135m", f"{i}" * 64, 0.7123) for i in range(3)]
    prompt = Words(VERSION, "facts", "P1412", "postfix", [mixture(1.2345, weights)] * 5, "[X] spoke in [Y] .", models)
    assert len(to_bytes(prompt)) < 2000


def test_rows_are_the_first_vectors(tmp_path: Path) -> None:
    path = tmp_path / "prompt.words.json"
    path.write_bytes(to_bytes(WORDS))
    assert formats.read(path, rows=1).words == Words(**{**vars(WORDS), "vectors": WORDS.vectors[:1]})
    with pytest.raises(PtxError, match="has 2 vectors, not 3"):
        formats.read(path, rows=3)


def test_words_are_no_vectors_without_a_model(tmp_path: Path) -> None:
    path = tmp_path / "prompt.words.json"
    path.write_bytes(to_bytes(WORDS))
    with pytest.raises(PtxError, match="holds words, which are vectors on a model only") as error:
        formats.read_prompt(path)
    assert error.value.hint == f"make them a model's: ptx import {path} --model NAME"


def test_json_is_told_from_safetensors_whose_header_has_the_length_of_a_brace(tmp_path: Path) -> None:
    """A header of 123 bytes begins with the byte of "{"."""
    content = to_safetensors(torch.zeros(2, 3))
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length].rstrip()
    padded = header.ljust(123 if len(header) <= 123 else length)
    (tmp_path / "x").write_bytes(len(padded).to_bytes(8, "little") + padded + content[8 + length :])
    assert (tmp_path / "x").read_bytes()[:1] == b"{"
    assert formats.read(tmp_path / "x").format == "safetensors"


TEXT = to_bytes(WORDS).decode()
BAD = {
    "nan": (TEXT.replace("1.235", "NaN"), "is no JSON file of words: NaN is no number"),
    "infinite": (TEXT.replace("1.235", "-Infinity"), "-Infinity is no number"),
    "overflow": (TEXT.replace("1.235", "1e999"), "vectors 1.scale: inf will not do"),
    "nought": (TEXT.replace("1.235", "0"), "vectors 1.scale: 0 will not do"),
    "huge": (TEXT.replace("1.235", "1e7"), "vectors 1.scale: 10000000.0 will not do"),
    "digits": (TEXT.replace("1.235", "1" * 5000), "is no JSON file of words: Exceeds the limit"),
    "text": (TEXT.replace("1.235", '"1.2"'), "vectors 1.scale: '1.2' will not do"),
    "truth": (TEXT.replace("1.235", "true"), "vectors 1.scale: True will not do"),
    "negative": (TEXT.replace("0.4444", "-0.4"), "vectors 1.words.lies: -0.4 will not do"),
    "heavy": (TEXT.replace("0.4444", "1.5"), "vectors 1.words.lies: 1.5 will not do"),
    "twice": (TEXT.replace('"lies"', '"in"'), "'in' stands twice in one place"),
    "space": (TEXT.replace('"lies"', '"lies in"'), "'lies in' is no word"),
    "escape": (TEXT.replace('"lies"', '"lies\\u001b[31m"'), r"'lies\\x1b[31m' is no word"),
    "long": (TEXT.replace('"lies"', f'"{"a" * 101}"'), "vectors 1.words"),
    "nine": (TEXT.replace("0.4444", "0.1" + "".join(f', "w{i}": 0.1' for i in range(7))), "vectors 1.words: {'in'"),
    "empty": (TEXT.replace('{"in": 0.5556, "lies": 0.4444}', "{}"), "vectors 1.words: {} will not do"),
    "layout": (TEXT.replace("postfix", "infix"), "layout: 'infix' will not do"),
    "unknown": (TEXT.replace('"license"', '"run"'), "unknown key 'run'"),
    "later": (TEXT.replace(VERSION, "ptx words 2"), "is of the format 'ptx words 2'; ptx reads 'ptx words 1'"),
    "other": ("{}", "says no format"),
    "cut": (TEXT[:-20], "is no JSON file of words"),
    "deep": ('{"a":' * 100_000, "nested too deeply"),
    "big": (TEXT + " " * 2**20, "is larger than 1,048,576 bytes"),
    "many": (json.dumps({**json.loads(TEXT), "vectors": [{"scale": 1, "words": {"a": 1}}] * 1025}), "vectors"),
    "none": (json.dumps({**json.loads(TEXT), "vectors": []}), "vectors: [] will not do"),
    "accuracy": (TEXT.replace("0.7123", "70"), "models 1.dev_accuracy: 70 will not do"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_malformed_file_is_refused_with_a_hint(tmp_path: Path, name: str) -> None:
    content, wanted = BAD[name]
    assert content != TEXT
    path = tmp_path / "prompt.words.json"
    path.write_text(content, "utf-8")
    with pytest.raises(PtxError) as error:
        formats.read(path)
    assert wanted.replace("\\\\", "\\") in error.value.message
    assert error.value.message.startswith(str(path))
    assert error.value.message.isprintable()
    assert len(error.value.message) < 600
    assert error.value.hint


def test_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "prompt.words.json"
    path.write_bytes(TEXT.encode("latin-1").replace(b"\xdf", b"\xff") if "ß" in TEXT else b'{"\xff')
    with pytest.raises(PtxError, match="is no JSON file of words: 'utf-8' codec"):
        formats.read(path)
