"""Every stage keeps its tensors on the device that was asked for, as far as that can be told without one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import PAPER, Result
from families import make
from torch import Tensor
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._pytree import tree_iter, tree_leaves, tree_map

import ptx
from ptx.config.devices import check_device
from ptx.errors import UsageError
from ptx.lms import embeddings, lm

# Tiny random models never learn, and what they learn does not travel.
pytestmark = pytest.mark.filterwarnings("ignore:the prompt for .* (has not learned|does not travel):UserWarning")

ELSEWHERE = torch.device("cuda:7")
TO_HOST = {"tolist", "item", "cpu", "__bool__", "__int__", "__float__", "__index__", "__repr__", "__format__"}
NOT_THERE = {"numpy", "__array__"}  # what torch refuses of a tensor on a device
MAY_MIX = {"__getitem__", "__setitem__", "index_put", "index_put_"}  # an index may come from the host


class Simulated(TorchFunctionMode):
    """Tensors of a device that does not exist: they lie in this machine's memory, with a mark.

    What is made from marked tensors is marked. An operation on both kinds is an error, unless one is a number.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = [x for x in tree_iter((args, kwargs)) if isinstance(x, Tensor)]
        name = (resolve_name(func) or getattr(func, "__name__", "")).removesuffix(".__get__").rsplit(".", 1)[-1]
        marked = [x for x in given if hasattr(x, "elsewhere")]
        if name in ("_parse_to", "_has_compatible_shallow_copy_type"):  # `to` of a module asks, and moves nothing
            return func(*args, **(kwargs or {}))
        if marked and name in NOT_THERE:
            raise TypeError(f"{name} of a tensor on a device")
        if name == "device":
            return ELSEWHERE if marked else func(*args, **(kwargs or {}))
        devices = [x for x in tree_iter((args, kwargs)) if _is_device(x)]
        args, kwargs = tree_map(lambda x: "cpu" if _is_elsewhere(x) else x, (args, kwargs or {}))
        if name == "set_" or name == "__set__":
            moved = len(marked) > 0
        elif name == "to" and len(given) == 2:  # where the other tensor is
            moved = hasattr(given[1], "elsewhere")
        elif devices or name in TO_HOST:
            moved = any(_is_elsewhere(x) for x in devices)
        else:
            moved = bool(marked)
            plain = [x for x in given if not hasattr(x, "elsewhere") and x.ndim]
            if marked and plain and not (name in MAY_MIX and all(x.dtype in (torch.int64, torch.bool) for x in plain)):
                raise RuntimeError(f"{name} of tensors on two devices")
        out = func(*args, **kwargs)
        copied = devices or name == "cpu" or (name == "to" and len(given) == 2)
        if copied:  # a copy to the other device would be another tensor
            out = tree_map(lambda x: x.view_as(x) if any(x is y for y in given) else x, out)
        changed = [*tree_leaves(out), *(given[:1] if name in ("set_", "__set__") else [])]
        for x in changed:
            if isinstance(x, Tensor):
                _mark(x, moved)
        return out


def _is_device(x: Any) -> bool:
    return isinstance(x, torch.device) or (isinstance(x, str) and x.split(":")[0] in ("cpu", "cuda"))


def _is_elsewhere(x: Any) -> bool:
    return _is_device(x) and torch.device(x).type == "cuda"


def _mark(x: Tensor, moved: bool) -> None:
    if moved:
        x.elsewhere = True  # type: ignore[attr-defined]
    elif hasattr(x, "elsewhere"):
        del x.elsewhere


@pytest.fixture
def run(tmp_path: Path, suite: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., pd.DataFrame]]:
    """`ptx.eval` of one task on the simulated device and on this one: the rows, once they are found to be the same."""

    monkeypatch.setattr("ptx.config.check_device", lambda name: None)

    def forget() -> None:
        lm._load_model.cache_clear()
        embeddings._load_embeddings.cache_clear()

    def evaluate(**options: Any) -> pd.DataFrame:
        options = PAPER | options | {"suite": suite, "tasks": ["R1"], "epochs": 1, "top_k": 6, "upstream": True}
        forget()
        with monkeypatch.context() as patch:
            patch.setattr(lm, "widen", lambda network: None)  # attention of a device in half precision, here too
            here = ptx.eval(cache_dir=tmp_path / "here", **options)
        forget()
        with Simulated():
            there = ptx.eval(cache_dir=tmp_path / "there", device="cuda:7", **options)
        same = [name for name in ("stage", "key", "accuracy", "matching_loss") if name in here]
        assert here[same].equals(there[same])
        return there

    yield evaluate
    forget()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mask": "source", "ridge": "gcv"},
        {"solver": "adam", "steps": 3},
        {"solver": "adam", "steps": 100, "select": "dev"},
        {"method": "projector"},
        {"method": "discretize"},
        {"method": "neighbours"},
        {"method": "hubs"},
        {"method": "procrustes"},
        {"method": "linear"},
        {"method": "omp"},
        {"dtype": "bfloat16"},
        {"init": "text", "lr": None, "schedule": "linear", "patience": 3},  # today's defaults
    ],
    ids=str,
)
def test_transfers(options: dict[str, Any], run: Callable[..., pd.DataFrame], tiny: dict[str, str]) -> None:
    found = run(sources=[tiny["a"]], target=tiny["narrow"], **options)
    assert {"tune", "search", "eval"} <= set(found.stage)


TEXT = {"init": "text", "layout": "postfix"}  # what texts and what is chosen by them start from


@pytest.mark.parametrize(
    "options",
    [
        {"method": "text"},
        {"method": "residual"},
        {"method": "residual", "select": "agree"},
        {"method": "relative", "forecast": True},
        {"method": "auto"},
        {"method": "distil", "distil_steps": 6},
        {"method": "distil", "distil_steps": 6, "trust": 0.0},
        {"method": "ensemble"},
    ],
    ids=str,
)
def test_what_looks_at_answers(options: dict[str, Any], run: Callable[..., pd.DataFrame], tiny: dict[str, str]) -> None:
    run(sources=[tiny["a"]], target=tiny["next"], **(TEXT | options))


def test_portable(run: Callable[..., pd.DataFrame], tiny: dict[str, str]) -> None:
    run(sources=[tiny["a"], tiny["next"]], target=tiny["narrow"], method="portable")


@pytest.mark.parametrize("method", ["manual", "random"])
def test_baselines(method: str, run: Callable[..., pd.DataFrame], tiny: dict[str, str]) -> None:
    run(target=tiny["a"], method=method)


@pytest.mark.parametrize("family", ["gpt2", "t5", "bart", "modernbert", "llama"])
def test_families(family: str, run: Callable[..., pd.DataFrame], tmp_path: Path) -> None:
    """As source and as target, so tuned and evaluated."""
    model = str(make(family, tmp_path / family))
    run(sources=[model], target=model)


WRONG = {
    "cuda": "no CUDA GPU here", "cuda:7": "no CUDA GPU here", "mps": "no Apple GPU here",
    "gpu": "none of auto, cpu", "cuda:x": "none of auto, cpu", "": "none of auto, cpu",
}  # fmt: skip
COMMANDS = [
    ["tune", "--model", "bert-micro"], ["encode", "--model", "bert-micro"],
    ["search", "--sources", "bert-micro", "--target", "bert-mini"], ["eval", "--target", "bert-micro"],
    ["run", "table3"], ["predict", "--target", "bert-micro", "--prompt", "abc", "Peru"], ["inspect", "abc"],
]  # fmt: skip


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.parametrize("name", WRONG)
def test_a_device_that_is_not_there(name: str, no_gpu: None, tmp_path: Path) -> None:
    """Refused before anything is looked for: neither model nor suite exists."""
    with pytest.raises(UsageError, match=WRONG[name]) as refused:
        ptx.eval(target="no-model", suite="no-suite", device=name, cache_dir=tmp_path / "cache")
    assert "auto" in refused.value.hint or "cpu" in refused.value.hint
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_command_refuses_it(command: list[str], no_gpu: None, ptx: Callable[..., Result]) -> None:
    told = ptx(*command, "--device", "cuda")
    assert told.code == 2
    assert told.out == ""
    assert told.err == (
        "error: --device cuda: there is no CUDA GPU here that torch can use\nhint: leave it out, or use --device cpu\n"
    )


def test_the_number_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    check_device("cuda:1")
    with pytest.raises(UsageError, match="numbered 0 to 1"):
        check_device("cuda:2")


def test_the_simulation_finds_mistakes() -> None:
    with Simulated():
        here = torch.ones(3, 3)
        there = here.to("cuda:7")
        layer = torch.nn.Linear(3, 3).to("cuda:7")
        assert [x.device.type for x in (here, there, layer(there), there.cpu())] == ["cpu", "cuda", "cuda", "cpu"]
        for mistake in (lambda: here @ there, lambda: torch.cat([here, there]), lambda: layer(here)):
            with pytest.raises(RuntimeError, match="two devices"):
                mistake()
        for mistake in (lambda: there.numpy(), lambda: np.asarray(there)):
            with pytest.raises(TypeError, match="on a device"):
                mistake()
