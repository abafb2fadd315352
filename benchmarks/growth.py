"""How cost grows: seconds against tasks, anchors, width and facts, one of them varied at a time.

`search` is what benchmarks.search times, in the batches of 64 tasks that the stage makes; `encode` is
`relative_representation`, likewise. `eval` and `tune` are `scoring.answer` and one epoch of `tune_prompts` on
bert-micro with the facts of one task, repeated to the number wanted. One timing per point after a warm-up at the
first; a series ends at the first point that takes longer than `LIMIT`. The exponent is the slope of log seconds over
log size, by least squares over the last `FITTED` points; up to `LINEAR` counts as linear.
"""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.measure import once
from benchmarks.report import markdown, quantity
from benchmarks.search import VECTORS, Problem, problem, whole
from ptx.config.tune import TuneConfig
from ptx.lms.lm import load_model
from ptx.lms.models import resolve
from ptx.stages import encode
from ptx.stages.methods.relative import TOGETHER
from ptx.suites import load_suite
from ptx.transfer.equations import relative_representation, unit_rows
from ptx.transfer.examples import Examples, examples
from ptx.transfer.scoring import Questions, answer, facts_to_score
from ptx.transfer.tuning import tune_prompts

LIMIT, FITTED, LINEAR = 10.0, 3, 1.15
TASKS, ANCHORS, WIDTH, SHARE = 64, 10_000, 768, 0.48
NARROW, MANY = 128, 20_000  # width while anchors vary, anchors while the width does
FEW = "search, 480 kept"  # fewer than 2 d: the solver may take another way
SIZES = {
    "tasks": (10, 30, 100, 300, 1000),
    "anchors": (1000, 3000, 10_000, 20_000, 50_000),
    "width": (128, 256, 512, 1024, 2048, 4096),
    "facts": (250, 500, 1000, 2000, 4000),
}
GIB = 24
HEADER = ("what", "against", "measured", "last point", "exponent", "linear", "note")


@dataclass(frozen=True)
class Series:
    """Seconds at each size; `note` says why it ends early."""

    what: str
    against: str
    points: tuple[tuple[int, float], ...]
    note: str = ""

    @property
    def exponent(self) -> float:
        """Slope of the last points on log-log axes; nan for a single one."""
        logs = [(math.log(size), math.log(seconds)) for size, seconds in self.points[-FITTED:]]
        if len(logs) < 2:
            return math.nan
        mean_x, mean_y = (sum(column) / len(logs) for column in zip(*logs, strict=True))
        slope = sum((x - mean_x) * (y - mean_y) for x, y in logs)
        return slope / sum((x - mean_x) ** 2 for x, _ in logs)

    @property
    def cells(self) -> tuple[str, ...]:
        (first, _), (size, seconds) = self.points[0], self.points[-1]
        last = f"{quantity(seconds, 's')} at {size:,}"
        exponent = "" if math.isnan(self.exponent) else f"{self.exponent:.2f}"
        return (self.what, self.against, f"{first:,} to {size:,}", last, exponent, self._verdict(), self.note)

    def _verdict(self) -> str:
        if math.isnan(self.exponent):
            return ""
        if self.exponent > LINEAR:
            return "no"
        return "yes" if self.exponent >= 2 - LINEAR else "less than linear"


def measure(quick: bool) -> list[Series]:
    base = Base(tasks=16, anchors=3000, width=256, limit=2.0) if quick else Base()
    # At least 2 d similarities are kept along these two, so that all points are solved in the same way.
    bases = {"tasks": base, "anchors": replace(base, width=NARROW), "width": replace(base, tasks=8, anchors=MANY)}
    made = []
    for against, at in bases.items():
        sizes = SIZES[against][:3] if quick else SIZES[against]
        for what, action in (("search", _search), ("encode", _encode)):
            made.append(series(what, against, sizes, partial(action, at, against), at.limit))
    few = replace(base, anchors=1000)
    made.append(series(FEW, "tasks", (1, 2) if quick else (1, 2, 4, 8, 16), partial(_search, few, "tasks"), few.limit))
    facts = SIZES["facts"][: 3 if quick else None]
    made.append(series("eval", "facts", facts, _evaluate, base.limit))
    made.append(series("tune, one epoch", "facts", facts, _tune, base.limit))
    return made


@dataclass(frozen=True)
class Base:
    """What is held fixed while one size varies."""

    tasks: int = TASKS
    anchors: int = ANCHORS
    width: int = WIDTH
    limit: float = LIMIT

    def problem(self, against: str, size: int) -> Problem:
        at = replace(self, **{against: size})
        return problem(at.tasks, at.anchors, round(SHARE * at.anchors), source=at.width, target=at.width)


def series(
    what: str, against: str, sizes: Sequence[int], action_at: Callable[[int], Callable[[], Any]], limit: float
) -> Series:
    """Measure point after point; what an action needs is made before its time is taken."""
    points: list[tuple[int, float]] = []
    note = ""
    action_at(sizes[0])()
    for size in sizes:
        points.append((size, once(action_at(size))))
        if points[-1][1] > limit and size != sizes[-1]:
            note = f"stopped: the point at {size:,} took longer than {limit:g} s"
            break
    return Series(what, against, tuple(points), note)


def _batches(of: Problem) -> Iterator[Problem]:
    for start in range(0, len(of.cosines), TOGETHER):
        yield replace(of, cosines=of.cosines[start : start + TOGETHER])


def _search(base: Base, against: str, size: int) -> Callable[[], Any]:
    of = base.problem(against, size)
    return lambda: [whole(batch, "both") for batch in _batches(of)]


def _encode(base: Base, against: str, size: int) -> Callable[[], Any]:
    at = replace(base, **{against: size})
    random = torch.Generator().manual_seed(0)
    anchors = torch.randn(at.anchors, at.width, generator=random)
    prompts = torch.randn(at.tasks * VECTORS, at.width, generator=random)

    def similarities() -> list[Tensor]:
        unit = unit_rows(anchors)
        parts = prompts.split(encode.TOGETHER * VECTORS)
        return [relative_representation(part, anchors=unit).float() for part in parts]

    return similarities


def _facts(size: int) -> Examples:
    """One task with `size` train facts, repeated if need be, and few dev facts."""
    model = load_model(resolve("bert-micro"), "cpu")
    made = examples(model, load_suite("facts").tasks[0], TuneConfig())
    assert made.dev.objects is not None
    few = Questions(made.dev.rows[:8], made.dev.words, made.dev.objects[:8])
    return replace(made, train=tuple(itertools.islice(itertools.cycle(made.train), size)), dev=few)


def _tune(size: int) -> Callable[[], Any]:
    model, task = load_model(resolve("bert-micro"), "cpu"), _facts(size)
    return lambda: tune_prompts(model, [task], TuneConfig(epochs=1, patience=0))


def _evaluate(size: int) -> Callable[[], Any]:
    model, task = load_model(resolve("bert-micro"), "cpu"), load_suite("facts").tasks[0]
    test = tuple(itertools.islice(itertools.cycle(task.splits["test"]), size))
    task = replace(task, splits={**task.splits, "test": test})
    words = tuple(sorted(model.words({fact.object for fact in test})))
    prompt = torch.zeros(VECTORS, model.matrix.shape[1])
    return lambda: answer(
        model, [(facts_to_score(model, task, "test", words, prompt_length=VECTORS).questions, prompt)]
    )


def search_bytes(tasks: int, k: int, d: int, *, m: int = VECTORS) -> float:
    """Bytes that a search holds at its peak: an estimate from reading the code, not a measurement.

    The anchors' embeddings in float32, in float64, with unit rows in both, and once more while the loss is taken:
    36 k d; B'B, its factor and a temporary: 24 d^2; per vector of a batch (at most 64 tasks) six rows of k in float64
    (the similarities, their concatenation, four temporaries of the loss) and two masks of one byte: 50 k.
    """
    n = min(tasks, TOGETHER) * m
    return 36 * k * d + 24 * d * d + 50 * n * k


def end_of_memory() -> str:
    """How far `search` goes in 24 GiB, by `search_bytes`: the largest k at some widths, and what tasks add."""
    room = GIB * 2**30
    ends = []
    for d in (768, 1024, 4096):
        fixed, each = search_bytes(TOGETHER, 0, d), search_bytes(TOGETHER, 1, d) - search_bytes(TOGETHER, 0, d)
        ends.append(f"{int((room - fixed) / each / 1000):,},000 anchors at width {d:,}")
    return (
        f"Extrapolated, `search` fills {GIB} GiB at {'; '.join(ends)}. Formula, in bytes: 36 k d + 24 d² + 50 n k, "
        f"with n = {VECTORS} vectors x at most {TOGETHER} tasks; tasks beyond that go in further batches and add "
        "nothing. An encoding is 4 m k bytes on disk."
    )


def text(made: Sequence[Series]) -> str:
    """The table and where memory ends, as Markdown."""
    return markdown(HEADER, [one.cells for one in made]) + "\n\n" + end_of_memory()


def records(made: Sequence[Series]) -> list[dict[str, Any]]:
    """One record per point: long form."""
    return [
        {"what": one.what, "against": one.against, "size": size, "seconds": round(seconds, 6)}
        for one in made
        for size, seconds in one.points
    ]


def save(made: Sequence[Series], folder: Path) -> None:
    """growth.md, growth.csv, growth.png and growth.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    fixed = (
        f"Where not varied: {TASKS} tasks of {VECTORS} vectors, {ANCHORS:,} anchors, width {WIDTH}, 48% of the "
        f"similarities kept. Anchors vary at width {NARROW}, the width at {MANY:,} anchors and 8 tasks, and "
        f"`{FEW}` has 1,000 anchors."
    )
    powers = (
        "Everything grows linearly with tasks and facts, and nearly so with anchors. With width, products with all "
        "anchors are linear, B'B grows with its square and the factor of that with its third power."
    )
    figure, data = "![seconds against size](growth.svg)", "Data: [CSV](growth.csv)."
    parts = ["# How cost grows", fixed, text(made), powers, figure, data]
    (folder / "growth.md").write_text("\n\n".join(parts) + "\n", "utf-8")
    with (folder / "growth.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["what", "against", "size", "seconds"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(records(made))
    _plot(made, folder)


def _plot(made: Sequence[Series], folder: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with matplotlib.rc_context({"svg.hashsalt": "ptx", "svg.fonttype": "none"}):
        figure, axes = pyplot.subplots(1, len(SIZES), figsize=(13, 3.5), sharey=True, layout="constrained")
        for axis, against in zip(axes, SIZES, strict=True):
            for one in (one for one in made if one.against == against):
                axis.loglog(*zip(*one.points, strict=True), "o-", label=f"{one.what} ({one.exponent:.2f})")
            ticks = SIZES[against]
            axis.set_xticks(ticks, [f"{n:,}" for n in ticks], fontsize="small")
            axis.minorticks_off()
            axis.set_xlabel(against)
            axis.legend(frameon=False, fontsize="small", title="exponent in brackets", title_fontsize="x-small")
        axes[0].set_ylabel("seconds")
        figure.savefig(folder / "growth.png", dpi=150)
        figure.savefig(folder / "growth.svg", metadata={"Date": None})
        pyplot.close(figure)
