"""Results do not depend on what a caller of the library has set in PyTorch, and that is left as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ptx import api
from ptx.engine.torch_state import own_settings
from ptx.lms import embeddings, lm


@contextlib.contextmanager
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


pytestmark = pytest.mark.filterwarnings("ignore:the prompt for .*:UserWarning")


@contextlib.contextmanager
def precision(name: str) -> Iterator[None]:
    """On CPUs that have instructions for it, products are those of numbers that are rounded to bfloat16."""
    torch.set_float32_matmul_precision(name)
    try:
        yield
        assert torch.get_float32_matmul_precision() == name
    finally:
        torch.set_float32_matmul_precision("highest")


@contextlib.contextmanager
def default_device(name: str) -> Iterator[None]:
    torch.set_default_device(name)
    try:
        yield
        assert torch.get_default_device() == torch.device(name)
    finally:
        torch.set_default_device(None)


SETTINGS = {
    "medium": lambda: precision("medium"),
    "device": lambda: default_device("meta"),
    "float64": float64,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_callers_settings_change_nothing(tiny, suite, tmp_path: Path, name: str) -> None:
    def payloads(cache: str) -> dict[Any, bytes]:
        lm._load_model.cache_clear()
        embeddings._load_embeddings.cache_clear()
        of: dict[str, Any] = {"suite": suite, "tasks": "R1", "cache_dir": tmp_path / cache}
        frames = [
            api.eval(sources=tiny["a"], target=tiny["b"], epochs=2, **of),
            api.eval(target=tiny["b"], method="manual", **of),
            api.eval(sources=tiny["a"], target=tiny["narrow"], method="distil", candidates="text", epochs=2, **of),
        ]
        rows = [row for frame in frames for row in frame.to_dict("records")]
        files = {(row["stage"], row["key"]): sorted(Path(row["path"]).iterdir()) for row in rows}
        return {
            (*key, file.name): file.read_bytes() for key, of in files.items() for file in of if file.name != "meta.json"
        }

    expected = payloads("plain")
    with SETTINGS[name]():
        found = payloads("set")
        prompt = next((tmp_path / "set" / "v1" / "search").glob("*/*.safetensors"))
        said = api.predict("name1", target=tiny["narrow"], prompt=prompt, cache_dir=tmp_path / "set")
        near = api.inspect(prompt, model=tiny["narrow"], cache_dir=tmp_path / "set")
        kept = (torch.get_default_dtype(), torch.is_autocast_enabled("cpu"), torch.is_grad_enabled())
    assert found == expected
    assert len(said)
    assert near.equals(api.inspect(prompt, model=tiny["narrow"], cache_dir=tmp_path / "set"))
    assert kept == (
        torch.float64 if name == "float64" else torch.float32,
        name == "autocast",
        name not in ("no_grad", "inference_mode"),
    )


@pytest.mark.parametrize("name", SETTINGS)
def test_what_a_stage_finds(name: str) -> None:
    draw = torch.Generator().manual_seed(0)
    left, right = torch.randn(256, 256, generator=draw), torch.randn(256, 256, generator=draw)  # fewer are not rounded
    product = left @ right
    with SETTINGS[name](), own_settings():
        assert torch.get_default_dtype() == torch.float32
        assert torch.zeros(1).device == torch.device("cpu")
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
        assert not torch.is_autocast_enabled("cpu")
        assert torch.equal(left @ right, product)
