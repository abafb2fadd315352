"""Eight processes are asked for the same grid at once."""

from __future__ import annotations

import time

import pytest

from ptx.cache import Store
from ptx.cache.housekeeping import check

PROCESSES = 8


@pytest.mark.parametrize("locks", [True, False])
def test_the_same_grid_at_once(server, recipe, tmp_path, rounds, say, locks: bool) -> None:
    began = time.monotonic()
    (tmp_path / "alone").mkdir()
    alone = server.run(tmp_path / "alone", "run", recipe, "--jobs", 1)
    _, entries = sorted_entries(tmp_path / "alone" / "cache")
    env = {} if locks else {"PTX_NO_LOCKS": "1"}
    tuned = 0
    for number in range(rounds(20, 1)):
        folder = tmp_path / f"round{number}"
        folder.mkdir()
        run = {"argv": ["run", recipe, "--jobs", 1], "cwd": folder, "env": env}
        ended = server.at_once(*(dict(run) for _ in range(rounds(PROCESSES, PROCESSES if locks else 4))))
        for one in ended:
            assert one.code == 0, one.err
            assert one.out == alone.out
            assert "damaged" not in one.err
        count, found = sorted_entries(folder / "cache")
        assert found == entries
        assert check(Store(folder / "cache")) == (count, [])
        assert not list((folder / "cache" / "v1").glob("*/.*"))
        tuned += sum(int(words.split()[0]) for one in ended for words in summary(one.err) if words.endswith(" tune"))
        again = server.run(folder, "run", recipe, "--jobs", 1)
        assert "built nothing" in again.err
    prompts = sum(entry.startswith("tune/") for entry in entries)
    if locks:
        assert tuned == prompts * rounds(20, 1)
    say(
        f"locks {'on' if locks else 'off'}: {rounds(20, 1)} rounds of {PROCESSES} processes, {tuned} prompts tuned "
        f"({prompts} in a grid); {time.monotonic() - began:.0f} s"
    )


def summary(err: str) -> list[str]:
    """What a run says it built: ["4 anchors", "2 tune", ...]."""
    (line,) = [line for line in err.splitlines() if line.startswith("built ")]
    return line.removeprefix("built ").split(";")[0].split(", ")


def sorted_entries(cache) -> tuple[int, list[str]]:
    found = [f"{path.parent.name}/{path.name}" for path in Store(cache).entries()]
    return len(found), sorted(found)
