"""Cells are worked off in processes of one thread each, one a model, which end with the one that started them.

`python -m benchmarks.real.work JOB` is such a process: its job is JSON, it says on stderr what comes out, and writes
what failed to stdout. What it makes is in ptx's cache, and its peak memory in a file.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.real.cells import Cell, Place, ask, build
from ptx.errors import PtxError
from ptx.memory import freed_blocks_go_back

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Job:
    """The cells of one model. `peak` is the file that gets the process's peak memory, in bytes."""

    name: str
    cells: tuple[Cell, ...]
    place: Place
    peak: Path


Each = Callable[[Job], list[str]]  # runs a job and returns what failed


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def here(job: Job) -> list[str]:
    """Run a job in this process."""
    from benchmarks.memory import peak

    failed: dict[str, None] = {}
    numbered = itertools.count(1)
    for _, group in itertools.groupby(job.cells, key=_alike):
        cells = list(group)
        began, each = time.monotonic(), 0.0
        if len(cells) > 1:
            build(cells, job.place)
            _raise(job.peak, peak())
            each = (time.monotonic() - began) / len(cells)
        for cell in cells:
            what = f"{job.name} {next(numbered)}/{len(job.cells)}: {cell} {cell.row} {cell.task} {cell.split}"
            began = time.monotonic()
            try:
                score = ask(cell, job.place, say)
            except PtxError as error:
                failed[f"{cell} {cell.row} {cell.task}: {error.message}"] = None
                say(f"{what} failed: {error.message} ({error.hint})")
                continue
            _raise(job.peak, peak())
            if score is not None:
                found = f"{100 * score.accuracy:.1f} (majority {100 * score.floor:.1f})"
                say(f"{what}: {found}, {each + time.monotonic() - began:.0f} s")
    return list(failed)


def _alike(cell: Cell) -> Cell:
    """What cells share that are built together. A model's own prompts are not: one that is finished is in the cache
    before the next one begins."""
    return dataclasses.replace(cell, task="") if cell.source else cell


def start(job: Job) -> subprocess.Popen[str]:
    """A process of one thread that works on a job, and ends when its standard input is closed."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    environment = os.environ | threads | {"PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    said = json.dumps(dataclasses.asdict(job) | {"peak": str(job.peak)})
    command = [sys.executable, "-m", "benchmarks.real.work", said]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=environment, encoding="utf-8", stdin=pipe, stdout=pipe)


def apart(job: Job) -> list[str]:
    """Run a job in a process of its own. Raises PtxError if that dies."""
    with start(job) as process:
        assert process.stdout is not None
        said = process.stdout.read()
    if process.returncode:
        hint = "run the same again, which goes on where it stopped; with --jobs 1 if memory ran out"
        raise PtxError(f"the process for {job.name} ended with {process.returncode}", hint)
    failed: list[str] = json.loads(said)
    return failed


def run(jobs: Sequence[Job], at_once: int, each: Each) -> list[str]:
    """Run jobs, so many at once, and return what failed."""
    if at_once == 1:
        return [text for job in jobs for text in each(job)]
    with ThreadPoolExecutor(at_once) as pool:
        return [text for failed in pool.map(each, jobs) for text in failed]


def job_of(text: str) -> Job:
    """A job as `start` writes it."""
    read = json.loads(text)
    cells = (Cell(**cell | {"options": tuple(map(tuple, cell["options"]))}) for cell in read["cells"])
    return Job(read["name"], tuple(cells), Place(**read["place"]), Path(read["peak"]))


def _raise(file: Path, peak: int) -> None:
    """Keep the greatest peak over all runs: one that finds half of its work done may need less."""
    if not file.exists() or int(file.read_text()) < peak:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{peak}\n")


def main() -> None:
    freed_blocks_go_back()  # as in ptx's own processes, so that the peak is theirs
    job = job_of(sys.argv[1])
    threading.Thread(target=_follow, daemon=True).start()
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    print(json.dumps(here(job)))


def _follow() -> None:
    """End this process when its standard input is closed: whoever started it is gone."""
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
