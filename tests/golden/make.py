"""Write the golden caches that tests/faults/test_golden.py reads: `python tests/golden/make.py NAME`.

They are never written again: caches out there are not either. When the format changes, make one under another name.
`first` is by the stages as they were at first; `older` is what version 0 of tuning would have left behind.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))


def main(name: str) -> None:
    from conftest import make_model, write_suite
    from typer.testing import CliRunner

    from ptx.cli import app
    from ptx.stages import tune

    socket.gethostname = lambda: "golden"
    if name == "older":
        tune.STAGE = dataclasses.replace(tune.STAGE, version=0)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # models and suite are named relative to it, so that no path of this machine is kept
        make_model(Path("a"), seed=1)
        make_model(Path("b"), width=8, seed=2)
        write_suite(Path("suite"), tasks=["R1"])
        for command in (
            ["eval", "--sources", "./a", "--target", "./b", "--suite", "./suite", "--epochs", "2"],
            ["eval", "--target", "./b", "--method", "manual", "--suite", "./suite", "--anchors", "KEY"],
            ["table"],
        ):
            if "KEY" in command:
                (anchors,) = Path("cache/v1/anchors").iterdir()
                command[-1] = anchors.name
            result = CliRunner().invoke(app, command)
            assert result.exit_code == 0, result.output
        shutil.copytree("cache/v1", HERE / name / "v1")
        (HERE / name / "table.txt").write_text(result.stdout, "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
