"""What people give in place of a model's folder: every message names the cause and what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import make_model

from ptx.errors import PtxError
from ptx.lms.models import resolve
from ptx.lms.places import check_name


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a sound model in m."""
    monkeypatch.chdir(tmp_path)
    make_model(tmp_path / "m")
    return tmp_path


def write(*names: str, content: bytes = b"not looked at") -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content)


def without(*names: str) -> None:
    for name in names:
        Path("m", name).unlink()


def instead(removed: list[str], added: str) -> None:
    without(*removed)
    write(added)


def tokenizer_above() -> None:
    without("tokenizer_config.json")
    Path("m/tokenizer.json").rename("tokenizer.json")


def checkpoints() -> None:
    for step in (500, 1000, 1500):
        shutil.copytree("m", f"out/checkpoint-{step}")
    shutil.copytree("m", "out/m")
    shutil.rmtree("m")
    write("out/runs/events")


def cached() -> None:
    Path("models--org--name/snapshots").mkdir(parents=True)


def inside() -> None:
    shutil.copytree("m", "st/0_Transformer")
    write("st/modules.json", content=b"[]")


def adapter(kind: str, *beside: str) -> Callable[[], None]:
    config = {"peft_type": kind, "base_model_name_or_path": "org/base"}

    def prepare() -> None:
        write("a/adapter_config.json", content=json.dumps(config).encode())
        write(*(f"a/{name}" for name in beside))

    return prepare


# what is done; the name given; what the message and the hint have
GIVEN: dict[str, tuple[Callable[[], Any], str, str, str]] = {
    "gguf and weights": (lambda: instead(["tokenizer.json", "tokenizer_config.json"], "m/x.gguf"), "m",
                         "m has no tokenizer files, but a GGUF file", "give that: m:x.gguf"),
    "weights of a model": (lambda: None, "m/model.safetensors", "m/model.safetensors is a file of weights",
                           "give its folder, m"),
    "weights alone": (lambda: write("x.pt"), "./x.pt", "without config.json and a tokenizer beside it",
                      "save_pretrained"),
    "any file": (lambda: write("notes.txt"), "notes.txt", "is a file, not a model's folder", "give the folder"),
    "no config": (lambda: without("config.json"), "m", "m has weights (model.safetensors) without a config.json",
                  "copy config.json"),
    "another name": (lambda: Path("m/model.safetensors").rename("m/best.safetensors"), "m",
                     "m has no model.safetensors or pytorch_model.bin; best.safetensors is not looked at",
                     "call the file model.safetensors"),
    "nothing": (lambda: without("model.safetensors"), "m", "m has no config.json or weights", "save_pretrained"),
    "no tokenizer": (lambda: without("tokenizer.json", "tokenizer_config.json"), "m", "m has no tokenizer files",
                     "save_pretrained"),
    "tokenizer above": (tokenizer_above,
                        "m", "m has no tokenizer files", "copy its files into m"),
    "tensorflow": (lambda: instead(["model.safetensors"], "m/tf_model.h5"), "m",
                   "m has weights for TensorFlow only (tf_model.h5)", "for PyTorch"),
    "flax": (lambda: instead(["model.safetensors"], "m/flax_model.msgpack"), "m", "Flax only", "for PyTorch"),
    "onnx": (lambda: instead(["model.safetensors"], "m/onnx/model.onnx"), "m",
             "m was exported to ONNX (onnx/model.onnx)", "exported from"),
    "sentence-transformers": (inside, "st", "the model is inside, in 0_Transformer", "give st/0_Transformer"),
    "checkpoints": (checkpoints, "out", "checkpoint-500, checkpoint-1000, checkpoint-1500, m", "give one"),
    "diffusers": (lambda: write("d/model_index.json"), "d", "d is a pipeline of diffusers", "give the folder"),
    "cache": (cached, "models--org--name", "a folder of the hub's cache", "give org/name, or org/name@REVISION"),
    "lora": (adapter("LORA"), "a", "a is a LORA adapter of another model, org/base", "merge_and_unload"),
    "prompt": (adapter("PROMPT_TUNING"), "a", "a is a PROMPT_TUNING adapter of another model", "`ptx import a`"),
    "lora with a tokenizer": (adapter("LORA", "tokenizer.json"), "a", "a is a LORA adapter of another model, org/base",
                              "merge_and_unload"),
    "dora": (lambda: write("a/adapter_config.json", content=b'{"peft_type": "LORA", "use_dora": true}'), "a",
             "a is a DORA adapter of another model, unnamed", "merge_and_unload"),
    "ia3": (adapter("IA3"), "a", "a is an IA3 adapter of another model", "merge_and_unload"),
    "mlx": (lambda: write("a/adapter_config.json", content=b'{"fine_tune_type": "lora"}'), "a",
            "a is an adapter of another model, unnamed", "merge"),
    "prefix": (adapter("PREFIX_TUNING"), "a", "a is a PREFIX_TUNING adapter of another model", "cannot be merged"),
    "no adapter_config": (lambda: write("a/adapter_model.safetensors", "a/tokenizer.json"), "a",
                          "a is an adapter of another model (adapter_model.safetensors), without the adapter_config",
                          "fetch it again"),
    "adapter's file": (adapter("LORA", "adapter_model.safetensors"), "a/adapter_model.safetensors",
                       "a is a LORA adapter of another model, org/base", "merge_and_unload"),
    "adapters inside": (lambda: write("out/checkpoint-5/adapter_config.json", "out/tokenizer.json", content=b"{}"),
                        "out", "no model, but adapters of another one: checkpoint-5", "merge"),
    "adapter beside": (lambda: write("m/adapter_model.safetensors"), "m",
                       "m holds an adapter, adapter_model.safetensors", "merge_and_unload"),
    "tilde": (lambda: None, "~/nothing-there", "no folder ~/nothing-there", f"write {Path.home()}/nothing-there"),
    "long": (lambda: None, "x" * 300, "unknown model", "ptx models"),
}  # fmt: skip


@pytest.mark.parametrize("case", GIVEN)
def test_the_cause_and_what_to_do(case: str, here: Path) -> None:
    prepare, name, what, hint = GIVEN[case]
    prepare()
    with pytest.raises(PtxError) as caught:
        resolve(name)
    assert what in caught.value.message
    assert hint in caught.value.hint.replace(f"{here}/", "")


def test_a_recipe_says_where_it_names_a_file(here: Path) -> None:
    with pytest.raises(PtxError, match=r"mine.toml: targets: m/config.json is a file"):
        check_name("m/config.json", "mine.toml: targets: ")


def test_a_file_called_as_a_model_is_in_nobodys_way(here: Path) -> None:
    write("bert-micro", "gpt2", "bert-base")
    for name in ("bert-micro", "gpt2", "bert-base", "gpt2@v1"):
        check_name(name)


def test_other_formats_beside_the_weights_are_fine(here: Path) -> None:
    digest = resolve("m").digest
    write("m/tf_model.h5", "m/x.gguf", "m/onnx/model.onnx", "m/consolidated.safetensors", "m/modules.json")
    assert resolve("./m").digest == digest
