"""Rewrite what is generated in the documents; with `--check`, only say what of it is stale (exit 1).

`python docs/generate.py` takes a few minutes, as it tunes the demo's prompts; `--quick` and `--check` leave these out.
`--results CACHE` also runs the whole paper in miniature with three seeds: up to two hours if CACHE is empty;
`--benchmark CACHE` writes docs/results/benchmark.md alone, half an hour on two cores if CACHE is empty. The
table of times is written by `python -m benchmarks --readme`, docs/results/real/ by `just real`; of this, README.md
shows the summary.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # the documents are about this checkout, whatever is installed

COMMANDS = "docs/commands.md"
BLOCKS = {
    "real": "README.md",
    "demo": "README.md",
    "demo-more": "docs/results/README.md",
    "results": "docs/results/README.md",
    "curve": "docs/prompts.md",
    "zoo": "docs/zoo.md",
    "times": "docs/performance/README.md",
}
RESULTS = "docs/results"
REAL = f"{RESULTS}/real"
SECOND = "P@1 in %, pooled facts"
SEEDS = "0,1,2"  # of the results
DEMO_TASKS = "P27,P37,P101,P103,P140,P364,P407,P1412"
PLAIN = {"NO_COLOR": "1", "TERMINAL_WIDTH": "110", "COLUMNS": "110", "TERM": "dumb"}
ONE = "from ptx.cli import app; app(prog_name='ptx')"
HELP = """
import json, sys
from ptx.cli import app
for path in json.loads(sys.argv[1]):
    print("=====")
    app([*path, "--help"], prog_name="ptx", standalone_mode=False)
"""


def python(code: str, *args: str, folder: str = ".") -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PTX_")} | PLAIN
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-c", code, *args]
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, encoding="utf-8", errors="strict", check=True
    )
    return "\n".join(line.rstrip() for line in done.stdout.split("\n")).strip()


def ptx(*args: str, folder: str = ".") -> str:
    """What a command prints, as plain text."""
    return python(ONE, *args, folder=folder)


def command_paths() -> list[tuple[str, ...]]:
    """Every command and group, as `("cache", "ls")`, in the order in which the help lists them; `()` is ptx itself."""
    import typer.main

    from ptx.cli import app

    def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield path
        for name, below in getattr(command, "commands", {}).items():
            if not below.hidden:
                yield from walk(below, (*path, name))

    return list(walk(typer.main.get_command(app), ()))


@functools.cache
def commands() -> str:
    """docs/commands.md: the help of every command, all from one process."""
    paths = command_paths()
    shown = python(HELP, json.dumps(paths)).split("=====\n")[1:]
    parts = [f"## {' '.join(('ptx', *path))}\n\n{fenced(text)}\n" for path, text in zip(paths, shown, strict=True)]
    return "\n".join(["# Commands\n\nMade from `--help` by `python docs/generate.py`.\n", *parts])


def zoo() -> str:
    """The embedded models, from their cards; accuracies in percent."""
    from ptx.lms.catalogue import card
    from ptx.lms.known import zoo as names

    header = "| model | parameters | embedding | seconds | loss | majority | random | manual | tuned |"
    lines = [header, "|---" * 9 + "|"]
    for name in names():
        about = card(name)
        shape = about["shape"]
        width = shape.get("embedding_size", shape["hidden_size"])
        scores = [f"{100 * about['accuracy'][m]:.1f}" for m in ("floor", "random", "manual", "tuned")]
        figures = [name, f"{about['parameters']:,}", width, f"{about['seconds']:.0f}", f"{about['loss']:.2f}", *scores]
        lines.append("| " + " | ".join(map(str, figures)) + " |")
    caption = "Seconds of pretraining on one core; P@1 in % on the facts test split, mean over the 30 tasks."
    return caption + "\n\n" + "\n".join(lines)


def real(root: Path) -> str:
    """The summary of what was measured on real models, for README.md; raises ValueError if it is not there once."""
    text = (root / REAL / "README.md").read_text("utf-8")
    found = re.findall(r"<!-- summary -->\n\n(.*?)\n\n<!-- /summary -->", text, flags=re.DOTALL)
    if len(found) != 1:
        raise ValueError(f"{REAL}/README.md has {len(found)} blocks <!-- summary -->, not one")
    plots = {"gap.png": "Share of the gap that each transfer closes", "forecast.png": "Forecasts against accuracies"}
    drawn = [f"![{what}]({REAL}/{name})" for name, what in plots.items() if (root / REAL / name).is_file()]
    return "\n\n".join(filter(None, [found[0], "\n".join(drawn)]))


def demo() -> tuple[str, str]:
    """The first grid of the demo, for README.md, and the others."""
    with tempfile.TemporaryDirectory() as folder:
        first, every = ptx("run", "demo", folder=folder), ptx("table", folder=folder)
    return fenced(first), fenced(every[every.index(SECOND) :])


def fenced(text: str) -> str:
    return f"```text\n{text.strip()}\n```"


def curve() -> str:
    """Tuning with and without a warm start, on the demo's tasks."""
    tasks = ("--tasks", DEMO_TASKS)
    tune = ("tune", "--model", "roberta-micro", "--epochs", "3", "--patience", "0", *tasks)
    with tempfile.TemporaryDirectory() as folder:
        found = ptx("search", "--sources", "bert-micro", "--target", "roberta-micro", *tasks, "-q", folder=folder)
        for start in ("text", "random", found):
            ptx(*tune, "--init", start, folder=folder)
        shown = ptx("table", "--curve", folder=folder)
    mark = "facts, dev split: "
    return fenced(mark + next(part for part in shown.split(mark) if part.startswith("tuning on roberta-micro")))


def results(cache: str, folder: Path, seeds: str) -> str:
    """Table 3 and the claims of the paper in miniature, whose tables and figures become files in `folder`."""
    where = ["--cache-dir", cache, "--seeds", seeds]
    ptx("run", "paper", *where, "--format", "md", "--output", str(folder))
    table = ptx("table", "--paper", "3", *where)
    claims = ptx("table", "--paper", "claims", "--format", "md", *where)
    figure = "![Accuracy against matching loss along the path of Adam](figure2.png)"
    return f"{fenced(table)}\n\n{figure}\n\n{claims}"


def benchmark(cache: str, folder: Path) -> str:
    """The page of `ptx run benchmark`, whose figure becomes files in `folder`."""
    where = ["--cache-dir", cache, "--format", "md", "--output", str(folder)]
    table = ptx("run", "benchmark", *where).replace("**Every way", "# Every way", 1).replace("own**", "own", 1)
    figure = "![Share of the gap that each way closes, and forecasts against accuracies](benchmark.png)"
    about = (
        "Made by `ptx run benchmark`, on embedded models (a pair of them is two sources). Seconds are "
        "those of the runs that made them. What a row means is in "
        "[transfers](../transfer.md#the-comparison). On two real models: [real](real/README.md)."
    )
    heading, _, rows = table.strip().partition("\n\n")
    return f"{heading}\n\n{about}\n\n{rows}\n\n{figure}\n"


def marked(name: str, content: str) -> str:
    return f"<!-- {name} -->\n{content}\n<!-- /{name} -->"


def replaced(text: str, name: str, content: str) -> str:
    """A document with the content of one block exchanged. Raises ValueError unless it has that block once."""
    parts = re.split(rf"<!-- {name} -->.*?<!-- /{name} -->", text, flags=re.DOTALL)
    if len(parts) != 2:
        raise ValueError(f"{len(parts) - 1} blocks between <!-- {name} --> and <!-- /{name} -->, not one")
    return marked(name, content).join(parts)


def write(name: str, content: str, root: Path) -> None:
    path = root / BLOCKS[name]
    try:
        path.write_text(replaced(path.read_text("utf-8"), name, content), "utf-8")
    except ValueError as error:
        raise ValueError(f"{BLOCKS[name]}: {error}") from None


def documents(root: Path = ROOT) -> list[Path]:
    """README.md, CONTRIBUTING.md and the chapters."""
    return [root / "README.md", root / "CONTRIBUTING.md", *sorted(root.glob("docs/**/*.md"))]


def links(text: str) -> list[str]:
    """Where a document's links and images lead."""
    return re.findall(r"\]\(([^)\s]+)\)", text)


def problems(root: Path = ROOT) -> list[str]:
    """What is stale or missing in the documents below `root`, of all that can be told within seconds."""
    found = []
    texts = {str(path.relative_to(root).as_posix()): path.read_text("utf-8") for path in documents(root)}
    if texts.get(COMMANDS) != commands():
        found.append(f"{COMMANDS} is not what --help says")
    for name, place in BLOCKS.items():
        for document, text in texts.items():
            blocks = len(re.findall(rf"<!-- {name} -->\n.*?\n<!-- /{name} -->", text, flags=re.DOTALL))
            if blocks != (document == place):
                found.append(f"{document} has {blocks} blocks <!-- {name} -->; there should be one, in {place}")
    if marked("zoo", zoo()) not in texts[BLOCKS["zoo"]]:
        found.append(f"{BLOCKS['zoo']} is not what the models' cards say")
    if marked("real", real(root)) not in texts[BLOCKS["real"]]:
        found.append(f"{BLOCKS['real']} does not show the summary of {REAL}/README.md")
    for document in texts:
        if contents := contents_of(document):
            link = Path(document).relative_to(Path(contents).parent).as_posix()
            if link not in links(texts.get(contents, "")):
                found.append(f"{document} is not listed in {contents}")
    return found


def contents_of(document: str) -> str | None:
    """The README.md that lists a document: its folder's, for a README.md itself the one above. The first has none."""
    if document == "README.md":
        return None
    folder = Path(document).parent
    return ((folder.parent if document.endswith("README.md") else folder) / "README.md").as_posix()


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__)
    which = made.add_mutually_exclusive_group()
    which.add_argument("--check", action="store_true", help="write nothing; name what is stale")
    which.add_argument("--quick", action="store_true", help="docs/commands.md, the zoo's table, the real models' only")
    which.add_argument("--results", metavar="CACHE", help="everything, and the paper in miniature")
    which.add_argument("--benchmark", metavar="CACHE", help="docs/results/benchmark.md only")
    made.add_argument("--seeds", default=SEEDS, help="of the paper in miniature (%(default)s)")
    return made


def main(argv: list[str] | None = None, root: Path = ROOT) -> int:
    args = parser().parse_args(argv)
    if args.benchmark:
        page = benchmark(args.benchmark, root / RESULTS)
        (root / RESULTS / "benchmark.md").write_text(page, "utf-8")
    elif not args.check:
        (root / COMMANDS).write_text(commands(), "utf-8")
        write("zoo", zoo(), root)
        write("real", real(root), root)
        if not args.quick:
            first, more = demo()
            write("demo", first, root)
            write("demo-more", more, root)
            write("curve", curve(), root)
        if args.results:
            write("results", results(args.results, root / RESULTS, args.seeds), root)
    found = problems(root)
    for problem in found:
        print(problem, file=sys.stderr)
    if found:
        print("run: python docs/generate.py --quick", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
