"""What is said of a type that the processor has no instructions for, before anything is built in it."""

from __future__ import annotations

import re
import time

import pytest
import torch

from ptx.engine import ahead
from ptx.lms.models import resolve
from ptx.stages.settings import Settings
from ptx.stages.tune import tune_step
from ptx.suites import load_suite


def steps(*types: str) -> list:
    task = load_suite("facts").tasks[0]
    return [tune_step(resolve("bert-micro"), task, Settings(dtype=kind)) for kind in types]


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A processor that knows nothing but float32; the types that it was asked about."""
    asked: list[str] = []

    def slower(kind: str) -> float:
        asked.append(kind)
        return 12.3

    monkeypatch.setattr(ahead, "slower", slower)
    return asked


def test_each_slow_type_once(slow: list[str]) -> None:
    said = list(ahead.slow_types(steps("float32", "float16", "float16", "bfloat16"), "cpu"))
    assert said == [f"this processor multiplies 12 times as slowly in {kind} as in float32: see --dtype"
                    for kind in ("bfloat16", "float16")]  # fmt: skip


def test_float32_is_not_asked_about(slow: list[str]) -> None:
    assert not list(ahead.slow_types(steps("float32"), "cpu"))
    assert not slow


def test_nor_other_devices(slow: list[str]) -> None:
    assert not list(ahead.slow_types(steps("bfloat16"), "cuda"))
    assert not slow


def test_a_fast_type_is_not_spoken_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "slower", lambda kind: 0.5)
    assert not list(ahead.slow_types(steps("bfloat16"), "cpu"))


def test_it_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """The least of several times; here of products that take a second in half precision, and half of one else."""
    now = [0.0]
    linear = torch.nn.functional.linear

    def timed(rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        now[0] += 0.5 if rows.dtype == torch.float32 else 1.0
        return linear(rows, weights)

    monkeypatch.setattr(torch.nn.functional, "linear", timed)
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    assert ahead.slower("bfloat16") == 2.0


def test_a_command_says_so_before_it_builds(ptx, tiny, suite, monkeypatch) -> None:
    monkeypatch.setattr(ahead, "slower", lambda kind: 12.3)
    args = ["tune", "--model", tiny["a"], "--suite", suite, "--dtype", "bfloat16", "--epochs", "1", "--device", "cpu"]
    wanted = "warning: this processor multiplies 12 times as slowly in bfloat16 as in float32"
    assert wanted in re.sub(r"\s+", " ", ptx(*args).err)
    assert wanted not in re.sub(r"\s+", " ", ptx(*args).err)  # all is in the cache
