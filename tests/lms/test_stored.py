"""Tensors of safetensors files as they are read for a network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ptx.lms import stored
from ptx.lms.stored import parts

MADE = {
    "half": torch.randn(7, 5).bfloat16(), "other": torch.randn(3, 2, 2).half(), "whole": torch.randn(6),
    "one": torch.tensor(3.5),
    "count": torch.tensor([1, 2]), "none": torch.empty(0, 4), "yes": torch.tensor([True, False]),
    "long": torch.randn(3).double(),
}  # fmt: skip


@pytest.mark.parametrize("wide", [torch.float32, torch.bfloat16, torch.float16])
def test_each_is_what_safetensors_reads(wide: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "PIECE", 4)  # ends within a row
    save_file(MADE, tmp_path / "model.safetensors")
    found = parts(tmp_path, wide)
    for name, tensor in load_file(tmp_path / "model.safetensors").items():
        widened = wide == torch.float32 and tensor.dtype in (torch.bfloat16, torch.float16)
        expected = tensor.float() if widened else tensor
        part = found[name]
        assert isinstance(part, stored.Part)
        got = part[...]
        assert got.dtype == expected.dtype
        assert torch.equal(got, expected)
        assert part.get_shape() == [*tensor.shape]
    assert found.keys() == MADE.keys()


def test_older_files_are_read_whole(tmp_path: Path) -> None:
    """Not mapped: whoever overwrites them changes nothing that was read."""
    assert parts(tmp_path, torch.float32) == {}
    torch.save(MADE, tmp_path / "pytorch_model.bin")
    found = parts(tmp_path, torch.float32)
    with (tmp_path / "pytorch_model.bin").open("r+b") as file:
        file.write(bytes((tmp_path / "pytorch_model.bin").stat().st_size))
    assert found.keys() == MADE.keys()
    assert all(torch.equal(found[name][...], tensor) for name, tensor in MADE.items())


def test_numbers_of_eight_bits(tmp_path: Path) -> None:
    made = torch.randn(3, 2).to(torch.float8_e4m3fn)
    save_file({"x": made}, tmp_path / "model.safetensors")
    assert torch.equal(parts(tmp_path, torch.float32)["x"][...].float(), made.float())


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_file({"x": torch.zeros(100)}, file)
    found = parts(tmp_path, torch.float32)
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(OSError, match="ends within a tensor"):
        found["x"][...]
    with pytest.raises(SafetensorError):
        parts(tmp_path, torch.float32)
