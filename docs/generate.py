"""Rewrite what is generated: docs/commands.md from --help, and the demo's table in README.md.

`python docs/generate.py --help-only` leaves the demo alone (it trains prompts, which takes a minute or two).
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
COMMANDS = ("tune", "anchors", "encode", "search", "eval", "table", "run", "predict", "models")
CACHE_COMMANDS = ("ls", "show", "verify", "gc")
PLAIN = {"NO_COLOR": "1", "TERMINAL_WIDTH": "110", "COLUMNS": "110", "TERM": "dumb"}


def ptx(*args: str, folder: str = ".") -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PTX_")} | PLAIN
    command = [sys.executable, "-c", "from ptx.cli import app; app(prog_name='ptx')", *args]
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return "\n".join(line.rstrip() for line in done.stdout.splitlines()).strip()


def commands() -> str:
    all_of = [(), *((name,) for name in COMMANDS), *(("cache", name) for name in CACHE_COMMANDS)]
    parts = [f"## {' '.join(('ptx', *args))}\n\n```text\n{ptx(*args, '--help')}\n```\n" for args in all_of]
    return "\n".join(["# Commands\n\nMade from `--help` by `python docs/generate.py`.\n", *parts])


def demo(readme: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        full = ptx("run", "demo", folder=folder)
    table = full[full.index("facts, test split") :]
    block = f"<!-- demo -->\n```text\n{table}\n```\n<!-- /demo -->"
    return re.sub(r"<!-- demo -->.*<!-- /demo -->", lambda _: block, readme, flags=re.DOTALL)


def zoo(readme: str) -> str:
    """The embedded models, from their cards; accuracies in percent."""
    from ptx import models

    header = "| model | parameters | embedding | seconds | loss | majority | random | manual | tuned |"
    lines = [header, "|---" * 9 + "|"]
    for name in models.zoo():
        card, shape = models.card(name), models.card(name)["shape"]
        width = shape.get("embedding_size", shape["hidden_size"])
        scores = [f"{100 * card['accuracy'][m]:.1f}" for m in ("floor", "random", "manual", "tuned")]
        figures = [name, f"{card['parameters']:,}", width, f"{card['seconds']:.0f}", f"{card['loss']:.2f}", *scores]
        lines.append("| " + " | ".join(map(str, figures)) + " |")
    caption = "Seconds of pretraining on one core; P@1 in % on the facts test split, mean over the 30 tasks.\n\n"
    block = "<!-- zoo -->\n" + caption + "\n".join(lines) + "\n<!-- /zoo -->"
    return re.sub(r"<!-- zoo -->.*<!-- /zoo -->", lambda _: block, readme, flags=re.DOTALL)


if __name__ == "__main__":
    (ROOT / "docs" / "commands.md").write_text(commands(), "utf-8")
    if "--help-only" not in sys.argv:
        readme = ROOT / "README.md"
        readme.write_text(demo(zoo(readme.read_text("utf-8"))), "utf-8")
