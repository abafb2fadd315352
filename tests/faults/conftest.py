"""Fault suites: short in CI, in full with `just torture` (PTX_TORTURE=1), which prints what was counted."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# In the background of a script, or under nohup, Ctrl-C is ignored by all that is started; here it is to be felt.
signal.signal(signal.SIGINT, signal.default_int_handler)

FULL = os.environ.get("PTX_TORTURE", "0") != "0"


@pytest.fixture(scope="session")
def rounds() -> Callable[[int, int], int]:
    """`rounds(full, short)`: how often to do something, in full and in CI."""
    return lambda full, short: full if FULL else short


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit code or minus a signal, seconds in all and since the signal, and what it printed."""

    code: int
    seconds: float
    after_signal: float | None
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The JSON lines on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]


class Server:
    """See server.py."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.names = itertools.count()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PTX_")}
        environment |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).parent / "server.py"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def at_once(self, *runs: dict[str, Any]) -> list[Ended]:
        """Runs side by side, each with `argv`, `cwd` and what else server.py understands."""
        for run in runs:
            name = self.scratch / f"{next(self.names)}"
            run |= {"argv": [str(arg) for arg in run["argv"]], "cwd": str(run["cwd"])}
            run |= {"out": f"{name}.out", "err": f"{name}.err"}
            if "stall" in run:
                run["stall"] = {"marker": f"{name}.stalled"} | run["stall"]
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(runs) + "\n")
        self.process.stdin.flush()
        results = json.loads(self.process.stdout.readline())
        return [
            Ended(**result, out=Path(run["out"]).read_text("utf-8"), err=Path(run["err"]).read_text("utf-8"))
            for run, result in zip(runs, results, strict=True)
        ]

    def run(self, cwd: Path, *argv: Any, **more: Any) -> Ended:
        (ended,) = self.at_once({"argv": argv, "cwd": cwd, **more})
        return ended

    def close(self) -> None:
        self.process.communicate()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def recipe(tmp_path_factory: pytest.TempPathFactory, tiny: dict[str, str], suite: str) -> str:
    """A small grid over tiny random models: every method, one and two sources, two tasks. In full it takes longer."""
    epochs = 40 if FULL else 8
    path = tmp_path_factory.mktemp("recipe") / "grid.toml"
    sources, targets = [[tiny["a"]], [tiny["a"], tiny["b"]]], [tiny["b"], tiny["narrow"]]
    path.write_text(
        f"suite = {json.dumps(suite)}\ntune.epochs = {epochs}\n"
        f"sources = {json.dumps(sources)}\ntargets = {json.dumps(targets)}\n"
    )
    return str(path)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print a count where `just torture` shows it."""

    def say(text: str) -> None:
        with capsys.disabled():
            if FULL:
                print(f"\n    {text}", flush=True)

    return say
