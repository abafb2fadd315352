"""Whole commands, timed from outside: what a person waits for.

`ptx --help` against a ten-line Typer program, and a cached `ptx run demo` against an interpreter that imports pandas
(which no command that shows a table can do without). Also a demo from an empty cache, and the size of the package.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import ptx
from benchmarks.measure import medians, once
from benchmarks.report import Row

ROOT = Path(__file__).parent.parent
BARE = """import typer

app = typer.Typer()


@app.command()
def greet(name: str, loud: bool = False) -> None:
    typer.echo(name)


app()
"""
SMALL = """title = "one source, one target, two tasks"
suite = "facts"
tasks = ["P27", "P37"]
sources = [["bert-micro"]]
targets = ["roberta-micro"]
methods = ["relative", "tuned"]
"""


def rows(quick: bool) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bare.py").write_text(BARE)
        (folder / "small.toml").write_text(SMALL)
        demo = ("run", "small.toml" if quick else "demo", "--cache-dir", "cache")
        built = once(lambda: command(folder, *demo))
        repeats = 3 if quick else 11
        help_, bare = medians(
            lambda: command(folder, "--help"), lambda: python(folder, "bare.py", "--help"), repeats=repeats
        )
        cached, pandas = medians(
            lambda: command(folder, *demo), lambda: python(folder, "-c", "import pandas"), repeats=repeats
        )
    what = "a recipe of two tasks" if quick else "`ptx run demo`"
    return [
        Row("`ptx --help`", help_, bare, 1.5, at_least=False, note="against `--help` of a bare Typer program"),
        Row(f"{what}, all cached", cached, pandas, 3, at_least=False, note='against `python -c "import pandas"`'),
        Row(f"{what}, empty cache", built, goal=None if quick else 180),
        Row("installed package, without its dependencies", package_size(), goal=50, unit="MB"),
    ]


def command(folder: Path, *args: str, checkout: Path = ROOT) -> None:
    """`ptx` as its entry point starts it, of this checkout or another."""
    python(folder, "-c", "from ptx.__main__ import main; main()", *args, checkout=checkout)


def python(folder: Path, *args: str, checkout: Path = ROOT) -> str:
    """What a program prints. `ptx` in it is the checkout's, whatever is installed, with no settings but its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PTX_")}
    environment["PYTHONPATH"] = os.pathsep.join([str(checkout), *filter(None, [os.environ.get("PYTHONPATH")])])
    program = [sys.executable, *args]
    done = subprocess.run(program, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(program)} of {checkout}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def package_size() -> float:
    """Megabytes of the package's files, compiled ones left out."""
    files = Path(ptx.__file__).parent.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file() and file.suffix != ".pyc") / 1e6
