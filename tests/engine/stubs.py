"""Steps that cost nothing but time, and go wrong as they are told; worker processes import them too."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ptx.cache import Store
from ptx.engine.build import payload_of
from ptx.engine.step import Payload, Stage, Step, Tick
from ptx.errors import PtxError


def build(steps: Sequence[Step], store: Store, device: str, tick: Tick) -> Iterator[tuple[Step, Payload | PtxError]]:
    """A file with a step's number and what its parents say. With `dies`, the process is killed; with a path there, only
    until that is a file. With `refused`, that is the error. With `log`, a file gets a line when a step is begun and one
    when it is done."""
    for step in steps:
        if step.settings.get("log"):
            _note(step, "begun")
        if (dies := step.settings.get("dies")) and (dies is True or not Path(dies).exists()):
            if dies is not True:
                Path(dies).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if refused := step.settings.get("refused"):
            yield step, PtxError(refused, "do without")
            continue
        time.sleep(step.settings.get("seconds", 0.0))
        said = [payload_of(parent, store, "said.txt").read_text() for parent in step.parents]
        if step.settings.get("log"):
            _note(step, "done")
        yield step, Payload({"said.txt": f"{step.settings['n']}({','.join(said)})".encode()})


def _note(step: Step, what: str) -> None:
    with open(step.settings["log"], "a") as file:  # one short line: whole, however many processes write
        file.write(f"{step.stage.name} {step.settings['n']} {what} {time.monotonic()} {os.getpid()}\n")


STAGES = {name: Stage(name, 1, build=build, on_device=False) for name in ("tune", "encode", "search", "eval")}


def stub(stage: str, n: int, *parents: Step, **settings: Any) -> Step:
    labels = {"model": f"m{n}", "task": f"T{n}", "suite": "s"}
    return Step(STAGES[stage], {"n": n, **settings}, {}, parents, labels, group=(f"g{n}",))


class Told:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def watch(self, meter: Any, before: Any) -> Any:
        import contextlib

        return contextlib.nullcontext()

    def message(self, text: str) -> None:
        self.texts.append(text)

    warn = message

    def detail(self, *parts: object) -> None:
        self.message(" ".join(map(str, parts)))
