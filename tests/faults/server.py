"""Runs `ptx` again and again in forked children of one process that has imported everything.

A start then costs some 20 ms instead of the two seconds or more that torch and transformers take, so that hundreds of
runs can be killed at random moments of their own work. A child is a process group with its own arguments, folder,
environment and files for its output; otherwise it runs what the `ptx` script runs.

Reads one JSON list of runs a line from stdin, starts them all at once, waits for all, and answers with one line.
    {"argv": [...], "cwd": "...", "env": {...}, "out": FILE, "err": FILE,
     "kill": {"signal": 9, "after": seconds},           after the start, or after the stall, if there is one
     "stall": {"stage": "tune", "in": "build" or "write", "how": "python", "native" or "briefly", "marker": FILE},
     "wait_for": FILE, "fsize": bytes}                  a stall's marker; the largest file that can be written
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic.dataclasses  # noqa: F401
import torch
import torch.nn.modules.transformer
import transformers.models.albert.modeling_albert
import transformers.models.bert.modeling_bert  # noqa: F401

import ptx.__main__
import ptx.cache
import ptx.cli.command
import ptx.cli.main
import ptx.cli.show
import ptx.engine.processes
import ptx.formats
import ptx.paper.figures
import ptx.paper.run
import ptx.paper.tables
import ptx.prompts.inspect
import ptx.results.table
import ptx.transfer.maps
import ptx.transfer.solvers
import ptx.transfer.target
import ptx.transfer.tuning
import ptx.transfer.words
from ptx.stages import stage_named


def main() -> None:
    torch.set_num_threads(1)
    import pandas as pd

    pd.DataFrame([{"a": 1}]).groupby("a").agg(n=("a", "size")).to_csv()
    print("ready", flush=True)
    for line in sys.stdin:
        runs = json.loads(line)
        print(json.dumps(wait([(start(run), run) for run in runs])), flush=True)


def start(run: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setpgid(0, 0)
        os.chdir(run["cwd"])
        os.environ.update(run.get("env", {}))
        for name, descriptor in (("out", 1), ("err", 2)):
            os.dup2(os.open(run[name], os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        if "stall" in run:
            hinder(**run["stall"])
        while "wait_for" in run and not os.path.exists(run["wait_for"]):
            time.sleep(0.01)
        if "fsize" in run:
            resource.setrlimit(resource.RLIMIT_FSIZE, (run["fsize"], run["fsize"]))
        sys.argv = ["ptx", *run["argv"]]
        code: Any = 0
        try:
            ptx.__main__.main()
        except SystemExit as end:
            code = end.code
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 0)
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(70)


def wait(running: list[tuple[int, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Exit code (or minus a signal), seconds, and seconds from the signal to the end, in the order of the runs."""
    began = time.monotonic()
    results: dict[int, dict[str, Any]] = {}
    signalled: dict[int, float] = {}
    reached: dict[int, float] = {}
    while len(results) < len(running):
        for pid, run in running:
            if pid in results:
                continue
            now = time.monotonic()
            kill = run.get("kill")
            if "stall" not in run or os.path.exists(run["stall"]["marker"]):
                reached.setdefault(pid, began if "stall" not in run else now)
            if kill and pid not in signalled and pid in reached and now >= reached[pid] + kill["after"]:
                signalled[pid] = now
                (os.killpg if kill["signal"] == signal.SIGINT else os.kill)(pid, kill["signal"])
            done, status, _ = os.wait4(pid, os.WNOHANG)
            if done:
                results[pid] = {
                    "code": os.waitstatus_to_exitcode(status),
                    "seconds": now - began,
                    "after_signal": now - signalled[pid] if pid in signalled else None,
                }
        time.sleep(0.001)
    return [results[pid] for pid, _ in running]


def hinder(marker: str, stage: str, how: str, **where: str) -> None:
    """Have a stage stop at the beginning of its work, or half way through writing its first artifact."""

    def stall() -> None:
        if os.path.exists(marker):
            return
        matrix = torch.randn(4000, 4000, dtype=torch.float64) if how == "native" else None
        Path(marker).touch()
        if how == "briefly":
            time.sleep(1)
            return
        if matrix is not None:
            torch.linalg.eigh(matrix)  # half a minute in one call
        while True:
            time.sleep(0.01)

    if where["in"] == "build":
        module: Any = importlib.import_module(f"ptx.stages.{stage}")
        original = stage_named(stage)
        original_build = original.build
        assert original_build is not None

        def build(steps: Any, *rest: Any) -> Iterator[Any]:
            if steps:
                stall()
            return original_build(steps, *rest)

        module.STAGE = dataclasses.replace(original, build=build)
        return
    publish = ptx.cache.Store.publish

    def publish_slowly(store: Any, of: str, key: str, meta: Any, write: Any, **more: Any) -> Any:
        def half(folder: Path) -> None:
            write(folder)
            file = next(folder.iterdir())
            content = file.read_bytes()
            file.write_bytes(content[: len(content) // 2])
            stall()
            file.write_bytes(content)

        return publish(store, of, key, meta, half if of == stage else write, **more)

    ptx.cache.Store.publish = publish_slowly  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    main()
