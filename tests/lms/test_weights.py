"""What headers of safetensors files tell, whole and damaged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save, save_file

from ptx.lms.weights import matrix_shape, parameters, stored

TENSORS: dict[str, Any] = {
    "bert.word_embeddings.weight": np.zeros((7, 4), "f4"),
    "bias": np.zeros(5, "f2"),
    "scale": np.float32(1),
}
SINGLE = "model.safetensors"


def test_names_and_shapes_of_all_files(tmp_path: Path) -> None:
    parts = {name: f"part-{i}.safetensors" for i, name in enumerate(TENSORS)}
    for name, part in parts.items():
        save_file({name: np.asarray(TENSORS[name])}, tmp_path / part, {"format": "pt"})
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
    assert {(t.file.name, t.name, t.shape) for t in stored(tmp_path)} == {
        (parts[name], name, np.shape(tensor)) for name, tensor in TENSORS.items()
    }
    assert (matrix_shape(tmp_path), parameters(tmp_path)) == ((7, 4), 7 * 4 + 5 + 1)


def test_types_that_numpy_lacks_have_shapes(tmp_path: Path) -> None:
    header = json.dumps({"wte.weight": {"dtype": "BF16", "shape": [3, 2], "data_offsets": [0, 12]}}).encode()
    (tmp_path / SINGLE).write_bytes(len(header).to_bytes(8, "little") + header + bytes(12))
    assert matrix_shape(tmp_path) == (3, 2)


WHOLE = save({"wte.weight": np.zeros((3, 2), "f4")})


@pytest.mark.parametrize(
    "content",
    [b"", WHOLE[:5], WHOLE[:20], WHOLE[:-1], WHOLE + b"x", b"\xff" * 8 + WHOLE[8:], WHOLE.replace(b"[3,2]", b"[3,-]"),
     WHOLE.replace(b"[3,2]", b"[9,2]"), WHOLE.replace(b"F32", b"X32"), WHOLE.replace(b"wte.w", b"\xffte.w"),
     (9).to_bytes(8, "little") + b"[" * 9, (2).to_bytes(8, "little") + b"[]"],
)  # fmt: skip
def test_a_damaged_file_tells_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / SINGLE).write_bytes(content)
    assert stored(tmp_path) == []
    assert (matrix_shape(tmp_path), parameters(tmp_path)) == (None, None)


@given(at=st.integers(0, len(WHOLE)), length=st.integers(0, 8), new=st.binary(max_size=8))
@settings(deadline=None)
def test_any_damage(tmp_path_factory: pytest.TempPathFactory, at: int, length: int, new: bytes) -> None:
    folder = tmp_path_factory.getbasetemp() / "damaged"
    folder.mkdir(exist_ok=True)
    content = WHOLE[:at] + new + WHOLE[at + length :]
    (folder / SINGLE).write_bytes(content)
    assert (parameters(folder) or 0) <= 2 * len(content)  # no shape is believed that the file is too short for


def test_neither_a_header_nor_its_module_brings_torch(tmp_path: Path) -> None:
    (tmp_path / SINGLE).write_bytes(WHOLE)
    code = "import sys; from ptx.lms.catalogue import weights; from pathlib import Path; "
    code += "print(weights.matrix_shape(Path(sys.argv[1])), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout == "(3, 2) False\n"
