"""From models and data to written results: what is planned, worked off, and written."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.real import data, page, plots
from benchmarks.real.ahead import ahead, measured_step
from benchmarks.real.cells import Cell, Place, home, moved
from benchmarks.real.models import Source, digest_of
from benchmarks.real.results import collect
from benchmarks.real.work import Each, Job, run, say


@dataclass(frozen=True)
class Plan:
    """Where everything is, and the relations that can be measured, with their numbers of facts by split."""

    place: Place
    work: Path
    counts: Mapping[str, Mapping[str, int]]
    left_out: Mapping[str, int]


def prepare(
    models: Mapping[str, Path], lama: Path | None, work: Path, options: Mapping[str, Any], device: str = "cpu"
) -> Plan:
    """Fetch LAMA's data if no folder is named, and cut it to the words that the models share. Raises PtxError."""
    import ptx

    folder = lama or work / "lama"
    if lama is None:
        data.fetch(folder, _command)
    cache, suite = work / "cache", work / "suite"
    say("LAMA's data: CC BY-NC 4.0, its facts CC0; nothing of it is in this repository")
    (words,) = ptx.anchors(models=[str(path) for path in models.values()], cache_dir=cache).to_dict("records")
    with (Path(words["path"]) / "words.csv").open(encoding="utf-8", newline="") as file:
        known = {row["word"] for row in csv.DictReader(file)}
    cut = data.cut(data.read(folder), known, suite)
    named = {name: str(path) for name, path in models.items()}
    return Plan(Place(named, str(suite), str(cache), words["key"], options, device), work, cut.counts, cut.left_out)


def _command(words: list[str]) -> int:
    """A command of ptx in this process; its exit code. It has said what is wrong."""
    from ptx.cli import app

    return app(words, prog_name="ptx", standalone_mode=False) or 0


def cells_of(
    plan: Plan, names: Sequence[str], shown: Sequence[str]
) -> tuple[dict[str, list[Cell]], dict[str, list[Cell]]]:
    """For each model its own cells, and those of what is moved to it, which need the prompts of the other."""
    models = list(plan.place.models)
    own = {model: list(home(model, {name: plan.counts[name] for name in names})) for model in models}
    pairs = page.directions(models)
    foreign = {target: list(moved(target, source, shown, plan.place)) for source, target in pairs} if shown else {}
    return own, foreign


def measure(
    plan: Plan, names: Sequence[str], shown: Sequence[str], jobs: int, each: Each, *, dry_run: bool = False
) -> list[str]:
    """Say what the cache does not have, work it off unless this is a dry run, and return what failed."""
    own, foreign = cells_of(plan, names, shown)
    missing = {("home", model): collect(cells, plan.place)[1] for model, cells in own.items()}
    missing |= {("moved", model): collect(cells, plan.place)[1] for model, cells in foreign.items()}
    if not any(missing.values()):
        say("all is in the cache")
        return []
    say(f"{len(names)} relations: {', '.join(names)}; transfers on {len(shown)}")
    hours = []
    for model in plan.place.models:
        todo = [cell for (_, of), cells in missing.items() for cell in cells if of == model]
        if todo:
            step = measured_step(model, plan.place, plan.work / "probe", each)
            of = ahead(model, todo, plan.counts, plan.place, step)
            hours.append(of.hours)
            say(str(of))
    together = max(hours) if jobs > 1 else sum(hours)
    say(f"about {together:.1f} hours with {jobs} at once, searches not counted")
    failed: list[str] = []
    for kind in () if dry_run else ("home", "moved"):
        work = {model: cells for (of, model), cells in missing.items() if of == kind and cells}
        peaks = {model: plan.work / "peaks" / f"{kind}-{model}" for model in work}
        made = [Job(peaks[model].name, tuple(cells), plan.place, peaks[model]) for model, cells in work.items()]
        failed += run(made, jobs, each)
    return failed


def write(
    plan: Plan, names: Sequence[str], shown: Sequence[str], folder: Path, sources: Sequence[Source], remark: str
) -> None:
    """README.md, table.csv and the plots, of what the cache has."""
    from ptx.cache import file_digest

    own, foreign = cells_of(plan, names, shown)
    found, missing = collect([cell for cells in (*own.values(), *foreign.values()) for cell in cells], plan.place)
    models: dict[str, dict[str, str]] = {}
    for of in sources:
        made = Path(plan.place.models[of.name])
        weights = made / "model.safetensors"
        file = f"{of.file}, SHA-256 {of.sha256}" if digest_of(made) else "not recorded"
        stored = f"{weights.stat().st_size / 1e6:.0f} MB, SHA-256 {file_digest(weights)}"
        models[of.name] = {"model": of.name, "licence": of.licence, "made of": file, "weights": stored}
    peaks = {path.name: int(path.read_text()) for path in sorted((plan.work / "peaks").glob("*"))}
    counts = Counter(f"{cell} {cell.row}" for cell in missing)
    lacking = [f"{what} ({count})" for what, count in counts.items()]
    about = page.About(models, peaks, plan.left_out, shown, lacking, remark)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.csv").write_text(page.table(found), "utf-8")
    (folder / "README.md").write_text(page.page(found, about), "utf-8")
    plots.tuned(found, list(models), folder / "tuned")
    if shown:
        plots.gaps(found, page.directions(list(models)), shown, folder / "gap")
    if found.forecasts("dev"):
        plots.forecasts(found, folder / "forecast")
