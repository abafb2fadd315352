"""Who builds groups of steps: this process (below), others beside it (processes.py), or those of a cluster
(cluster.py)."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ptx.cache import Artifact, Store
from ptx.engine.ahead import Ahead
from ptx.engine.build import Outcome, Reporter, build_group
from ptx.engine.meter import Meter, Report
from ptx.engine.step import Step
from ptx.errors import PtxError

SOON = 0.1  # seconds after which a group says that it is begun
Hear = Callable[[int, Report], None]
Done = tuple[int, Sequence[Outcome], Sequence[str]]  # the number of a group, what became of it, and warnings
Answer = tuple[list[tuple[str, Mapping[str, Any] | None, bool, PtxError | None]], list[str]]  # the same, in a message


class Workers(Protocol):
    """Groups are begun while there is `room`, and come back from `finished`, which waits for some."""

    @property
    def room(self) -> bool: ...
    @property
    def busy(self) -> bool: ...
    def begin(self, number: int, steps: Sequence[Step], *, rebuild: bool) -> None: ...
    def finished(self) -> list[Done]: ...


@dataclass
class Here:
    """One group at a time, in this process."""

    store: Store
    device: str
    reporter: Reporter
    hear: Hear
    begun: tuple[int, Sequence[Step], bool] | None = None

    @property
    def room(self) -> bool:
        return self.begun is None

    @property
    def busy(self) -> bool:
        return self.begun is not None

    def begin(self, number: int, steps: Sequence[Step], *, rebuild: bool) -> None:
        self.begun = (number, steps, rebuild)

    def finished(self) -> list[Done]:
        assert self.begun is not None
        (number, steps, rebuild), self.begun = self.begun, None
        hear = self.hear
        built = build_group(steps, self.store, self.device, rebuild, self.reporter, lambda report: hear(number, report))
        return [(number, built, [])]


def failed(steps: Sequence[Step], error: PtxError) -> list[Outcome]:
    return [Outcome(step, None, False, error) for step in steps]


def answered(outcomes: Sequence[Outcome], warnings: Sequence[str]) -> Answer:
    """What became of a group, as short as it can be said."""
    return [(o.step.key, o.artifact.meta if o.artifact else None, o.reused, o.error) for o in outcomes], [*warnings]


def taken(answer: Answer, steps: Sequence[Step], store: Store) -> tuple[list[Outcome], list[str]]:
    by_key = {step.key: step for step in steps}
    outcomes = []
    for key, meta, reused, error in answer[0]:
        step = by_key[key]
        artifact = None if meta is None else Artifact(store.folder(step.stage.name, key), meta)
        outcomes.append(Outcome(step, artifact, reused, error))
    return outcomes, answer[1]


class Quiet:
    """A worker process has no terminal: its warnings travel back with the results."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def watch(self, meter: Meter, before: Ahead) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def message(self, text: str) -> None: ...
    def detail(self, *parts: object) -> None: ...
    def warn(self, text: str) -> None:
        self.warnings.append(text)


@contextlib.contextmanager
def joined(send: Callable[[Report], None]) -> Iterator[Callable[[Report], None]]:
    """Reports of a group while it is built, of which messages are made: the first soon, which says that it is begun,
    then those that come faster than one a second as one. What is done before that, and the last of a group, are not
    worth a message: on a cluster it takes as long as a short group."""
    waiting: Report | None = None
    sent = time.monotonic()
    one = threading.Lock()

    def tell() -> None:
        nonlocal waiting, sent
        if waiting is not None:
            send(waiting)
        waiting, sent = None, time.monotonic()

    def hear(report: Report) -> None:
        nonlocal waiting
        with one:
            before = waiting or Report()
            waiting = replace(report, units=before.units + report.units, seconds=before.seconds + report.seconds)
            if report.line or report.left is not None or time.monotonic() - sent > 1:
                tell()

    def begun() -> None:
        with one:
            tell()

    timer = threading.Timer(SOON, begun)
    timer.start()
    try:
        yield hear
    finally:
        timer.cancel()
        with one:
            waiting = None
