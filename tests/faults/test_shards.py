"""Two parts of a grid at once on one cache."""

from __future__ import annotations

import re

from ptx.cache import Store
from ptx.cache.housekeeping import check


def test_two_shards_at_once_are_the_whole_grid(server, recipe, tmp_path) -> None:
    """None of them builds what the other does, but for the words that all share; nothing is left for a third run."""
    runs = [{"argv": ["run", recipe, "--jobs", 1, "--shard", f"{n}/2"], "cwd": tmp_path} for n in (1, 2)]
    ended = server.at_once(*runs)
    for one in ended:
        assert one.code == 0, one.err
        assert one.out == ""
        assert "waiting for another ptx that builds the same tune" not in one.err
    store = Store(tmp_path / "cache")
    for stage in ("tune", "search", "eval"):
        built = [int(number) for one in ended for number in re.findall(rf"^built .*?(\d+) {stage}\b", one.err, re.M)]
        assert len(built) == 2
        assert sum(built) == len([*store.entries(stage)])
    assert check(store)[1] == []
    shown = server.run(tmp_path, "run", recipe, "--jobs", 1)
    assert shown.code == 0, shown.err
    assert "built nothing" in shown.err
    assert "relative" in shown.out
