"""How commands show what they made: rows and JSON lines, what was built and what reused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ptx.cache import Artifact, Store
from ptx.output import Output
from ptx.pipeline import Outcome
from ptx.step import Step

# What a person sees of each stage's artifacts: labels and figures, in this order.
COLUMNS = {
    "anchors": ("models", "count"),
    "tune": ("model", "task", "dev_accuracy", "epoch", "facts", "dropped"),
    "import": ("model", "task", "layout", "vectors", "width", "mean", "std", "model_mean", "model_std"),
    "encode": ("model", "task", "anchors", "top_k"),
    "search": ("sources", "target", "method", "task", "matching_loss"),
    "eval": ("sources", "target", "method", "task", "accuracy", "floor", "facts", "dropped"),
}


def report(out: Output, rows: Sequence[Mapping[str, Any]], *, path: str = "") -> None:
    """Rows as columns, as JSON lines, or (quiet) one value a line."""
    if out.as_json:
        for row in rows:
            out.json(row)
    elif out.quiet:
        for row in rows:
            out.data(str(row[path or next(iter(row))]))
    elif rows:
        header = list(dict.fromkeys(name for row in rows for name in row))
        out.columns(header, [[cell(row.get(name)) for name in header] for row in rows])


def as_json(outcome: Outcome, store: Store, *, dry_run: bool = False) -> dict[str, Any]:
    """One artifact as a line of `--json`."""
    step, artifact = outcome.step, outcome.artifact
    line: dict[str, Any] = {
        "stage": step.stage,
        "key": step.key,
        "path": str(artifact.path if artifact else store.folder(step.stage, step.key)),
        "reused": outcome.reused,
        "seconds": artifact.meta["seconds"] if artifact else 0.0,
    }
    if dry_run:
        line["cache"] = "hit" if outcome.reused else "miss"
    if artifact is not None:
        figures = {k: v for k, v in figures_of(artifact).items() if k not in ("history", "origin")}
        return figures | line
    if outcome.error is not None:
        line |= {"error": outcome.error.message, "hint": outcome.error.hint}
    return dict(step.labels) | line


def figures_of(artifact: Artifact) -> dict[str, Any]:
    return {**artifact.meta["labels"], **artifact.meta["metrics"]}


def cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return "+".join(map(str, value)) if len(value) < 4 else f"{len(value)} models"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def averages(done: Sequence[Artifact]) -> str:
    figures = [artifact.meta["metrics"] for artifact in done]
    micro = sum(f["accuracy"] for f in figures) / len(figures)
    floors = [f["floor"] for f in figures if f["floor"] is not None]
    floor = f", majority-class floor {sum(floors) / len(floors):.4f}" if floors else ""
    facts = sum(f["facts"] for f in figures)
    macro = sum(f["correct"] for f in figures) / facts
    return (
        f"\n{len(figures)} tasks, {facts} facts: micro (mean of tasks) {micro:.4f}, "
        f"macro (pooled facts) {macro:.4f}{floor}"
    )


def name_of(step: Step) -> str:
    labels = step.labels
    if step.stage == "anchors":
        return cell(labels["models"])
    models = [str(labels.get("model") or "+".join(labels["sources"]))]
    if "target" in labels:
        models.append(str(labels["target"]))
    return " ".join([" > ".join(m for m in models if m), str(labels.get("method", "")), str(labels["task"])])


def summary(outcomes: Sequence[Outcome]) -> str:
    built = Counter(o.step.stage for o in outcomes if o.artifact is not None and not o.reused)
    reused = Counter(o.step.stage for o in outcomes if o.reused)
    failed = sum(o.error is not None for o in outcomes)

    def counts(of: Counter[str]) -> str:
        return ", ".join(f"{n} {stage}" for stage, n in of.items()) or "nothing"

    return f"built {counts(built)}; reused {counts(reused)}" + (f"; {failed} failed" if failed else "")
