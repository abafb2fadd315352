"""Groups of steps in processes side by side on this machine, which never outlive the one that asked for them."""

import contextlib
import functools
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

from ptx.cache import Store
from ptx.cache.remote import store_at
from ptx.engine import message
from ptx.engine.build import build_group
from ptx.engine.step import Step
from ptx.engine.workers import Answer, Done, Hear, Quiet, Workers, answered, failed, joined, taken
from ptx.errors import PtxError
from ptx.memory import freed_blocks_go_back

Ear = tuple[Any, bytes]  # an address and a key
Kind = tuple[int, frozenset[tuple[str, str]]]  # how many processes share this machine, and what they read of where
READ = ("PTX_", "HF_", "AWS_", "FSSPEC_", "CUDA_", "XDG_", "HOME")  # how such variables begin
# Of libraries that compute on several cores, each to have its share.
THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS",
)  # fmt: skip
IDLE = 300.0  # seconds until a process ends of which nothing more is asked


@contextlib.contextmanager
def processes(store: Store, device: str, jobs: int, hear: Hear) -> Iterator[Workers]:
    """So many processes; when one is killed, what it was building has failed, and nothing else."""
    with _heard(hear) as ear, message.writer(store) as writer:
        workers = _Processes(store, device, jobs, ear, writer)
        try:
            yield workers
        except BaseException:
            workers.end()
            raise


@dataclass
class _Begun:
    number: int
    steps: Sequence[Step]
    pool: Any
    kind: Kind


class _Processes:
    """Each process is a pool of its own, of joblib's loky: when it breaks, it is known what broke it."""

    def __init__(self, store: Store, device: str, jobs: int, ear: Ear, writer: message.Writer) -> None:
        self.store, self.device, self.jobs, self.ear, self.writer = store, device, jobs, ear, writer
        self.begun: dict[Future[Answer], _Begun] = {}

    @property
    def room(self) -> bool:
        return len(self.begun) < self.jobs

    @property
    def busy(self) -> bool:
        return bool(self.begun)

    def begin(self, number: int, steps: Sequence[Step], *, rebuild: bool) -> None:
        store = self.store
        call = (number, self.ear, self.writer.message(steps), store.where, store.made_by, self.device, rebuild)
        with _interrupts_blocked():
            try:
                kind = _kind(self.jobs)
                pool = _pool(kind)
                future = pool.submit(_build, *call)
            except BrokenProcessPool:  # somebody has killed it while it was idle
                pool = _new_pool(self.jobs)
                future = pool.submit(_build, *call)
        self.begun[future] = _Begun(number, steps, pool, kind)

    def finished(self) -> list[Done]:
        done, _ = wait(self.begun, return_when=FIRST_COMPLETED)
        return [self._taken(future, self.begun.pop(future)) for future in done]

    def _taken(self, future: Future[Answer], of: _Begun) -> Done:
        try:
            answer = future.result()
        except BrokenProcessPool:
            error = PtxError(
                "a worker process was killed, perhaps because memory ran out",
                "run the same command again with --jobs 1: it goes on where it stopped",
            )
            return of.number, failed(of.steps, error), []
        _idle.setdefault(of.kind, []).append(of.pool)
        return of.number, *taken(answer, of.steps, self.store)

    def end(self) -> None:
        """Stop what is being built."""
        for of in self.begun.values():
            of.pool.shutdown(wait=False, kill_workers=True)


_idle: dict[Kind, list[Any]] = {}  # processes that have nothing to do


def _kind(jobs: int) -> Kind:
    """A process keeps the environment that it began with: where another one is wanted, it is of no use."""
    return jobs, frozenset((name, value) for name, value in os.environ.items() if name.startswith(READ))


def _pool(kind: Kind) -> Any:
    return _idle[kind].pop() if _idle.get(kind) else _new_pool(kind[0])


def _new_pool(jobs: int) -> Any:
    from joblib.externals.loky import ProcessPoolExecutor, cpu_count

    # loky replaces a process whose memory has grown, between two groups; nothing is lost, and nobody need hear of it.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
    threads = str(max(1, cpu_count() // jobs))
    env = {name: os.environ.get(name, threads) for name in THREADS}
    return ProcessPoolExecutor(1, timeout=IDLE, initializer=_started, initargs=(os.getpid(),), env=env)


def _build(
    number: int, ear: Ear, steps: bytes, where: str | Path, made_by: Mapping[str, str], device: str, rebuild: bool
) -> Answer:
    reporter = Quiet()
    with contextlib.ExitStack() as held:
        line = functools.cache(lambda: held.enter_context(Client(ear[0], authkey=ear[1])))
        hear = held.enter_context(joined(lambda report: line().send((number, report))))
        store = store_at(where, reporter.warn, made_by, reached=True)
        outcomes = build_group(message.read(steps), store, device, rebuild, reporter, hear)
    return answered(outcomes, reporter.warnings)


@contextlib.contextmanager
def _heard(hear: Hear) -> Iterator[Ear]:
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


def _started(parent: int) -> None:
    """Of a new process: it gives back what it frees, and ends soon after its parent, however that ended."""
    freed_blocks_go_back()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    if os.name != "nt":
        threading.Thread(target=watch, daemon=True).start()
