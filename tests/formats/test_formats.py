"""Files of other programs come back as the matrix that was put in; what is no prompt is refused, and never run."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from foreign import (
    MALICIOUS,
    VALID,
    VECTORS,
    malicious,
    npy_bytes,
    save_adapter,
    save_kobold,
    save_npy,
    save_safetensors,
    save_torch,
)

from ptx import formats
from ptx.errors import PtxError
from ptx.formats import read_prompt


@pytest.mark.parametrize("name", VALID)
def test_every_format_is_recognised_by_its_content(name: str, tmp_path: Path) -> None:
    write, format, layout = VALID[name]
    path = write(tmp_path / name, VECTORS)
    found = formats.read(path)
    assert (found.format, found.layout, found.rows) == (format, layout, 7)
    assert torch.equal(found.prompt, VECTORS)
    assert torch.equal(read_prompt(path), VECTORS)
    assert torch.equal(formats.read(path, format=format, rows=4).prompt, VECTORS[:4])


def test_optiprompt_saves_ten_rows_of_which_five_are_the_prompt(tmp_path: Path) -> None:
    rows = torch.cat([VECTORS[:5], torch.full((5, 6), torch.nan)])  # what is not the prompt is never looked at
    path = save_npy(tmp_path / "prompt_vecs.npy", rows)
    found = formats.read(path)
    assert found.format == "optiprompt"
    assert torch.equal(found.prompt, VECTORS[:5])
    assert "the first of 10 rows" in str(found)
    assert len(formats.read(path, rows=3).prompt) == 3
    with pytest.raises(PtxError, match="30 of 60 numbers are NaN"):
        formats.read(path, rows=10)
    with pytest.raises(PtxError, match="30 of 60"):
        formats.read(path, format="npy")
    with pytest.raises(PtxError, match="has 10 rows, not 11"):
        formats.read(path, rows=11)
    hundred = save_npy(tmp_path / "google.npy", torch.ones(100, 6))
    assert len(formats.read(hundred).prompt) == 100


def test_other_types_become_float32(tmp_path: Path) -> None:
    values = torch.tensor([[1.5, -2.0], [0.25, 3.0]])
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        path = save_torch(tmp_path / "x.pt", values.to(dtype))
        assert torch.equal(formats.read(path).prompt, values)
    for kind in ("<f8", ">f4", "<f2"):
        (tmp_path / "x.npy").write_bytes(npy_bytes(values.numpy().astype(kind)))
        assert torch.equal(formats.read(tmp_path / "x.npy").prompt, values)
    (tmp_path / "x.npy").write_bytes(npy_bytes(np.asfortranarray(values.numpy())))
    assert torch.equal(formats.read(tmp_path / "x.npy").prompt, values)
    brain = values.bfloat16().view(torch.int16).numpy().view("V2")  # as KoboldAI's tuner on TPUs writes it
    assert torch.equal(formats.read(save_kobold(tmp_path / "k.zip", npy_bytes(brain), meta=False)).prompt, values)


@pytest.mark.parametrize("kind", MALICIOUS)
def test_nothing_in_a_pickle_is_run(kind: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    path = malicious(kind, tmp_path, marker)
    for format in ("auto", *formats.READERS):
        with pytest.raises(PtxError) as error:
            formats.read(path, format=format)
        if format == "auto":
            assert "nothing of it was run" in error.value.message
            assert "save its matrix" in error.value.hint
    assert not marker.exists()


def test_the_malicious_file_would_have_run(tmp_path: Path) -> None:
    """That the test above can fail."""
    marker = tmp_path / "marker"
    pickle.loads(malicious("raw.pkl", tmp_path, marker).read_bytes())
    assert marker.exists()


@pytest.mark.parametrize("name", VALID)
def test_truncated_files(name: str, tmp_path: Path) -> None:
    path = VALID[name][0](tmp_path / name, VECTORS)
    file = next(path.glob("adapter_model*")) if path.is_dir() else path
    whole = file.read_bytes()
    for length in (0, 1, 7, 9, 40, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(PtxError):
            formats.read(path)


def _bad(folder: Path) -> dict[str, tuple[Path, str]]:
    nan = VECTORS.clone()
    nan[2, 3] = torch.nan
    huge = VECTORS.double()
    huge[1, 1] = 1e300  # infinite in float32
    plain = folder / "notes.txt"
    plain.write_text("just some words, and no prompt")
    archive = folder / "other.zip"
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("a.txt", "hello")
    squeezed = folder / "squeezed.pt"
    with zipfile.ZipFile(save_torch(folder / "s.pt", VECTORS)) as old, zipfile.ZipFile(squeezed, "w", 8) as new:
        for member in old.namelist():
            new.writestr(member, old.read(member))
    header = npy_bytes(np.zeros((2, 2), dtype="<f4"))
    bomb = folder / "bomb.npy"
    bomb.write_bytes(header.replace(b"(2, 2)", b"(9999999, 9999999)"))
    expanded = torch.ones(1, 1).expand(2**20, 2**20)  # four bytes on disk
    (folder / "empty").mkdir()
    no_weights = save_adapter(folder / "no_weights", VECTORS)
    (no_weights / "adapter_model.safetensors").unlink()
    no_json = save_adapter(folder / "no_json", VECTORS)
    (no_json / "adapter_config.json").write_text("{")
    listed = save_adapter(folder / "listed", VECTORS)
    (listed / "adapter_config.json").write_text("[]")
    return {
        "missing": (folder / "nothing.npy", "no file"),
        "nan": (save_npy(folder / "nan.npy", nan), "1 of 42 numbers are NaN or infinite, first row 3, column 4"),
        "infinite": (save_torch(folder / "inf.pt", huge), "NaN or infinite"),
        "vector": (save_npy(folder / "1d.npy", VECTORS[0]), "array of shape (6,)"),
        "cube": (save_torch(folder / "3d.pt", {"soft_embeds": VECTORS[None]}), "array of shape (1, 7, 6)"),
        "no rows": (save_npy(folder / "0.npy", VECTORS[:0]), "no soft prompt"),
        "integers": (save_torch(folder / "int.pt", VECTORS.long()), "holds int64"),
        "integers in npy": (save_npy(folder / "int.npy", VECTORS.long()), "holds int64 values"),
        "sparse": (save_torch(folder / "sparse.pt", VECTORS.to_sparse()), "not plain numbers"),
        "bomb": (bomb, "no soft prompt"),
        "expanded": (save_torch(folder / "expanded.pt", expanded), "no soft prompt"),
        "compressed": (squeezed, "compressed archive"),
        "ambiguous": (
            save_safetensors(folder / "two.safetensors", {"a": VECTORS, "b": VECTORS + 1}), "which tensor is the prompt"
        ),
        "no tensor": (save_torch(folder / "none.pt", {"lr": 0.1}), "no tensor"),
        "a list": (save_torch(folder / "list.pt", [VECTORS]), "holds a list"),
        "text": (plain, "in no format that ptx knows"),
        "other archive": (archive, "in no format that ptx knows"),
        "empty folder": (folder / "empty", "without adapter_config.json"),
        "lora": (save_adapter(folder / "lora", VECTORS, peft_type="LORA"), "is a LORA adapter"),
        "prefix tuning": (save_adapter(folder / "pt", VECTORS, peft_type="PREFIX_TUNING"), "PREFIX_TUNING adapter"),
        "encoder-decoder": (
            save_adapter(folder / "t5", VECTORS, num_transformer_submodules=2), "an encoder and a decoder"
        ),
        "encoder-decoder unsaid": (
            save_adapter(folder / "bart", VECTORS, num_transformer_submodules=None, task_type="SEQ_2_SEQ_LM"),
            "an encoder and a decoder",
        ),
        "other size": (save_adapter(folder / "size", VECTORS, num_virtual_tokens=8), "speaks of 8 vectors of width 6"),
        "no weights": (no_weights, "neither adapter_model.safetensors nor"),
        "no json": (no_json, "cannot be read as a file of the format peft"),
        "json list": (listed, "not a JSON object"),
    }  # fmt: skip


def test_what_is_no_prompt_is_refused_with_a_reason(tmp_path: Path) -> None:
    for what, (path, text) in _bad(tmp_path).items():
        with pytest.raises(PtxError) as error:
            formats.read(path)
        assert text in error.value.message, what
        assert error.value.hint, what


def test_format_overrides_and_is_checked(tmp_path: Path) -> None:
    path = save_npy(tmp_path / "x.npy", VECTORS)
    for format, text in (
        ("torch", "damaged or holds more"),
        ("peft", "--format peft reads a folder"),
        ("koboldai", "zip"),
    ):
        with pytest.raises(PtxError, match=text):
            formats.read(path, format=format)
    with pytest.raises(PtxError, match="--format npy reads a file"):
        formats.read(save_adapter(tmp_path / "adapter", VECTORS), format="npy")


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # PEFT asks transformers so
def test_adapters_of_peft_itself(tiny, tmp_path: Path) -> None:
    from peft import PromptTuningConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(tiny["next"])
    adapted = get_peft_model(network, PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3))
    vectors = adapted.get_prompt_embedding_to_save("default")
    for safe in (True, False):
        adapted.save_pretrained(str(tmp_path / str(safe)), safe_serialization=safe)
        found = formats.read(tmp_path / str(safe))
        assert torch.equal(found.prompt, vectors)
        assert found.base == tiny["next"]
        assert json.loads((tmp_path / str(safe) / "adapter_config.json").read_text())["peft_type"] == "PROMPT_TUNING"
