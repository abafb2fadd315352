"""Groups of steps on a Dask cluster: a scheduler that somebody has started, and workers that see the same cache.

A worker has at most one group to build and the next two, the earliest stage first; the others wait here. What a worker
that dies was given, the scheduler gives to others, as often as its `allowed-failures` say. What then is still not built
is suspected, and built once more when nothing else is: what kills every worker fails alone. A group that was done
before finds that in the cache.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

from ptx.cache import STAGES, Store
from ptx.cache.remote import store_at
from ptx.engine import message
from ptx.engine.build import build_group
from ptx.engine.meter import Report
from ptx.engine.step import Step
from ptx.engine.workers import Answer, Done, Hear, Quiet, answered, failed, joined, taken
from ptx.errors import PtxError, UsageError, first_line

CONNECTING = 10.0  # seconds
LOOKED = 2.0  # seconds between looks at which workers there are
SEEN = 30.0  # seconds in which a file may become visible elsewhere: folders are kept in memory by network file systems
AHEAD = 3  # groups that a worker has at a time: messages take longer than a short group, and it would wait for them
GPU = "GPU"  # the resource that a worker with one announces: dask worker ADDRESS --resources GPU=1
AGAIN = "run the same command again: it goes on where it stopped"


@contextlib.contextmanager
def connected(store: Store, device: str, address: str, warn: Callable[[str], None]) -> Iterator[Cluster]:
    """The workers of the scheduler at an address. Raises PtxError without Dask, if there is none, or if they do not see
    the cache."""
    try:
        from distributed import Client
    except ImportError:
        hint = "run `pip install 'distributed>=2026.8'` here and on all workers"
        raise PtxError("--backend dask needs the package distributed", hint) from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what goes wrong is said here
    try:
        client = Client(address, timeout=CONNECTING, set_as_default=False, name="ptx")
    except ValueError as error:  # no address
        raise UsageError(f"--scheduler {address}: {first_line(error)}", "write it like tcp://host:8786") from None
    except (OSError, TimeoutError):
        raise PtxError(
            f"no Dask scheduler answers at {address}",
            "start one with `dask scheduler`, and workers with `dask worker ADDRESS --nthreads 1`",
        ) from None
    try:
        with message.writer(store) as writer:
            workers = Cluster(client, address, store, device, writer, warn)
            workers.check()
            yield workers
    finally:
        with contextlib.suppress(Exception):  # the scheduler is gone, say
            client.close(timeout=2)


@dataclass
class _Begun:
    number: int
    steps: Sequence[Step]
    rebuild: bool
    alone: bool = False


class Cluster:
    def __init__(
        self, client: Any, address: str, store: Store, device: str, writer: message.Writer, warn: Callable[[str], None]
    ) -> None:
        self.client, self.address, self.store, self.device = client, address, store, device
        self.writer, self.warn = writer, warn
        self.topic = f"ptx-{uuid.uuid4().hex[:8]}"
        self.begun: dict[Any, _Begun] = {}
        self.suspects: list[_Begun] = []
        self._done: queue.Queue[Any] = queue.Queue()
        self._names = itertools.count()
        self._workers: dict[str, Any] = {}
        self._looked, self._lonely = 0.0, False

    def check(self) -> None:
        """Raises PtxError if a worker has no ptx, or does not see the cache under the path that it has here."""
        marker = self.writer.folder / "here"
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
        try:
            found = self.client.run(sees, marker)
        except Exception as error:
            hint = "install the same ptx and packages on all workers"
            raise PtxError(f"a worker of {self.address} cannot run ptx: {first_line(error)}", hint) from None
        if blind := [worker for worker, seen in found.items() if not seen]:
            hint = "put the cache on a folder that all workers see by the same path: --cache-dir FOLDER"
            raise PtxError(f"the worker {blind[0]} does not see the cache {self.store.root}", hint)

    def listen(self, hear: Hear) -> None:
        self.client.subscribe_topic(self.topic, lambda event: hear(event[1][0], Report(*event[1][1])))

    @property
    def jobs(self) -> int:
        """How many workers there are now."""
        return max(1, len(self._look()))

    @property
    def room(self) -> bool:
        return len(self.begun) < AHEAD * self.jobs and not any(of.alone for of in self.begun.values())

    @property
    def busy(self) -> bool:
        return bool(self.begun or self.suspects)

    def begin(self, number: int, steps: Sequence[Step], *, rebuild: bool) -> None:
        self._begin(_Begun(number, steps, rebuild))

    def _begin(self, of: _Begun) -> None:
        stage, content = of.steps[0].stage, self.writer.message(of.steps)
        future = self.client.submit(
            build_there, of.number, content, self.store.where, self.store.made_by, self.device, of.rebuild, self.topic,
            key=f"{stage.name}-{self.topic}-{next(self._names)}", pure=False, priority=-STAGES.index(stage.name),
            resources=self._resources(stage.on_device),
        )  # fmt: skip
        self.begun[future.key] = of
        future.add_done_callback(self._done.put)

    def _resources(self, on_device: bool) -> dict[str, int] | None:
        """Where workers announce GPUs, each is for one group at a time."""
        wanted = on_device and self.device != "cpu"
        return {GPU: 1} if wanted and any(GPU in own["resources"] for own in self._look().values()) else None

    def finished(self) -> list[Done]:
        """None of them if there may be room by now, since a worker has come."""
        if not self.begun:
            self._begin(replace(self.suspects.pop(), alone=True))
        try:
            future = self._done.get(timeout=LOOKED)
        except queue.Empty:
            self._check_scheduler()
            if not self._look() and not self._lonely:
                self._lonely = True
                self.warn(f"there is no worker at {self.address}; waiting for one: dask worker {self.address}")
            return []
        self._check_scheduler()
        return self._taken(future, self.begun.pop(future.key))

    def _taken(self, future: Any, of: _Begun) -> list[Done]:
        from distributed import KilledWorker

        try:
            answer: Answer = future.result()
        except KilledWorker:
            if not of.alone:
                self.suspects.append(of)
                return []
            error = PtxError(
                "every worker that built this was killed, perhaps because memory ran out",
                f"give workers more memory, or run it here with --jobs 1; {AGAIN}",
            )
        except PtxError as problem:
            error = problem
        except Exception as problem:
            self._check_scheduler()
            hint = f"look at the worker's log; workers need the same ptx and packages as this process; {AGAIN}"
            error = PtxError(f"a worker failed: {type(problem).__name__}: {first_line(problem)}", hint)
        else:
            return [(of.number, *taken(answer, of.steps, self.store))]
        return [(of.number, failed(of.steps, error), [])]

    def _check_scheduler(self) -> None:
        if self.client.status != "running":
            raise PtxError(
                f"the Dask scheduler at {self.address} is gone; what is finished is kept", f"start it, and {AGAIN}"
            )

    def _look(self) -> dict[str, Any]:
        """The workers, as they were a moment ago."""
        if time.monotonic() - self._looked > LOOKED:
            self._looked = time.monotonic()
            with contextlib.suppress(OSError, TimeoutError):
                self._workers = dict(self.client.scheduler_info()["workers"])
        self._lonely = self._lonely and not self._workers
        return self._workers


def sees(marker: Path) -> bool:
    """On a worker: whether a file is there."""
    return _appears(marker, SEEN / 10)


def _appears(path: Path, seconds: float) -> bool:
    """Whether a file is there, at once or soon: a list of its folder is asked for anew, which the system may keep."""
    until = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() > until:
            return False
        with contextlib.suppress(OSError):
            list(path.parent.iterdir())
        time.sleep(0.2)
    return True


_one = threading.Lock()  # a process builds one group at a time, however many threads it has


def build_there(
    number: int, steps: bytes, where: str | Path, made_by: Mapping[str, str], device: str, rebuild: bool, topic: str
) -> Answer:
    """On a worker: build a group."""
    from distributed import get_worker

    worker, reporter = get_worker(), Quiet()
    store = store_at(where, reporter.warn, made_by, reached=True)
    with _one:
        group = message.read(steps)
        for parent in {parent.key: parent for step in group for parent in step.parents if not parent.stored}.values():
            _appears(store.folder(parent.stage.name, parent.key) / "meta.json", SEEN)
        with joined(lambda report: worker.log_event(topic, (number, astuple(report)))) as hear:
            outcomes = build_group(group, store, device, rebuild, reporter, hear)
    return answered(outcomes, reporter.warnings)
