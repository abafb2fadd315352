"""A Dask scheduler and its workers as processes of their own, on loopback: what is lost when one of them is."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stubs import Told, stub

from ptx.cache import Store
from ptx.engine.pipeline import Pipeline
from ptx.errors import PtxError

pytest.importorskip("distributed")
TESTS = Path(__file__).parent
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parents[1]), os.environ.get("PYTHONPATH", "")]),
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",  # so that a test is quick: twice is enough
    "DASK_DISTRIBUTED__WORKER__PRELOAD": "[]",
    "OMP_NUM_THREADS": "1",
}


class Dask:
    """A scheduler and two workers; a worker that is killed is started anew by its nanny."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.started = folder, []  # type: tuple[Path, list[subprocess.Popen[Any]]]
        self.address = self.scheduler()

    def scheduler(self, port: int = 0) -> str:
        options = ["scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard", "--no-show"]
        log = self._start("scheduler", options)
        return self._said(log, r"Scheduler at: +(tcp://\S+)")

    def worker(self, *more: str) -> None:
        own = f"worker{len(self.started)}"
        options = ["worker", self.address, "--nthreads", "1", "--host", "127.0.0.1", "--no-dashboard", *more]
        self._start(own, [*options, "--local-directory", str(self.folder / own), "--death-timeout", "20"])

    def _start(self, name: str, options: list[str]) -> Path:
        log = self.folder / f"{name}.log"
        with log.open("wb") as file:
            command = [sys.executable, "-m", "distributed.cli.dask_" + options[0], *options[1:]]
            self.started.append(
                subprocess.Popen(command, stdout=file, stderr=file, env=ENVIRONMENT, start_new_session=True)
            )
        return log

    def _said(self, log: Path, pattern: str) -> str:
        until = time.monotonic() + 60
        while not (found := re.search(pattern, log.read_text())):
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        return found[1]

    def end(self) -> None:
        for process in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with all that it has started
            process.wait()


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Dask]:
    found = Dask(tmp_path)
    try:
        yield found
    finally:
        found.end()


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    def run(dask: Dask, goals: Any, told: Told | None = None) -> Any:
        store = Store(tmp_path / "cache", print)
        return Pipeline(store, told or Told(), scheduler=dask.address).run(goals)

    return run


def test_what_kills_its_worker_each_time_fails_alone_and_what_did_once_is_done(dask, run, tmp_path) -> None:
    """In the middle of a grid, on two workers; with resource tags."""
    for _ in range(2):
        dask.worker("--resources", "GPU=1")
    told = Told()
    tunes = [stub("tune", 0, dies=True), stub("tune", 1, dies=str(tmp_path / "once"))]
    tunes += [stub("tune", n, seconds=0.1) for n in range(2, 8)]
    goals = [stub("eval", 10 + n, tune) for n, tune in enumerate(tunes)]
    outcomes = run(dask, goals, told)
    failed = {o.step.settings["n"]: o.error for o in outcomes if o.error}
    assert set(failed) == {0, 10}
    assert "every worker that built this was killed, perhaps because memory ran out" in str(failed[0])
    done = {o.step.settings["n"]: o.artifact for o in outcomes if o.artifact}
    assert set(done) == {*range(1, 8), *range(11, 18)}
    assert (done[11].path / "said.txt").read_text() == "11(1())"
    assert any(text.startswith("built tune") for text in told.texts)
    assert not list((tmp_path / "cache" / "tasks").glob("*"))


def test_a_lost_scheduler_is_an_error_and_the_same_run_goes_on(dask, run, tmp_path) -> None:
    dask.worker()
    log = tmp_path / "log"
    tunes = [stub("tune", n, seconds=0.3, log=str(log)) for n in range(12)]
    (scheduler, *_) = dask.started

    def kill() -> None:
        while not log.exists() or log.read_text().count("done") < 2:
            time.sleep(0.02)
        os.killpg(scheduler.pid, signal.SIGKILL)

    killing = threading.Thread(target=kill)
    killing.start()
    with pytest.raises(PtxError, match=r"the Dask scheduler at tcp:\S+ is gone") as lost:
        run(dask, tunes)
    killing.join()
    assert "run the same command again: it goes on where it stopped" in lost.value.hint
    dask.address = dask.scheduler()
    dask.worker()
    outcomes = run(dask, tunes)
    assert all(o.artifact for o in outcomes)
    assert sum(o.reused for o in outcomes) >= 2


def test_no_scheduler_and_no_shared_folder_are_said_before_anything_runs(ptx, tmp_path, monkeypatch) -> None:
    for more in (["--backend", "dask"], ["--scheduler", "tcp://127.0.0.1:1"]):
        alone = ptx("run", "demo", *more)
        assert (alone.code, alone.out) == (2, "")
        assert "--backend dask and --scheduler belong together" in alone.err
    monkeypatch.setattr("ptx.engine.cluster.CONNECTING", 0.5)
    with pytest.raises(PtxError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1") as none:
        Pipeline(Store(tmp_path / "c", print), Told(), scheduler="tcp://127.0.0.1:1").run([stub("tune", 0)])
    assert "dask scheduler" in none.value.hint
    assert not (tmp_path / "c" / "v1").exists()
    monkeypatch.setitem(sys.modules, "distributed", None)
    missing = ptx("run", "demo", "--backend", "dask", "--scheduler", "tcp://127.0.0.1:1")
    assert (missing.code, missing.out) == (1, "")
    assert "--backend dask needs the package distributed" in missing.err
    assert "run `pip install 'distributed>=2026.8'` here" in missing.err
