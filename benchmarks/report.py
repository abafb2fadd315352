"""Rows, and how they are shown: a table on the terminal, JSON, and the table of times in docs/performance/README.md."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import described

HEADER = ("what", "ours", "the field's procedure", "ratio", "goal", "note")


@dataclass(frozen=True)
class Row:
    """One comparison. `ours` and `theirs` are in `unit` (seconds or MB); None where there is nothing to compare with.

    With `at_least`, more is better: the ratio is theirs to ours, and the goal its least value. Otherwise it is ours to
    theirs (a bound rather than a rival), and the goal its greatest value. Without `theirs` the goal is in `unit`. `why`
    says what stands in the way of a goal that is missed.
    """

    what: str
    ours: float
    theirs: float | None = None
    goal: float | None = None
    at_least: bool = True
    unit: str = "s"
    note: str = ""
    why: str = ""

    @property
    def ratio(self) -> float | None:
        if self.theirs is None:
            return None
        return self.theirs / self.ours if self.at_least else self.ours / self.theirs

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without a goal."""
        if self.goal is None:
            return None
        if self.ratio is None:
            return self.ours <= self.goal
        return self.ratio >= self.goal if self.at_least else self.ratio <= self.goal

    @property
    def cells(self) -> tuple[str, ...]:
        theirs = "" if self.theirs is None else quantity(self.theirs, self.unit)
        return (
            self.what,
            quantity(self.ours, self.unit),
            theirs,
            "" if self.ratio is None else times(self.ratio),
            self._goal(),
            self.note,
        )

    def _goal(self) -> str:
        if self.goal is None:
            return ""
        bound = f"{self.goal:g} {self.unit}" if self.ratio is None else times(self.goal)
        return f"at {'least' if self.at_least and self.ratio else 'most'} {bound}{'' if self.met else ': missed'}"


def quantity(value: float, unit: str) -> str:
    """Three digits or so: 1,736 s, 0.94 s, 2.1 ms, 28 MB."""
    if unit == "s" and value < 0.1:
        value, unit = 1000 * value, "ms"
    return f"{_digits(value)} {unit}"


def times(ratio: float) -> str:
    """A ratio as it is read: 3,120x, 12.4x, 2.51x."""
    return f"{_digits(ratio)}×"


def _digits(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = ["| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines]
    return "\n".join(["| " + " | ".join(header) + " |", "|---" * len(header) + "|", *rows])


def reasons(rows: Sequence[Row]) -> list[str]:
    """Why goals were missed, each reason once."""
    return list(dict.fromkeys(row.why for row in rows if row.met is False and row.why))


def show(rows: Sequence[Row], title: str, header: Sequence[str] = HEADER) -> None:
    """The table on stdout, as wide as the terminal, without columns that are empty."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    filled = [i for i in range(len(header)) if any(row.cells[i] for row in rows)]
    table = Table(*(header[i] for i in filled), title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for row in rows:
        table.add_row(*(row.cells[i] for i in filled), style="yellow" if row.met is False else None)
    console = Console()
    console.print(table) if console.is_terminal else Console(width=200).print(table)
    for reason in reasons(rows):
        print(f"missed: {reason}")


def as_json(rows: Sequence[Row], environment: dict[str, Any], **more: Any) -> str:
    lines = [dataclasses.asdict(row) | {"ratio": row.ratio, "met": row.met} for row in rows]
    return json.dumps({"environment": environment, **more, "rows": lines}, indent=1, ensure_ascii=False) + "\n"


def write_readme(path: Path, rows: Sequence[Row], environment: dict[str, Any], below: str = "") -> None:
    """Replace the block between the marks. Raises ValueError for a file without it."""
    text = path.read_text("utf-8")
    if not re.search(r"<!-- times -->.*<!-- /times -->", text, flags=re.DOTALL):
        raise ValueError(f"{path} has no block between <!-- times --> and <!-- /times -->")
    head = f"Measured by `python -m benchmarks` in one run: {described(environment)}."
    missed = [f"- {reason}" for reason in reasons(rows)]
    why = "\n".join(["What was missed, and why:", "", *missed]) if missed else ""
    parts = [head, markdown(HEADER, [row.cells for row in rows]), why, below]
    block = "<!-- times -->\n" + "\n\n".join(part for part in parts if part) + "\n<!-- /times -->"
    path.write_text(re.sub(r"<!-- times -->.*<!-- /times -->", lambda _: block, text, flags=re.DOTALL), "utf-8")
