"""Prove ptx on two real language models: `just real` measures and writes docs/results/real/.

Says what is ahead before it starts, and goes on where it stopped. Where the models cannot be had it says so, and
writes nothing. A run with --quick or --relations is written beside the cache, not into the documents.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.real import models
from benchmarks.real.cells import TWELVE
from benchmarks.real.models import Convert, Unavailable
from benchmarks.real.work import Each, apart, say
from ptx.errors import PtxError

ROOT = Path(__file__).parents[2]
WORK = ROOT / "build" / "real"  # ignored by git
QUICK = ("P103", "P17", "P30")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m benchmarks.real", description=__doc__)
    made.add_argument(
        "--models", type=Path, metavar="FOLDER", help="with the models, or to put them (build/real/models)"
    )
    made.add_argument(
        "--lama", type=Path, metavar="FOLDER", help="LAMA's data; fetched into build/real/lama by default"
    )
    made.add_argument("--work", type=Path, metavar="FOLDER", default=WORK, help="for the cache (build/real)")
    made.add_argument("--output", type=Path, metavar="FOLDER", help="for table and plots (docs/results/real)")
    made.add_argument("--relations", default="", help="comma-separated; all with enough facts by default")
    made.add_argument("--transfers", choices=("twelve", "all", "none"), default="twelve", help="of which relations")
    made.add_argument("--jobs", type=int, default=0, help="models at once, each on one core; one a core by default")
    made.add_argument("--device", default="cpu", help="where to compute; one process a model and GPU: cuda, cuda:1")
    made.add_argument("--dry-run", action="store_true", help="measure a step of each model, and say what is ahead")
    made.add_argument("--quick", action="store_true", help="three relations, one epoch")
    return made


def main(
    argv: list[str] | None = None,
    *,
    each: Each = apart,
    convert: Convert = models.from_gguf,
    sources: Sequence[models.Source] = models.SOURCES,
) -> int:
    args = parser().parse_args(argv)
    try:
        return run(args, each, convert, sources)
    except Unavailable as error:
        say(f"nothing is measured: {error.message} ({error.hint})")
        return 0
    except PtxError as error:
        say(f"error: {error.message}\nhint: {error.hint}")
        return 1
    except KeyboardInterrupt:
        return 130


def run(args: argparse.Namespace, each: Each, convert: Convert, sources: Sequence[models.Source]) -> int:
    from benchmarks.real import measure

    work = args.work.absolute()
    folder = (args.models or work / "models").absolute()
    say("; ".join(f"{of.name}: {of.licence}" for of in sources) + "; nothing of these models is in this repository")
    found = {of.name: models.fetch(of, folder, convert, say) for of in sources}
    plan = measure.prepare(found, args.lama, work, {"epochs": 1} if args.quick else {}, args.device)
    names = [name for name in args.relations.split(",") if name] or (list(QUICK) if args.quick else list(plan.counts))
    if unknown := [name for name in names if name not in plan.counts]:
        raise PtxError(f"{', '.join(unknown)}: no such relation with enough facts", f"use {', '.join(plan.counts)}")
    wanted = {"none": (), "twelve": TWELVE, "all": names}[args.transfers]
    shown = [name for name in names if name in wanted and plan.counts[name]["test"]]
    part = args.quick or set(names) < set(plan.counts)
    output = args.output or (work / "results" if part else ROOT / "docs" / "results" / "real")
    jobs = args.jobs or min(len(found), os.cpu_count() or 1)
    failed = measure.measure(plan, names, shown, jobs, each, dry_run=args.dry_run)
    if args.dry_run:
        return 0
    remark = f"Only a part: {', '.join(names)}{'; one epoch' if args.quick else ''}." if part else ""
    measure.write(plan, names, shown, output, sources, remark)
    say(f"written to {output}")
    for text in failed:
        say(f"failed: {text}")
    return 0


if __name__ == "__main__":
    for name in [name for name in os.environ if name.startswith("PTX_")]:  # the defaults of the checkout are measured
        del os.environ[name]
    sys.exit(main())
