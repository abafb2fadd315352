"""What lies ahead, in words: two lines before a long run, and the totals with which a dry run ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ptx.media import counted

if TYPE_CHECKING:
    from ptx.engine.ahead import Ahead

LONG = 60.0  # seconds of a run that is told before it begins
MOST = 40  # rows of a list that nobody asked for


def lines(ahead: Ahead) -> list[str]:
    """How much there is to build, and what it takes, within 80 columns."""
    if not ahead.artifacts:
        return ["nothing is to be built"]
    whole: Counter[str] = Counter()
    for amounts in ahead.amounts.values():
        whole.update({of: count for of, count in amounts.items() if of and count > 1})
    time = "how long is not known on this GPU" if ahead.seconds is None else f"{about(ahead.seconds)} ({ahead.basis})"
    count = sum(ahead.artifacts.values())
    return [
        f"ahead: {', '.join([counted(count, 'artifact'), *_each(whole)])}",
        f"{time}; {_bytes(ahead.memory)} of memory, {_bytes(ahead.disk)} of disk",
    ]


def totals(ahead: Ahead, found: Mapping[str, int]) -> tuple[list[str], list[list[str]]]:
    """A table by stage: what is in the cache, what is to be built, and how much that is."""
    stages = [*dict.fromkeys([*found, *ahead.artifacts])]
    counts = [(stage, found.get(stage, 0), ahead.artifacts.get(stage, 0)) for stage in stages]
    rows = [
        [stage, f"{there:,}", f"{left:,}", ", ".join(_each(ahead.amounts.get(stage, {})))]
        for stage, there, left in counts
    ]
    return ["stage", "in the cache", "to build", "which is"], rows


def about(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(2, round(seconds))} seconds"
    return f"about {round(seconds / 60)} minutes" if seconds < 5400 else f"about {seconds / 3600:.1f} hours"


def _each(amounts: Mapping[str, int]) -> list[str]:
    return [counted(count, of.removesuffix("s"), of) for of, count in amounts.items() if of]


def _bytes(count: float) -> str:
    for size, unit in ((1e9, "GB"), (1e6, "MB")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{max(1, round(count / 1e3))} kB"
