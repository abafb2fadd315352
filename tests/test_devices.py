"""Every stage keeps its tensors on the device that was asked for, as far as that can be told without one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from families import make
from torch import Tensor
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._pytree import tree_iter, tree_leaves, tree_map

import ptx
from ptx.lms import lm

ELSEWHERE = torch.device("cuda:7")
TO_HOST = {"tolist", "item", "cpu", "__bool__", "__int__", "__float__", "__index__", "__repr__", "__format__"}
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
        if name == "device":
            return ELSEWHERE if marked else func(*args, **(kwargs or {}))
        devices = [x for x in tree_iter((args, kwargs)) if _is_device(x)]
        args, kwargs = tree_map(lambda x: "cpu" if _is_elsewhere(x) else x, (args, kwargs or {}))
        if name == "set_" or name == "__set__":
            moved = len(marked) > 0
        elif devices or name in TO_HOST:
            moved = any(_is_elsewhere(x) for x in devices)
        else:
            moved = bool(marked)
            plain = [x for x in given if not hasattr(x, "elsewhere") and x.ndim]
            if marked and plain and not (name in MAY_MIX and all(x.dtype in (torch.int64, torch.bool) for x in plain)):
                raise RuntimeError(f"{name} of tensors on two devices")
        out = func(*args, **kwargs)
        if devices or name == "cpu":  # a copy to the other device would be another tensor
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
def run(tmp_path: Path, suite: str) -> Iterator[Callable[..., pd.DataFrame]]:
    """`ptx.eval` of one task on the simulated device and on this one: the rows, once they are found to be the same."""

    def forget() -> None:
        lm._load_model.cache_clear()
        lm._load_embeddings.cache_clear()

    def evaluate(**options: Any) -> pd.DataFrame:
        options |= {"suite": suite, "tasks": ["R1"], "epochs": 1, "top_k": 6}
        forget()
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
        {"dtype": "bfloat16"},
    ],
    ids=str,
)
def test_transfers(options: dict[str, Any], run: Callable[..., pd.DataFrame], tiny: dict[str, str]) -> None:
    found = run(sources=[tiny["a"]], target=tiny["narrow"], **options)
    assert {"tune", "search", "eval"} <= set(found.stage)


@pytest.mark.parametrize("method", ["manual", "random"])
def test_baselines(method: str, run: Callable[..., pd.DataFrame], tiny: dict[str, str]) -> None:
    run(target=tiny["a"], method=method)


@pytest.mark.parametrize("family", ["gpt2", "t5", "bart", "modernbert", "llama"])
def test_families(family: str, run: Callable[..., pd.DataFrame], tmp_path: Path) -> None:
    """As source and as target, so tuned and evaluated."""
    model = str(make(family, tmp_path / family))
    run(sources=[model], target=model)


def test_the_simulation_finds_mistakes() -> None:
    with Simulated():
        here = torch.ones(3, 3)
        there = here.to("cuda:7")
        layer = torch.nn.Linear(3, 3).to("cuda:7")
        assert [x.device.type for x in (here, there, layer(there), there.cpu())] == ["cpu", "cuda", "cuda", "cpu"]
        for mistake in (lambda: here @ there, lambda: torch.cat([here, there]), lambda: layer(here)):
            with pytest.raises(RuntimeError, match="two devices"):
                mistake()
