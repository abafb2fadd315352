"""Runs seen from outside: what they are at, and a script by which a cluster's queue runs them in parts."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptx.cli.command import Command
from ptx.cli.progress import clock
from ptx.config import CommonConfig
from ptx.files import here

if TYPE_CHECKING:
    from ptx.paper.recipe import Recipe


def show_status(recipes: Sequence[Recipe], common: CommonConfig, seeds: Sequence[int]) -> None:
    """A row for each run of these recipes, or of all; what failed; and of recipes what the cache has of them."""
    from ptx import running
    from ptx.engine import status

    command = Command(common)
    names = [recipe.name for recipe in recipes]
    found = [said for said in status.runs(command.store) if not names or _recipe(said["run"]) in names]
    stages = {r.name: running.left(r, common, command.out, seeds) for r in recipes}
    if common.json:
        for name, of in stages.items():
            command.out.json({"recipe": name, "stages": of})
        for said in found:
            command.out.json(said)
        return
    for name, of in stages.items():
        command.out.rows([{"recipe": name, "stage": stage, **counts} for stage, counts in of.items()])
        command.out.data("")
    if not found:
        command.out.message(f"no run{' of ' + ', '.join(names) if names else ''} is known in {command.store.root}")
        return
    command.out.rows([_row(said) for said in found])
    for said in found:
        for one in said.get("failed", ()):
            command.out.data(f"{said['run']}: {one['stage']} {one['what']} failed: {one.get('error', '')}")
        if "error" in said:
            command.out.data(f"{said['run']}: {said['error']}")


def _recipe(run: str) -> str:
    """Without the shard that may be behind it."""
    return re.sub(r" \d+/\d+$", "", run)


def _row(said: Mapping[str, Any]) -> dict[str, Any]:
    counts = [*said.get("stages", {}).values()]
    done, failed, left = (sum(of.get(name, 0) for of in counts) for name in ("built", "failed", "left"))
    running = said["state"] == "running"
    now = [*said.get("now", ())] if running else []
    return {
        "run": said["run"],
        "state": said["state"],
        "where": f"{said['host']}:{said['pid']}",
        "built": done,
        "failed": failed,
        "left": left,
        "gone": clock(said["elapsed"]),
        "to go": clock(said.get("left", 0.0)) if running else "",
        "now": (now[0] if now else "") + (f", and {len(now) - 1} more" if len(now) > 1 else ""),
    }


def script(names: Sequence[str], common: CommonConfig, count: int, more: Mapping[str, str]) -> str:
    """A SLURM array of `count` jobs, each a shard of these recipes with the settings of this command."""
    words = ["ptx", "run", *names]
    for field in dataclasses.fields(common):
        value, flags = getattr(common, field.name), field.metadata.get("flags", [f"--{field.name.replace('_', '-')}"])
        if field.name == "cache_dir":
            words += ["--cache-dir", value if "://" in value else str(Path(value).absolute())]
        elif value != field.default:
            words += [flags[0]] if value is True else [flags[0], str(value)]
    for name, text in more.items():
        words += [f"--{name}", text] if text else []
    gpu = "#SBATCH --gres=gpu:1" if common.device != "cpu" else "#SBATCH --cpus-per-task=4"
    return "\n".join(
        [
            "#!/bin/bash",
            f"#SBATCH --job-name=ptx-{re.sub(r'[^A-Za-z0-9_.-]+', '-', Path(names[0]).stem)}",
            f"#SBATCH --array=1-{count}",
            "#SBATCH --output=ptx-%A_%a.log",
            gpu,
            "# Add what your cluster asks for: --time, --mem, --partition, --account; then: sbatch THIS_FILE",
            "set -euo pipefail",
            f"cd {shlex.quote(str(here()))}",
            f'{shlex.join(words)} --shard "$SLURM_ARRAY_TASK_ID/{count}"',
        ]
    )
