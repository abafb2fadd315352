"""Prompt files as other programs write them: made with numpy, torch, safetensors and zipfile, never with ptx."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

VECTORS = torch.randn(7, 6, generator=torch.Generator().manual_seed(0))


def save_npy(path: Path, prompt: torch.Tensor) -> Path:
    with path.open("wb") as file:  # numpy would add an ending to the name
        np.save(file, prompt.numpy())
    return path


def save_torch(path: Path, content: Any, *, zipped: bool = True) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def save_safetensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> Path:
    save_file(dict(tensors), path)
    return path


def save_kobold(path: Path, array: bytes, *, meta: bool = True) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tensor.npy", array)
        if meta:
            archive.writestr("meta.json", json.dumps({"name": "x", "author": "y", "supported": "z", "description": ""}))
    return path


def npy_bytes(array: np.ndarray, **more: Any) -> bytes:
    content = io.BytesIO()
    np.save(content, array, **more)
    return content.getvalue()


def save_adapter(folder: Path, prompt: torch.Tensor, *, old: bool = False, **config: Any) -> Path:
    folder.mkdir()
    defaults = {
        "peft_type": "PROMPT_TUNING", "task_type": "CAUSAL_LM", "num_virtual_tokens": prompt.shape[0],
        "token_dim": prompt.shape[1], "num_transformer_submodules": 1, "base_model_name_or_path": None,
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(defaults | config))
    if old:
        save_torch(folder / "adapter_model.bin", {"prompt_embeddings": prompt})
    else:
        save_safetensors(folder / "adapter_model.safetensors", {"prompt_embeddings": prompt})
    return folder


# One valid file of each kind: how it is written, the format that ptx should recognise, and the layout it stands for.
VALID: Mapping[str, tuple[Callable[[Path, torch.Tensor], Path], str, str | None]] = {
    "google.npy": (save_npy, "npy", None),
    "task_prompt": (save_torch, "torch", "prefix"),
    "16.pkl": (lambda p, v: save_torch(p, {"model": v, "epoch": 3}), "torch", "prefix"),
    "legacy.pt": (lambda p, v: save_torch(p, v, zipped=False), "torch", "prefix"),
    "openprompt.ckpt": (lambda p, v: save_torch(p, {"soft_embeds": v}), "torch", "prefix"),
    "whole.ckpt": (
        lambda p, v: save_torch(
            p,
            {
                "prompt_model.plm.head.weight": torch.ones(9, 6),
                "prompt_model.template.soft_embeds": torch.nn.Parameter(v),
                "prompt_model.template.raw_embedding.weight": torch.ones(9, 6),
            },
        ),
        "torch",
        "prefix",
    ),
    "trainer.ckpt": (lambda p, v: save_torch(p, {"state_dict": {"template.soft_embeds": v}}), "torch", "prefix"),
    "one.safetensors": (lambda p, v: save_safetensors(p, {"anything": v}), "safetensors", None),
    "several.safetensors": (
        lambda p, v: save_safetensors(p, {"prompt_embeddings": v, "head": torch.ones(2, 2)}),
        "safetensors",
        "prefix",
    ),
    "adapter": (save_adapter, "peft", "prefix"),
    "old_adapter": (lambda p, v: save_adapter(p, v, old=True), "peft", "prefix"),
    "kobold.zip": (lambda p, v: save_kobold(p, npy_bytes(v.numpy())), "koboldai", "prefix"),
}


class Payload:
    """Unpickling this writes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"echo run > '{self.marker}'",)


def malicious(kind: str, folder: Path, marker: Path) -> Path:
    """A file that, unpickled without care, would write the marker."""
    payload = Payload(marker)
    path = folder / kind
    if kind == "adapter":
        save_adapter(path, VECTORS, old=True)
        torch.save({"prompt_embeddings": payload}, path / "adapter_model.bin")
    elif kind == "raw.pkl":
        path.write_bytes(pickle.dumps(payload))
    elif kind == "legacy.pt":
        torch.save(payload, path, _use_new_zipfile_serialization=False)
    elif kind == "objects.npy":
        path.write_bytes(npy_bytes(np.array([[payload]], dtype=object), allow_pickle=True))
    elif kind == "kobold.zip":
        save_kobold(path, npy_bytes(np.array([[payload]], dtype=object), allow_pickle=True))
    else:  # task_prompt, 16.pkl, openprompt.ckpt
        torch.save({"task_prompt": payload, "16.pkl": {"model": payload}}.get(kind, {"soft_embeds": payload}), path)
    return path


MALICIOUS = ["task_prompt", "16.pkl", "openprompt.ckpt", "legacy.pt", "raw.pkl", "adapter", "objects.npy", "kobold.zip"]
