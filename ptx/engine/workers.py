"""Groups of steps in processes of their own, which never outlive the one that asked for them."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

from ptx.cache import Store
from ptx.engine.build import Outcome, build_group
from ptx.engine.step import Step
from ptx.errors import PtxError

Call = tuple[Sequence[Step], Path, str, bool]  # steps, cache, device, rebuild


def build_apart(calls: Sequence[Call], jobs: int) -> Iterator[tuple[list[Outcome], list[str]]]:
    """Outcomes of whole groups and their warnings, as they are done. If a worker dies, what is not done has failed."""
    waiting = {step.key: step for steps, *_ in calls for step in steps}
    parallel = Parallel(
        n_jobs=jobs, return_as="generator_unordered", backend="loky",
        initializer=_follow, initargs=(os.getpid(),),
    )  # fmt: skip
    try:
        with _interrupts_blocked():
            results = parallel(delayed(_build)(*call) for call in calls)
        for outcomes, warnings in results:
            for outcome in outcomes:
                del waiting[outcome.step.key]
            yield outcomes, warnings
    except BrokenProcessPool:
        error = PtxError(
            "a worker process was killed, perhaps because memory ran out",
            "run the same command again with --jobs 1: it goes on where it stopped",
        )
        yield [Outcome(step, None, False, error) for step in waiting.values()], []


class _Quiet:
    """A worker process has no terminal: its warnings travel back with the results."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def stage(self, stage: str, total: int) -> Any: ...
    def advance(self, amount: float) -> None: ...
    def message(self, text: str) -> None: ...
    def detail(self, text: str) -> None: ...
    def warn(self, text: str) -> None:
        self.warnings.append(text)


def _build(steps: Sequence[Step], root: Path, device: str, rebuild: bool) -> tuple[list[Outcome], list[str]]:
    reporter = _Quiet()
    return build_group(steps, Store(root, reporter.warn), device, rebuild, reporter), reporter.warnings


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Processes started here never see Ctrl-C and SIGHUP, which a terminal sends to all: their parent ends them."""
    if os.name == "nt":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _follow(parent: int) -> None:
    """End this process soon after its parent, however that ended."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    if os.name != "nt":
        threading.Thread(target=watch, daemon=True).start()
