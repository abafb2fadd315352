"""What a unit of work costs on a Dask cluster beside its own computing: scheduler and workers are processes of this
machine.

Units that do nothing show what is added to each, with and without workers that announce GPUs: wall time, from planning
to the artifact, which is on disk by then. Units that compute show what a second worker is worth.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import once
from benchmarks.report import Row
from ptx.cache import Store
from ptx.engine.pipeline import Pipeline
from ptx.engine.step import Payload, Stage, Step, Tick
from ptx.engine.workers import Quiet

ROOT = Path(__file__).parent.parent
UNITS, COMPUTING = 300, (24, 1.0)  # how many that do nothing; how many that compute, and seconds
WHY = "Most of what a unit takes are Dask's own messages: it waits for them, and for the disk to have the artifact."


def rows(quick: bool) -> list[Row]:
    count = UNITS // 10 if quick else UNITS
    made = []
    for tags, how, goal in ((False, "without", 0.01), (True, "with", 0.025)):
        with cluster(1, tags) as found:
            cpu = found.cpu()
            each = once(lambda: found.run(units(count))) / count
            spent = [1000 * (after - before) / count for before, after in zip(cpu, found.cpu(), strict=True)]
        note = "CPU of client, scheduler and worker: " + " + ".join(f"{ms:.1f}" for ms in spent) + " ms"
        what = f"a unit that does nothing on a Dask cluster, {how} resource tags"
        made.append(Row(what, each, goal=goal, note=note, why=WHY))
    number, seconds = (8, 0.5) if quick else COMPUTING
    whole = []
    for workers in (1, 2):
        with cluster(workers) as found:
            whole.append(once(lambda: found.run(units(number, seconds))))
    what = f"{number} units of {seconds:g} s on two workers of a Dask cluster, against one"
    return [*made, Row(what, whole[1], whole[0], goal=1.8)]


def build(steps: Sequence[Step], store: Store, device: str, tick: Tick) -> Iterator[tuple[Step, Payload]]:
    for step in steps:
        until = time.process_time() + step.settings["seconds"]
        while time.process_time() < until:
            pass
        yield step, Payload({"number.txt": str(step.settings["number"]).encode()})


STAGE = Stage("eval", 1, build=build)


def units(count: int, seconds: float = 0.0) -> list[Step]:
    """Steps that need each other as little as any two, each a group of its own."""
    labels = {"model": "none", "task": "none"}
    return [Step(STAGE, {"number": n, "seconds": seconds}, labels=labels, group=(str(n),)) for n in range(count)]


@dataclass
class Cluster:
    address: str
    folder: Path
    processes: Sequence[subprocess.Popen[Any]]

    def run(self, steps: Sequence[Step]) -> None:
        done = Pipeline(Store(self.folder / "cache"), Quiet(), scheduler=self.address).run(steps)
        assert all(outcome.artifact and not outcome.reused for outcome in done)

    def cpu(self) -> list[float]:
        """Seconds so far of this process, of the scheduler, and of the workers."""
        import psutil  # which Dask needs

        every = [sum(psutil.Process(of).cpu_times()[:2]) for of in (os.getpid(), *(p.pid for p in self.processes))]
        return [*every[:2], sum(every[2:])]


@contextlib.contextmanager
def cluster(workers: int, tags: bool = False) -> Iterator[Cluster]:
    """A scheduler and so many workers, each with one thread, that have built something already."""
    from distributed import Client

    own = ["--host", "127.0.0.1", "--no-dashboard"]
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as ended:
        folder = Path(name)

        def start(what: str, *options: str) -> Path:
            log = folder / f"{what}{len(processes)}.log"
            command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *options, *own]
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
            with log.open("wb") as file:
                processes.append(subprocess.Popen(command, stdout=file, stderr=file, env=environment))
            ended.callback(processes[-1].wait)
            ended.callback(processes[-1].kill)
            return log

        processes: list[subprocess.Popen[Any]] = []
        log = start("scheduler", "--port", "0", "--no-show")
        while not (said := re.search(r"Scheduler at: +(tcp://\S+)", log.read_text())):
            time.sleep(0.1)
        for _ in range(workers):
            resources = ["--resources", "GPU=1"] if tags else []
            start("worker", said[1], "--nthreads", "1", "--no-nanny", "--local-directory", name, *resources)
        with Client(said[1], set_as_default=False) as client:
            client.wait_for_workers(workers)
        found = Cluster(said[1], folder, processes)
        found.run(units(4 * workers, 0.01))
        yield found
