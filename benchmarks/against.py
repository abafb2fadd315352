"""This checkout against another one: `python -m benchmarks --against FOLDER`.

Whole commands, in processes of their own, as a person would wait for them; the two take turns (A B A B ...). Each has
caches of its own, so that nothing but the command line needs to be the same in both. The ratio is this checkout's
median to the other's: below 1 means faster. On a busy machine trust processor time more, which waiting does not change.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.commands import ROOT, command
from benchmarks.measure import once
from benchmarks.report import Row, times

HEADER = ("what", "this checkout", "the other", "ratio", "goal", "note")
DEMO = ("run", "demo")
TASKS = ("--tasks", "P27,P37,P101,P103,P140,P364,P407,P1412")  # the demo's
TUNE = ("tune", "--model", "bert-micro", *TASKS, "--epochs", "3")
SEARCH = ("search", "--sources", "bert-micro,roberta-micro", "--target", "albert-micro", *TASKS)


class Taken(NamedTuple):
    """What a command took: seconds, and seconds of all processors."""

    seconds: float
    processor: float


class Side:
    """A checkout, and a folder for its caches: one for each time that a command shall find none."""

    def __init__(self, checkout: Path, folder: Path) -> None:
        self.checkout, self.folder, self.caches = checkout, folder, 0
        folder.mkdir()

    def help(self) -> None:
        command(self.folder, "--help", checkout=self.checkout)

    def again(self, *args: str) -> None:
        """A command with the cache of the one before."""
        command(self.folder, *args, "--cache-dir", f"cache{self.caches}", checkout=self.checkout)

    def anew(self, *args: str) -> None:
        """A command with an empty cache."""
        self.caches += 1
        self.again(*args)


# What is run, and whether once without being timed. In this order: the demo leaves the cache for what comes after it.
MEASURES: tuple[tuple[str, Callable[[Side], None], bool], ...] = (
    ("`ptx --help`", Side.help, True),
    ("`ptx tune`, 8 tasks, 3 epochs", lambda side: side.anew(*TUNE), True),
    ("`ptx run demo`, empty cache", lambda side: side.anew(*DEMO), False),
    ("`ptx run demo`, all cached", lambda side: side.again(*DEMO), True),
    ("`ptx search --force`, 8 tasks, prompts and encodings cached", lambda side: side.again(*SEARCH, "--force"), True),
)


def is_checkout(folder: Path) -> bool:
    return (folder / "ptx" / "__main__.py").is_file()


def rows(other: Path, quick: bool) -> list[Row]:
    rounds = 2 if quick else 7
    made = []
    with tempfile.TemporaryDirectory() as name:
        sides = Side(ROOT, Path(name) / "this"), Side(other.resolve(), Path(name) / "other")
        for what, action, warm_up in MEASURES:
            print(f"{rounds} rounds of {what}", file=sys.stderr, flush=True)
            if warm_up:
                for side in sides:
                    action(side)
            made.append(compared(what, [(taken(action, sides[0]), taken(action, sides[1])) for _ in range(rounds)]))
    return made


def taken(action: Callable[[Side], None], side: Side) -> Taken:
    before = os.times()
    seconds = once(lambda: action(side))
    after = os.times()
    user, system = after.children_user - before.children_user, after.children_system - before.children_system
    return Taken(seconds, user + system)


def compared(what: str, rounds: Sequence[tuple[Taken, Taken]]) -> Row:
    """Medians, and as a note the least and the greatest ratio of a round, and the ratio of the processors' seconds."""
    ratios = [ours.seconds / theirs.seconds for ours, theirs in rounds]
    ours, theirs = (statistics.median(one.seconds for one in side) for side in zip(*rounds, strict=True))
    busy, busy_there = (statistics.median(one.processor for one in side) for side in zip(*rounds, strict=True))
    note = f"{min(ratios):.2f} to {max(ratios):.2f} in {len(ratios)} rounds"
    if busy_there:  # Windows does not say
        note += f"; processor time {times(busy / busy_there)}"
    return Row(what, ours, theirs, at_least=False, note=note)
