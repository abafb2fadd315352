"""A transfer: the evaluations behind one number of a table, which are one method from some sources to one target."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ptx.results.collect import Result
from ptx.results.table import row_title, source_names

DRAWS, COVERAGE = 2000, 95
Cell = tuple[str, str, str]  # a table's row (how it is titled, its sources) and its target


@dataclass(frozen=True)
class Transfer:
    """`results` by task and seed; `sources` as the tables write them."""

    method: str
    sources: str
    target: str
    results: Sequence[Result]

    @cached_property
    def id(self) -> str:
        """Of the same results in several tables, the same."""
        keys = sorted({result.artifact.key + result.labels["task"] for result in self.results})
        return "t" + hashlib.sha256("".join(keys).encode()).hexdigest()[:10]

    @property
    def title(self) -> str:
        return f"{self.method}: {self.sources + ' → ' if self.sources else ''}{self.target}"

    @property
    def is_moved(self) -> bool:
        return bool(self.sources)

    @property
    def is_self(self) -> bool:
        return self.target in self.results[0].labels["sources"]

    @cached_property
    def by_task(self) -> dict[str, list[Result]]:
        found: dict[str, list[Result]] = {}
        for result in self.results:
            found.setdefault(result.labels["task"], []).append(result)
        return found

    @cached_property
    def accuracies(self) -> dict[str, float]:
        """P@1 of every task, the mean over its seeds."""
        return {task: _mean(of, "accuracy") or 0.0 for task, of in self.by_task.items()}

    @cached_property
    def mean(self) -> float:
        """Over tasks; with the same tasks in all seeds, what a table calls micro."""
        return sum(self.accuracies.values()) / len(self.accuracies)

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        return bootstrap(tuple(self.accuracies.values()))

    @cached_property
    def floor(self) -> float | None:
        return _mean(self.results, "floor")

    @cached_property
    def forecast(self) -> float | None:
        return _mean(self.results, "forecast")

    @property
    def settings(self) -> Mapping[str, Any]:
        return self.results[0].settings

    @property
    def counts(self) -> dict[str, int]:
        """Facts and dropped ones are of one seed."""
        seeds = {result.labels.get("seed", 0) for result in self.results}
        once = [of[0].metrics for of in self.by_task.values()]
        facts, dropped = sum(of["facts"] for of in once), sum(of["dropped"] for of in once)
        return {"tasks": len(self.by_task), "facts": facts, "dropped": dropped, "seeds": len(seeds)}


def transfers(results: Sequence[Result]) -> dict[Cell, Transfer]:
    """The transfers of one table, by its cells."""
    found: dict[Cell, list[Result]] = {}
    for result, sources in zip(results, source_names(results), strict=True):
        found.setdefault((row_title(result.method), sources, result.labels["target"]), []).append(result)
    return {cell: Transfer(*cell, sorted(of, key=_order)) for cell, of in found.items()}


@functools.cache  # many tables have the same transfer
def bootstrap(values: tuple[float, ...]) -> tuple[float, float] | None:
    """The 95% interval of a mean over tasks: percentiles of means over tasks that are drawn with replacement, the same
    draws for all that have as many tasks. None of fewer than two."""
    import numpy as np

    if len(values) < 2:
        return None
    tail = (100 - COVERAGE) / 2
    low, high = np.percentile(np.asarray(values)[_drawn(len(values))].mean(axis=1), [tail, 100 - tail])
    return float(low), float(high)


@functools.cache
def _drawn(count: int) -> Any:
    import numpy as np

    return np.random.default_rng(0).integers(count, size=(DRAWS, count))


def spelled(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{n} {v if isinstance(v, str) else json.dumps(v)}" for n, v in sorted(settings.items()))


def _order(result: Result) -> tuple[Any, ...]:
    task = result.labels["task"]
    return len(task), task, result.labels.get("seed", 0), result.artifact.key


def _mean(results: Iterable[Result], name: str) -> float | None:
    known = [value for result in results if (value := result.metrics.get(name)) is not None]
    return sum(known) / len(known) if known else None
