"""A grid in parts: together they are the whole, and no two make the same."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path

import pytest
from stubs import stub

from ptx.engine.shards import Shard
from ptx.engine.step import Step, closure
from ptx.paper.recipe import path_of


def grid(tasks: int, targets: int) -> list[Step]:
    """A prompt for each task, moved to each target."""
    import dataclasses

    goals = []
    for task in range(tasks):
        tuned = stub("tune", task)
        for target in range(targets):
            n = 100 + task * targets + target
            found = stub("search", n, tuned)
            made = stub("eval", n, found)
            labels = {"target": f"m{target}", "task": f"T{task}", "suite": "s"}
            goals.append(dataclasses.replace(made, labels=labels))
    return goals


@pytest.mark.parametrize(("tasks", "count"), [(6, 2), (6, 5), (1, 3), (41, 8)])
def test_shards_are_the_whole_and_share_nothing_where_tasks_suffice(tasks: int, count: int) -> None:
    goals = grid(tasks, 4)
    shards = [Shard(number, count).of(goals) for number in range(1, count + 1)]
    assert sorted(g.key for own in shards for g in own) == sorted(g.key for g in goals)
    steps = Counter(key for own in shards for key in {s.key for s in closure(own)})
    if tasks >= count:
        assert set(steps.values()) == {1}
    sizes = sorted(map(len, shards))
    assert sizes[-1] - sizes[0] <= 4
    assert Shard(1, count).of(goals[::-1]) == shards[0][::-1]


def test_one_task_is_parted_by_targets() -> None:
    shards = [Shard(number, 2).of(grid(1, 4)) for number in (1, 2)]
    assert sorted(map(len, shards)) == [2, 2]


@pytest.mark.parametrize("text", ["0/2", "3/2", "1/0", "a/b", "1", "-1/2"])
def test_what_is_no_shard(ptx, text: str) -> None:
    result = ptx("run", "demo", "--shard", text)
    assert result.code == 2
    assert f"--shard {text!r} is no part of a whole" in result.err
    assert "--shard 1/8" in result.err


def test_a_recipes_name_is_no_part_of_the_script_for_slurm(ptx, tmp_path: Path) -> None:
    odd = tmp_path / "a\n#SBATCH --uid=0\ntouch owned\n$(touch owned)`touch owned`.toml"
    odd.write_text(path_of("demo").read_text())
    result = ptx("run", str(odd), "--shard", "1/2", "--print-slurm")
    assert result.code == 0, result.err
    assert result.out.splitlines()[1] == "#SBATCH --job-name=ptx-a-SBATCH---uid-0-touch-owned-touch-owned-touch-owned-"
    words = shlex.split(result.out, comments=True)
    assert str(odd) in words
    assert "touch" not in words


def test_the_script_for_slurm_is_this_command_in_parts(ptx, tmp_path: Path) -> None:
    result = ptx("run", "demo", "--shard", "1/8", "--print-slurm", "--seeds", "0,1", "--seed", "3", "--device", "cpu")
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[0] == "#!/bin/bash"
    assert "#SBATCH --array=1-8" in lines
    assert f"cd {tmp_path}" in lines
    words = shlex.split(lines[-1])
    assert words[:3] == ["ptx", "run", "demo"]
    assert words[-2:] == ["--shard", "$SLURM_ARRAY_TASK_ID/8"]
    for name, value in (("--seeds", "0,1"), ("--seed", "3"), ("--cache-dir", str(tmp_path / "cache"))):
        assert words[words.index(name) + 1] == value
    without = ptx("run", "demo", "--print-slurm")
    assert without.code == 2
    assert "--print-slurm needs --shard" in without.err
