"""Peak memory of loading and scoring, beside what imports take, and memory that goes back; in a process of its own."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import make_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

HELD = """
def held(name):
    return 1024 * int(next(line for line in open("/proc/self/status") if line.startswith(name)).split()[1])
"""
PEAK = """
import sys, torch
from ptx.config.tune import TuneConfig
from ptx.lms.lm import load_model
from ptx.lms.models import resolve
from ptx.prompts.inspect import norms
from ptx.transfer.scoring import Questions, answer
from ptx.transfer.starts import initial_prompt, text_prompt
from transformers import LlamaForCausalLM
from ptx.lms.embeddings import load_tokenizer
load_tokenizer(sys.argv[1])
before = held("VmHWM")
model = load_model(resolve(sys.argv[1]), "cpu", sys.argv[2])
rows = model.rows("[X] [V] [Y] .", ["Peru"] * 300, prompt_length=2)
prompt = model.matrix[[7, 8]].float()
(found,) = answer(model, [(Questions(rows, None, None), prompt)])
assert len(set(found.predicted)) == 1
print(held("VmHWM") - before)
open("/proc/self/clear_refs", "w").write("5")  # the peak begins anew
before = held("VmRSS")
model.statistics, text_prompt(model, "lives near", 2), norms(prompt, embeddings=model.matrix)
for init in ("random", "words"):
    initial_prompt(model.matrix, TuneConfig(init=init), torch.Generator())
print(held("VmHWM") - before)
"""
BACK = """
import os, sys, numpy as np
from ptx.engine.processes import _started
from ptx.memory import freed_blocks_go_back, what_is_free_goes_back

if sys.argv[1] == "command":
    freed_blocks_go_back()
elif sys.argv[1] == "worker":
    _started(os.getppid())
large = np.ones(30 * 2**20, np.uint8)  # the first of its size teaches glibc to keep such blocks
del large
blocks = [np.ones(20 * 2**20, np.uint8) for _ in range(8)] + [np.ones(100, np.uint8)]
before = held("VmRSS")
del blocks[0:7]
freed = before - held("VmRSS")
small = [np.ones(2**16, np.uint8) for _ in range(1000)]
last = np.ones(2**16, np.uint8)
del small
before = held("VmRSS")
what_is_free_goes_back()
print(freed, before - held("VmRSS"))
"""
needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")


def measured(code: str, *args: str) -> list[int]:
    done = subprocess.run([sys.executable, "-c", HELD + code, *args], capture_output=True, text=True, check=True)
    return [*map(int, done.stdout.split())]


@needs_proc
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
    peak, looking = measured(PEAK, str(tmp_path), dtype)
    weights = 200_000 * width * getattr(torch, dtype).itemsize
    assert peak < 1.3 * weights + 200e6
    assert looking < 40e6  # no copy of the matrix, in this type or another


@needs_proc
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
@pytest.mark.parametrize("process", ["command", "worker"])
def test_large_blocks_go_back_at_once_and_small_ones_when_asked(process: str) -> None:
    large, small = measured(BACK, process)
    assert large > 130 * 2**20  # of 140 that were freed
    assert small > 50 * 2**20  # of 62
    kept, _ = measured(BACK, "another")
    assert kept < large
