"""Measure what ptx costs: `python -m benchmarks` prints one table of ratios.

Takes a quarter of an hour on two cores, `--quick` less than three minutes (smaller sizes, fewer repeats). With
`--against FOLDER`, whole commands of this checkout and of another one instead.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
GROUPS = {
    "search": "search",
    "tune": "tuning",
    "eval": "evaluation",
    "commands": "commands",
    "cluster": "cluster",
    "memory": "memory",
    "causal": "causal",
    "growth": "growth",
}


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    made.add_argument("--only", default=",".join(GROUPS), help="groups, comma-separated: " + ", ".join(GROUPS))
    made.add_argument("--quick", action="store_true", help="smaller sizes and fewer repeats; not for --readme")
    made.add_argument(
        "--against", metavar="FOLDER", type=Path, help="time whole commands of this checkout and another one instead"
    )
    made.add_argument("--json", metavar="FILE", type=Path, help="write the rows as JSON")
    made.add_argument("--readme", action="store_true", help="rewrite docs/performance/: its README.md and growth")
    return made


def main(argv: list[str] | None = None) -> None:
    arguments = parser()
    args = arguments.parse_args(argv)
    chosen = [name.strip() for name in args.only.split(",") if name.strip()]
    if unknown := [name for name in chosen if name not in GROUPS]:
        arguments.error(f"no group named {unknown[0]!r}; choose among {', '.join(GROUPS)}")
    if args.readme and (args.quick or set(chosen) != set(GROUPS)):
        arguments.error("--readme needs all groups at full size: leave out --quick and --only")
    if args.against and (args.readme or set(chosen) != set(GROUPS)):
        arguments.error("--against goes with --quick and --json alone")

    from benchmarks import against, report
    from benchmarks.measure import described, environment

    if args.against and not against.is_checkout(args.against):
        arguments.error(f"{args.against} is no checkout of ptx: it has no ptx/__main__.py")
    rows: list[report.Row] = []
    series = []
    header = report.HEADER
    began = time.perf_counter()
    if args.against:
        rows, header, chosen = against.rows(args.against, args.quick), against.HEADER, []
    for name in chosen:
        print(f"{time.perf_counter() - began:6.0f} s  {name}", file=sys.stderr, flush=True)
        module = importlib.import_module(f"benchmarks.{GROUPS[name]}")
        if name == "growth":
            series = module.measure(args.quick)
        else:
            rows += module.rows(args.quick)
    seconds = time.perf_counter() - began
    about = environment() | {"quick": args.quick}
    label = "quick run: smaller sizes, fewer repeats" if args.quick else "full size"
    if rows:
        report.show(rows, f"{label}; {described(about)}; {seconds:.0f} s in all", header)
    growth = importlib.import_module("benchmarks.growth") if series else None
    if growth:
        print(growth.text(series))
    if args.json:
        more = {"seconds": round(seconds, 1), "growth": growth.records(series) if growth else []}
        args.json.write_text(report.as_json(rows, about, **more), "utf-8")
    if args.readme and growth:
        folder = ROOT / "docs" / "performance"
        growth.save(series, folder)
        below = "How cost grows with tasks, anchors, width and facts: [growth.md](growth.md). "
        below += "What was tried: [ideas.md](ideas.md)."
        report.write_readme(folder / "README.md", rows, about, below)


if __name__ == "__main__":
    main()
