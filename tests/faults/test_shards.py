"""Two parts of a grid at once on one cache, and what is said of a run from another shell."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

from ptx.cache import Store
from ptx.cache.housekeeping import check
from ptx.engine.status import RENEWED


def test_two_shards_at_once_are_the_whole_grid(server, recipe, tmp_path) -> None:
    (tmp_path / "alone").mkdir()
    alone = server.run(tmp_path / "alone", "run", recipe, "--jobs", 1)
    runs = [{"argv": ["run", recipe, "--jobs", 1, "--shard", f"{n}/2"], "cwd": tmp_path} for n in (1, 2)]
    ended = server.at_once(*runs)
    for one in ended:
        assert one.code == 0, one.err
        assert one.out == ""
        assert "waiting for another ptx that builds the same tune" not in one.err
    both = [entry.name for entry in Store(tmp_path / "cache").entries() if entry.parent.name != "table"]
    whole = [entry.name for entry in Store(tmp_path / "alone" / "cache").entries() if entry.parent.name != "table"]
    assert both == whole
    assert check(Store(tmp_path / "cache"))[1] == []
    shown = server.run(tmp_path, "run", recipe, "--jobs", 1)
    assert "built nothing" in shown.err
    assert shown.out == alone.out


def test_what_runs_are_at_is_seen_from_another_shell(server, recipe, tmp_path) -> None:
    marker = tmp_path / "marker"
    stall = {"stage": "search", "in": "build", "how": "python", "marker": str(marker)}
    run = {"argv": ["run", recipe, "--jobs", 1], "cwd": tmp_path, "stall": stall}
    run["kill"] = {"signal": signal.SIGKILL, "after": 8}
    later = tmp_path / "later"
    looks = [
        {"argv": ["run", *more, "--status", "--json"], "cwd": tmp_path, "wait_for": str(later)}
        for more in ([], [recipe])
    ]
    threading.Thread(target=touch_after, args=(marker, later), daemon=True).start()
    killed, all_runs, one_recipe = server.at_once(run, *looks)
    assert killed.code == -signal.SIGKILL
    (said,) = all_runs.lines
    assert (said["run"], said["state"], said["failed"]) == ("grid", "running", [])
    assert said["stages"]["tune"]["built"] > 0
    assert said["stages"]["search"]["left"] > 0
    whole, same = one_recipe.lines
    assert (whole["recipe"], same["run"]) == ("grid", "grid")
    assert whole["stages"]["tune"] == {"there": said["stages"]["tune"]["built"], "left": 0}
    left = whole["stages"]["eval"]["left"]
    assert left == said["stages"]["eval"]["left"] + said["stages"]["eval"]["built"]
    (after,) = server.run(tmp_path, "run", "--status", "--json").lines
    assert after["state"] == "stopped"
    text = server.run(tmp_path, "run", "--status").out
    assert "stopped" in text
    assert server.run(tmp_path, "run", recipe, "--jobs", 1).code == 0
    (ended,) = [line for line in server.run(tmp_path, "run", "--status", "--json").lines if line["state"] != "stopped"]
    assert ended["state"] == "finished"
    assert all(of["left"] == of["failed"] == 0 for of in ended["stages"].values())


def touch_after(marker: Path, later: Path) -> None:
    """A file that comes when a run that has made another has said what it is at."""
    while not marker.exists():
        time.sleep(0.05)
    time.sleep(RENEWED + 1)
    later.touch()
