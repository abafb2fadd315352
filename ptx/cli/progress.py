"""Progress bars on stderr, on a terminal only."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console


@contextlib.contextmanager
def stage_bar(console: Console, stage: str, total: int) -> Iterator[Callable[[float], None]]:
    """Artifacts of a stage, with the time left; gives what to call with a number of artifacts, possibly fractional."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:8}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task(stage, total=total)
        yield lambda amount: progress.advance(bar, amount)


@contextlib.contextmanager
def download_bar(console: Console) -> Iterator[Callable[[int, int | None], None]]:
    """Bytes; gives what to call with how many there are so far, and in all if that is known."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)
