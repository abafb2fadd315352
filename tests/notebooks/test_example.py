"""docs/example.ipynb runs as it stands, and its figures are those that it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[2] / "docs" / "example.ipynb"
RUN = """
import sys, nbclient, nbformat
book = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(book, timeout=600, resources={"metadata": {"path": sys.argv[2]}}).execute()
nbformat.write(book, sys.argv[3])
"""
CLOSE = 0.06  # of a share, and of a hundredth of a percentage: another machine may answer a few facts otherwise


def figures(cell: Any) -> str:
    """What a cell shows last, as text."""
    return str(cell.outputs[-1]["data"]["text/plain"])


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+\.?\d*", text)]


def close(a: float, b: float) -> bool:
    return abs(a - b) <= (CLOSE if max(abs(a), abs(b)) <= 1 else 100 * CLOSE)


def test_the_example_runs_and_shows_what_is_written(tmp_path: Path) -> None:
    """In a process of its own, as a reader runs it: what a kernel warns of is no failure here."""
    nbformat = pytest.importorskip("nbformat")
    written = nbformat.read(EXAMPLE, as_version=4)
    nbformat.validate(written)
    assert [cell.execution_count for cell in written.cells if cell.cell_type == "code"] == [*range(1, 8)]
    assert not any(output.output_type == "error" for cell in written.cells for output in cell.get("outputs", []))
    (folder := tmp_path / "reader").mkdir()
    command = [sys.executable, "-c", RUN, str(EXAMPLE), str(folder), str(tmp_path / "ran.ipynb")]
    where = os.environ | {"PYTHONPATH": str(EXAMPLE.parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, env=where, check=False)
    assert done.returncode == 0, done.stderr
    ran = nbformat.read(tmp_path / "ran.ipynb", as_version=4)
    compared = 0
    for before, after in zip(written.cells, ran.cells, strict=True):
        if "figures" not in before.metadata.get("tags", ()):
            continue
        then, now = figures(before), figures(after)
        assert re.sub(r"[-\d. ]+", " ", now) == re.sub(r"[-\d. ]+", " ", then)
        assert all(map(close, numbers(now), numbers(then))), f"{then}\n{now}"
        compared += len(numbers(then))
    assert compared >= 20
    assert not [*folder.iterdir()]  # nothing is left in the reader's folder


def test_what_would_be_another_figure_is_told() -> None:
    assert numbers("relative  bert-micro  66.2 0.661 -1") == [66.2, 0.661, -1.0]
    assert close(0.661, 0.69)
    assert not close(0.661, 0.73)
    assert close(66.2, 70.0)
    assert not close(66.2, 73.0)


def test_the_example_is_small_and_names_no_machine() -> None:
    text = EXAMPLE.read_text("utf-8")
    assert len(text) < 60_000
    assert not re.search(r"/(home|root|work|tmp|Users)/", text)
