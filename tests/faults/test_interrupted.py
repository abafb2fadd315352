"""Ctrl-C and SIGTERM in every stage: 130 or 143 within two seconds, a way to go on, and nothing half written."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
import time

import pytest

from ptx.cache import STAGES, Store
from ptx.cache.housekeeping import check
from ptx.cli.interrupts import GRACE

LIMIT = 2.0  # seconds
WAYS = list(itertools.product((signal.SIGINT, signal.SIGTERM), ("python", "native")))


@pytest.fixture(scope="module")
def figure(tmp_path_factory: pytest.TempPathFactory, tiny, suite) -> str:
    """A recipe that ends in a figure; the table is kept by another."""
    path = tmp_path_factory.mktemp("figure") / "figure.toml"
    path.write_text(
        f'shows = "figure3"\nsuite = {json.dumps(suite)}\nmethods = ["relative"]\ntune.epochs = 1\n'
        f"sources = {json.dumps([[tiny['a']]])}\ntargets = {json.dumps([tiny['b']])}\n"
        "[[sweep]]\nsearch.normalize = [true, false]\n"
    )
    return str(path)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_can_be_interrupted(server, recipe, figure, tmp_path, rounds, say, stage) -> None:
    where = ["write"] if stage in ("table", "figure") else ["build", "write"]
    command = ["run", figure if stage == "figure" else recipe, "--jobs", 1]
    cases = list(itertools.product(where, WAYS))
    place = STAGES.index(stage)
    short = [cases[place % len(cases)]]  # another way for each stage
    slowest = 0.0
    for number, (at, (how, kind)) in enumerate(cases if rounds(1, 0) else short):
        folder = tmp_path / str(number)
        folder.mkdir()
        ended = server.run(
            folder, *command,
            stall={"stage": stage, "in": at, "how": kind}, kill={"signal": how, "after": 0.1},
        )  # fmt: skip
        assert ended.code == 128 + how, ended.err
        assert (GRACE if kind == "native" else 0) <= ended.after_signal <= LIMIT
        slowest = max(slowest, ended.after_signal)
        assert ended.err.count("interrupted: what is finished is kept") == 1
        assert "hint: run the same command again" in ended.err
        assert "Traceback" not in ended.err
        count, damaged = check(Store(folder / "cache"))
        assert damaged == []
        assert not list((folder / "cache" / "v1").glob(f"{stage}/[!.]*"))
        again = server.run(folder, *command, "--json")
        assert again.code == 0, again.err
        assert sum(line.get("reused", False) and line["stage"] != stage for line in again.lines) >= count
        server.run(folder, "cache", "gc")
        assert not list((folder / "cache" / "v1").glob("*/.*"))
    say(f"{stage}: {len(cases)} interruptions, the slowest ended after {slowest:.2f} s")


def test_an_interruption_during_imports_is_no_traceback(tmp_path, rounds, say) -> None:
    delays = [0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 2.1, 2.4] if rounds(1, 0) else [0.9]
    for delay, how in itertools.product(delays, (signal.SIGINT, signal.SIGTERM) if rounds(1, 0) else [signal.SIGINT]):
        process = subprocess.Popen(
            [sys.executable, "-m", "ptx", "tune", "--model", "bert-micro", "--epochs", "100"],
            cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        time.sleep(delay)
        began = time.monotonic()
        process.send_signal(how)
        _, err = process.communicate()
        assert time.monotonic() - began <= LIMIT
        assert process.returncode == 128 + how
        assert err.endswith("it goes on where it stopped\n")
        assert "Traceback" not in err
    say(f"{len(delays) * 2} interruptions of a start from scratch")


def test_a_second_signal_ends_at_once() -> None:
    """The same as a second Ctrl-C of an impatient person: no waiting for what hangs."""
    code = "import sys, time; from ptx.cli import interrupts; interrupts.install(); print('on', flush=True)\n"
    code += "while True:\n try:\n  time.sleep(1)\n except KeyboardInterrupt: pass\n"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 143
        assert time.monotonic() - began < 0.8


def test_ignored_signals_stay_ignored() -> None:
    """`nohup` and background jobs of scripts ignore Ctrl-C, and so do we."""
    code = "import signal; signal.signal(2, signal.SIG_IGN); from ptx.cli import interrupts; interrupts.install()\n"
    code += "import os; os.kill(os.getpid(), 2); print('alive')"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "alive\n"
