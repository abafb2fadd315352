"""Two parts of a grid at once on one cache."""

from __future__ import annotations

from ptx.cache import Store
from ptx.cache.housekeeping import check


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
