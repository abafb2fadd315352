"""What runs are at, seen from another process: while they go on, when they have ended, and when they were killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from stubs import Told, stub

from ptx.cache import Store
from ptx.cache.gc import collect_garbage
from ptx.engine import status
from ptx.engine.pipeline import Pipeline, there

TESTS = Path(__file__).parent
RUN = """
import sys
from pathlib import Path
from stubs import Told, stub
from ptx.cache import Store
from ptx.engine.pipeline import Pipeline
log = str(Path("log").absolute())
goals = [stub("eval", 9, stub("tune", 0, log=log)), stub("search", 2, seconds=100.0, log=log)]
Pipeline(Store(Path("cache"), print), Told(), name="grid 2/3").run(goals)
"""


def test_a_run_is_seen_while_it_goes_on_and_after_it_was_killed(ptx, tmp_path) -> None:
    paths = os.pathsep.join([str(TESTS), str(TESTS.parents[1])])
    with subprocess.Popen([sys.executable, "-c", RUN], cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths}) as run:
        try:
            log, until = tmp_path / "log", time.monotonic() + 60
            while not log.exists() or "search 2 begun" not in log.read_text():
                assert run.poll() is None
                assert time.monotonic() < until
                time.sleep(0.05)
            time.sleep(status.RENEWED + 0.5)
            (said,) = ptx("run", "--status", "--json").lines
            shown = ptx("run", "--status")
        finally:
            os.kill(run.pid, signal.SIGKILL)
    assert (said["run"], said["state"], said["pid"]) == ("grid 2/3", "running", run.pid)
    assert said["stages"] == {
        "tune": {"there": 0, "built": 1, "failed": 0, "left": 0},
        "search": {"there": 0, "built": 0, "failed": 0, "left": 1},
        "eval": {"there": 0, "built": 0, "failed": 0, "left": 1},
    }
    assert said["elapsed"] >= status.RENEWED
    assert said["now"] == ["search m2 T2: reading the model"]
    (row,) = shown.out.splitlines()[1:]
    assert row.split()[:4] == ["grid", "2/3", "running", f"{said['host']}:{run.pid}"]
    (after,) = ptx("run", "--status", "--json").lines
    assert after["state"] == "stopped"
    assert "no run of demo is known" in ptx("run", "demo", "--status").err
    collect_garbage(Store(tmp_path / "cache", print), {})
    assert ptx("run", "--status", "--json").lines == []


def test_what_failed_is_named_until_the_run_is_repeated(ptx, tmp_path) -> None:
    store = Store(tmp_path / "cache", print)
    bad = stub("tune", 0, refused="no such thing")
    goals = [stub("eval", 2, bad), stub("eval", 3, stub("tune", 1))]
    Pipeline(store, Told(), name="grid").run(goals)
    shown = ptx("run", "--status")
    assert "finished" in shown.out
    assert "grid: tune m0  T0 failed: no such thing" in shown.out
    (said,) = ptx("run", "--status", "--json").lines
    assert [one["key"] for one in said["failed"]] == [bad.key, goals[0].key]
    assert there(goals, store) == {"tune": {"there": 1, "left": 1}, "eval": {"there": 1, "left": 1}}
    Pipeline(store, Told(), name="grid").run(goals[1:])  # all of it is there
    assert ptx("run", "--status").out == ""


def test_what_another_machine_says_counts_while_it_is_new(tmp_path, monkeypatch) -> None:
    store = Store(tmp_path, print)
    said: dict[str, Any] = {"run": "grid", "state": "running", "began": 1.0, "host": "far", "pid": 7, "elapsed": 1.0}
    path = tmp_path / status.FOLDER / "12345678.7-another-machine"
    path.parent.mkdir()
    path.write_text(json.dumps(said))
    assert [run["state"] for run in status.runs(store)] == ["running"]
    os.utime(path, (time.time() - 100, time.time() - 100))
    assert [run["state"] for run in status.runs(store)] == ["stopped"]
    assert 95 < status.runs(store)[0]["heard"] < 130
    path.write_text("{")
    assert status.runs(store) == []
