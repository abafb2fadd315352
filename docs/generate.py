"""Rewrite what is generated: docs/commands.md from --help, the demo, the zoo and the results in README.md.

`python docs/generate.py --help-only` leaves README.md alone (the demo trains prompts, which takes a minute or two);
`--results CACHE` also runs the whole paper in miniature, which takes up to 40 minutes if CACHE is empty.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
COMMANDS = (
    "tune", "anchors", "encode", "search", "eval", "table", "run", "predict", "inspect", "models", "import", "export",
)  # fmt: skip
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


def curve(readme: str) -> str:
    """Tuning with and without a warm start, on the demo's tasks."""
    tasks = ("--tasks", "P27,P37,P101,P103,P140,P364,P407,P1412")
    tune = ("tune", "--model", "roberta-micro", "--epochs", "3", *tasks)
    with tempfile.TemporaryDirectory() as folder:
        found = ptx("search", "--sources", "bert-micro", "--target", "roberta-micro", *tasks, "-q", folder=folder)
        for start in ("random", found):
            ptx(*tune, "--init", start, folder=folder)
        shown = ptx("table", "--curve", folder=folder)
    table = next(part for part in shown.split("facts, dev split: ") if part.startswith("tuning on roberta-micro"))
    block = f"<!-- curve -->\n```text\nfacts, dev split: {table.strip()}\n```\n<!-- /curve -->"
    return re.sub(r"<!-- curve -->.*<!-- /curve -->", lambda _: block, readme, flags=re.DOTALL)


def results(readme: str, cache: str) -> str:
    """The paper in miniature: its tables and figures go to docs/results, Table 3, a figure and the claims here."""
    where = ["--cache-dir", cache]
    ptx("run", "paper", *where, "--format", "md", "--output", str(ROOT / "docs" / "results"))
    table = ptx("table", "--paper", "3", *where)
    claims = ptx("table", "--paper", "claims", "--format", "md", *where)
    figure = "![Accuracy against matching loss along the path of Adam](docs/results/figure2.png)"
    block = f"<!-- results -->\n```text\n{table}\n```\n\n{figure}\n\n{claims}\n<!-- /results -->"
    return re.sub(r"<!-- results -->.*<!-- /results -->", lambda _: block, readme, flags=re.DOTALL)


def zoo(readme: str) -> str:
    """The embedded models, from their cards; accuracies in percent."""
    from ptx.lms import models

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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--help-only", action="store_true")
    parser.add_argument("--results", metavar="CACHE")
    args = parser.parse_args()
    (ROOT / "docs" / "commands.md").write_text(commands(), "utf-8")
    if not args.help_only:
        path = ROOT / "README.md"
        readme = curve(demo(zoo(path.read_text("utf-8"))))
        path.write_text(results(readme, args.results) if args.results else readme, "utf-8")
