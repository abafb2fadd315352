"""SIGKILL at random moments of a run: the next one completes, with the same table."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from ptx.cache import Store
from ptx.cache.housekeeping import check


def test_killed_runs_are_completed_by_the_next(server, recipe, tmp_path, rounds, say) -> None:
    began = time.monotonic()
    (tmp_path / "whole").mkdir()
    whole = server.run(tmp_path / "whole", "run", recipe, "--jobs", 1)
    assert whole.code == 0, whole.err
    entries = published(tmp_path / "whole" / "cache")
    draw = random.Random(0)
    kills = late = completed = 0
    while kills < rounds(200, 6):
        folder = tmp_path / f"round{completed}"
        folder.mkdir()
        for _ in range(draw.randint(1, 4)):
            after = draw.uniform(0, whole.seconds)
            ended = server.run(folder, "run", recipe, "--jobs", 1, kill={"signal": signal.SIGKILL, "after": after})
            kills += ended.code == -signal.SIGKILL
            late += ended.code == 0
            assert ended.code in (0, -signal.SIGKILL), ended.err
        done = server.run(folder, "run", recipe, "--jobs", 1)
        assert done.code == 0, done.err
        assert done.out == whole.out
        assert "damaged" not in done.err
        assert published(folder / "cache") == entries
        assert server.run(folder, "cache", "gc").code == 0
        assert unfinished(folder / "cache") == []  # and gc knows what the dead have left
        assert check(Store(folder / "cache")) == (len(entries), [])
        completed += 1
    say(
        f"{kills} kills within {whole.seconds:.1f} s of work ({late} more came too late), {completed} completions, all "
        f"tables identical; {time.monotonic() - began:.0f} s"
    )


def test_worker_processes_die_with_their_parent(server, recipe, tmp_path, rounds, say) -> None:
    whole = server.run(tmp_path, "run", recipe, "--jobs", 1, "--cache-dir", "whole")
    draw = random.Random(1)
    for number in range(rounds(6, 1)):
        how = (signal.SIGINT, signal.SIGKILL, signal.SIGTERM)[number % 3]
        after = draw.uniform(2, 6)
        ended = server.run(tmp_path, "run", recipe, "--jobs", 2, kill={"signal": how, "after": after})
        assert ended.code in (0, -signal.SIGKILL, 130, 143), ended.err
        assert "Traceback" not in ended.err
        deadline = time.monotonic() + 5
        while left := workers(tmp_path):
            assert time.monotonic() < deadline, left
            time.sleep(0.1)
    done = server.run(tmp_path, "run", recipe, "--jobs", 2)
    assert done.code == 0, done.err
    assert done.out == whole.out
    say(f"{rounds(6, 1)} parents of worker processes killed, no orphan after 5 s")


def test_a_killed_worker_is_a_clear_error(recipe, tmp_path) -> None:
    """As when memory runs out."""
    long = tmp_path / "long.toml"
    endless = Path(recipe).read_text().replace("tune.epochs = ", "tune.epochs = 9999")
    long.write_text(f'methods = ["relative"]\n{endless}')  # no other stage that could go on by itself
    command = [sys.executable, "-m", "ptx", "run", str(long), "--jobs", "2"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as run:
        while not (found := workers(tmp_path)):
            assert run.poll() is None
            time.sleep(0.05)
        os.kill(next(iter(found)), signal.SIGKILL)
        _, err = run.communicate()
    assert run.returncode == 1
    assert "a worker process was killed, perhaps because memory ran out" in err
    assert "with --jobs 1: it goes on where it stopped" in err
    assert "Traceback" not in err


def test_sigkill_costs_less_than_an_epoch(server, tiny, suite, tmp_path) -> None:
    command = ["tune", "--model", tiny["a"], "--suite", suite, "--epochs", 400, "--patience", 0, "--init", "random"]
    ended = server.run(tmp_path, *command, kill={"signal": signal.SIGKILL, "after": 3})
    assert ended.code == -signal.SIGKILL
    (file,) = (tmp_path / "cache" / "unfinished").glob("[!.]*")
    states = json.loads(file.read_bytes().splitlines()[1])["states"]
    assert states
    assert all(state["history"][-1]["epoch"] > 1 for state in states.values())


def published(cache: Path) -> list[str]:
    return sorted(str(path.relative_to(cache)) for path in (cache / "v1").glob("*/[!.]*"))


def unfinished(cache: Path) -> list[Path]:
    kept = [*(cache / "runs").iterdir(), *(cache / "damaged").glob("*"), *(cache / "unfinished").glob("*")]
    return [*(cache / "v1").glob("*/.*"), *kept]


def workers(folder: Path) -> dict[int, str]:
    """Numbers and command lines of worker processes at work in a folder."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "cwd") == str(folder):
                found[int(process.name)] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    return {pid: line for pid, line in found.items() if "loky" in line and "resource_tracker" not in line}
