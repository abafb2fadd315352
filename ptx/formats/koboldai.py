"""KoboldAI's soft prompts: a zip of `tensor.npy` (float32, float16 or bfloat16) and `meta.json`, read in place."""

import io
import json
import zipfile
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from ptx.formats import npy
from ptx.formats.matrix import Matrix

MOST = 2047  # vectors that KoboldAI accepts
TENSOR, META = "tensor.npy", "meta.json"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the same prompt gives the same bytes


def read(path: Path) -> Matrix:
    """No member is unpacked to disk, and no more of one is read than its header announces."""
    with zipfile.ZipFile(path) as archive, archive.open(TENSOR) as stream:
        return Matrix(npy.read_array(stream, path), layout="prefix", behind=True)


def to_bytes(prompt: Float[Tensor, "m d"], *, name: str, supported: str, description: str) -> bytes:
    meta = {"name": name, "author": "ptx", "supported": supported, "description": description}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in ((TENSOR, npy.to_bytes(prompt)), (META, json.dumps(meta, indent=2).encode("utf-8"))):
            archive.writestr(zipfile.ZipInfo(member, EPOCH), data, zipfile.ZIP_DEFLATED)
    return content.getvalue()
