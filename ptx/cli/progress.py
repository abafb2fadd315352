"""How far a run is, on stderr: two lines on a terminal, anywhere else a plain one now and then. And downloads."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from ptx.cli import interrupts

if TYPE_CHECKING:
    from ptx.engine.meter import Meter

MINUTE, QUICK = 60.0, 10.0  # seconds between plain lines, and between those of epochs that are shorter
BAR = 10


@contextlib.contextmanager
def watched(meter: Meter, console: Console) -> Iterator[None]:
    """Draws what a meter says until the end."""
    with (
        interrupts.standing(lambda: kept(meter)),
        _lines(meter, console) if console.is_terminal else _now_and_then(meter, console),
    ):
        yield


@contextlib.contextmanager
def _lines(meter: Meter, console: Console) -> Iterator[None]:
    from rich.live import Live

    def drawn() -> Text:
        width = console.width - 1
        return Text("\n".join(line[:width] for line in (whole(meter), now(meter))), no_wrap=True)

    with Live(
        get_renderable=drawn, console=console, transient=True, refresh_per_second=2,
        redirect_stdout=False, redirect_stderr=False,
    ):  # fmt: skip
        yield


@contextlib.contextmanager
def _now_and_then(meter: Meter, console: Console) -> Iterator[None]:
    done = threading.Event()
    thread = threading.Thread(target=_say, args=(meter, console, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _say(meter: Meter, console: Console, done: threading.Event) -> None:
    said, lines = 0.0, meter.lines
    while not done.wait(0.5):
        quiet = meter.elapsed - said
        if quiet >= MINUTE or (meter.lines > lines and quiet >= QUICK):
            said, lines = meter.elapsed, meter.lines
            console.print(f"{whole(meter)}; {now(meter)}", markup=False)


def whole(meter: Meter) -> str:
    """The whole command in one line: the stage, how much is done, the time."""
    share = meter.share
    place = meter.stages.index(meter.stage) + 1 if meter.stage in meter.stages else 1
    bar = "#" * int(BAR * share) + "." * (BAR - int(BAR * share))
    gone, left = clock(meter.elapsed), clock(meter.left)
    return f"stage {place} of {len(meter.stages)}, {meter.stage}  [{bar}] {share:3.0%}  {gone} gone, {left} left"


def now(meter: Meter) -> str:
    """What runs now."""
    working = meter.working
    if not working:
        return "starting"
    more = f" and {len(working) - 1} more" if len(working) > 1 else ""
    return f"{working[0].name}{more}: {working[0].last.now or 'reading the model'}"


def kept(meter: Meter) -> str:
    """What an interruption does to what runs now."""
    parts = [f"{part.kind[0]} of {part.name} goes on {part.last.kept}" for part in meter.working if part.last.kept]
    parts += [f"{part.kind[0]} of {part.name} begins again" for part in meter.working if not part.last.kept]
    return "".join(f"\n  {part}" for part in parts)


def clock(seconds: float) -> str:
    """1:05, or 2:01:05 with hours."""
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@contextlib.contextmanager
def download_bar(console: Console) -> Iterator[Callable[[int, int | None], None]]:
    """Bytes; gives what to call with how many there are so far, and in all if that is known."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns: Any = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)
