"""Groups of steps in processes of their own, which never outlive the one that asked for them."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

from ptx.cache import Store
from ptx.engine.ahead import Ahead
from ptx.engine.build import Outcome, build_group
from ptx.engine.meter import Meter, Report
from ptx.engine.step import Step
from ptx.errors import PtxError

Ear = tuple[Any, bytes]  # an address and a key
Call = tuple[Sequence[Step], Path, dict[str, str], str, bool]  # steps, cache, who asked, device, rebuild


def build_apart(
    calls: Sequence[Call], jobs: int, hear: Callable[[int, Report], None]
) -> Iterator[tuple[int, list[Outcome], list[str]]]:
    """The number, outcomes and warnings of whole groups, as they are done, each of whose reports `hear` gets before. If
    a worker dies, what is not done has failed."""
    waiting = {step.key: (number, step) for number, (steps, *_) in enumerate(calls) for step in steps}
    parallel = Parallel(
        n_jobs=jobs, return_as="generator_unordered", backend="loky",
        initializer=_follow, initargs=(os.getpid(),),
    )  # fmt: skip
    try:
        with _heard(hear) as ear:
            with _interrupts_blocked():
                results = parallel(delayed(_build)(number, ear, *call) for number, call in enumerate(calls))
            for number, outcomes, warnings in results:
                for outcome in outcomes:
                    del waiting[outcome.step.key]
                yield number, outcomes, warnings
    except BrokenProcessPool:
        error = PtxError(
            "a worker process was killed, perhaps because memory ran out",
            "run the same command again with --jobs 1: it goes on where it stopped",
        )
        yield from ((number, [Outcome(step, None, False, error)], []) for number, step in waiting.values())


class _Quiet:
    """A worker process has no terminal: its warnings travel back with the results."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def watch(self, meter: Meter, before: Ahead) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def message(self, text: str) -> None: ...
    def detail(self, text: str) -> None: ...
    def warn(self, text: str) -> None:
        self.warnings.append(text)


def _build(
    number: int, ear: Ear, steps: Sequence[Step], root: Path, made_by: dict[str, str], device: str, rebuild: bool
) -> tuple[int, list[Outcome], list[str]]:
    reporter = _Quiet()
    with Client(ear[0], authkey=ear[1]) as line:
        store = Store(root, reporter.warn, made_by)
        outcomes = build_group(steps, store, device, rebuild, reporter, lambda report: line.send((number, report)))
    return number, outcomes, reporter.warnings


@contextlib.contextmanager
def _heard(hear: Callable[[int, Report], None]) -> Iterator[Ear]:
    """Where worker processes can send a group's number and its reports."""
    key = os.urandom(16)
    with Listener(authkey=key) as listener:

        def one(line: Connection) -> None:
            with contextlib.suppress(EOFError, OSError), line:
                while True:
                    hear(*line.recv())

        def every() -> None:
            with contextlib.suppress(OSError):
                while True:
                    with contextlib.suppress(EOFError, AuthenticationError):
                        threading.Thread(target=one, args=(listener.accept(),), daemon=True).start()

        threading.Thread(target=every, daemon=True).start()
        yield listener.address, key


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
