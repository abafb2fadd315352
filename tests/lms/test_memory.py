"""Peak memory of loading and scoring, in a process of its own, beside what its imports take."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import make_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

MEASURE = """
import sys, torch
from ptx.lms.lm import load_model
from ptx.lms.models import resolve
from ptx.transfer.scoring import Questions, answer

def held(name):
    return 1024 * int(next(line for line in open("/proc/self/status") if line.startswith(name)).split()[1])

from transformers import LlamaForCausalLM
from ptx.lms.embeddings import load_tokenizer
load_tokenizer(sys.argv[1])
before = held("VmHWM")
model = load_model(resolve(sys.argv[1]), "cpu", sys.argv[2])
rows = model.rows("[X] [V] [Y] .", ["Peru"] * 300, prompt_length=2)
(found,) = answer(model, [(Questions(rows, None, None), model.matrix[[7, 8]].float())])
assert len(set(found.predicted)) == 1
print(held("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_one_copy_of_the_weights(dtype: str, tmp_path: Path) -> None:
    """300 inputs over 200,000 tokens, whose scores would be 240 MB at once, and a matrix of 102 MB in float32."""
    tokenizer = make_tokenizer(["Peru", "lives", "near", "."])
    width = 128
    config = LlamaConfig(
        vocab_size=200_000, hidden_size=width, intermediate_size=256, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, tie_word_embeddings=True, pad_token_id=0, bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    torch.manual_seed(0)
    LlamaForCausalLM(config).bfloat16().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path), dtype], capture_output=True, text=True, check=True
    )
    weights = 200_000 * width * getattr(torch, dtype).itemsize
    assert int(done.stdout) < 1.3 * weights + 200e6
