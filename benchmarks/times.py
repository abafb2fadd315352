"""Measure what README's table of times shows, and write it there: `python benchmarks/times.py`.

Whole commands are timed from outside; the search by the seconds in its artifacts (solving, without imports).
"""

import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ptx

README = Path(__file__).parent.parent / "README.md"
PAIR = ("--sources", "bert-micro", "--target", "bert-mini", "--json")


def timed(folder: str, *args: str) -> tuple[float, str]:
    began = time.perf_counter()
    command = [sys.executable, "-c", "from ptx.cli import app; app(prog_name='ptx')", *args]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return time.perf_counter() - began, done.stdout


def search_seconds(text: str) -> float:
    return sum(line["seconds"] for line in map(json.loads, text.splitlines()) if line["stage"] == "search")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        empty, _ = timed(folder, "run", "demo")
        cached = statistics.median(timed(folder, "run", "demo")[0] for _ in range(5))
        help_ = statistics.median(timed(folder, "--help")[0] for _ in range(5))
        exact = search_seconds(timed(folder, "search", *PAIR)[1])
        adam = search_seconds(timed(folder, "search", *PAIR, "--solver", "adam")[1])
    size = sum(f.stat().st_size for f in Path(ptx.__file__).parent.rglob("*") if f.is_file() and f.suffix != ".pyc")
    rows = [
        ("`ptx run demo`, empty cache", f"{empty:.0f} s", "3 minutes"),
        ("the same again, all cached", f"{cached:.2f} s", "2 s"),
        ("search for all 30 tasks of a pair in the zoo", f"{exact:.2f} s", "1 s"),
        (
            "the same with `--solver adam` (batched over all tasks)",
            f"{adam:.1f} s, {adam / exact:.0f} times as long",
            "",
        ),
        ("`ptx --help`", f"{help_:.2f} s", "0.3 s"),
        ("installed package, without its dependencies", f"{size / 1e6:.0f} MB", "50 MB"),
    ]
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    lines = ["| what | measured | goal |", "|---|---|---|", *("| " + " | ".join(row) + " |" for row in rows)]
    text = f"Measured by `python benchmarks/times.py` on {machine}, CPU only.\n\n" + "\n".join(lines)
    block = f"<!-- times -->\n{text}\n<!-- /times -->"
    README.write_text(
        re.sub(r"<!-- times -->.*<!-- /times -->", lambda _: block, README.read_text("utf-8"), flags=re.DOTALL), "utf-8"
    )
    print(text)


if __name__ == "__main__":
    main()
