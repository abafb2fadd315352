"""Ctrl-C, SIGTERM and SIGHUP (the terminal is gone): unwind, say how to go on, and exit with 130, 143 or 129 within
two seconds.

Python acts on a signal only between its own instructions, and a solver may compute for minutes in one call. A thread
of its own therefore ends the process when unwinding takes too long, or at a second signal. (It too has to wait for a
call that keeps Python's global lock: loading a shared library from a slow disk, say.) Whatever is not published by
then is under a hidden name, which no reader looks at and `ptx cache gc` removes.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

GRACE = 1.2  # seconds
TEXT = "interrupted: what is finished is kept{}\nhint: run the same command again: it goes on where it stopped\n"

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]  # Windows: two

_first = 0  # the first signal that came
_said = threading.Lock()
_standing: list[Callable[[], str]] = []  # what is being done, and what becomes of it


def install() -> None:
    """Take over the signals of this process, for good. Those that it was told to ignore (nohup) stay ignored."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)
    signals = [s for s in SIGNALS if signal.getsignal(s) != signal.SIG_IGN]
    for number in signals:
        signal.signal(number, _raise)
    threading.Thread(target=_watch, args=(reader, {int(s) for s in signals}), daemon=True).start()


@contextlib.contextmanager
def standing(text: Callable[[], str]) -> Iterator[None]:
    """Meanwhile this is said as well."""
    _standing.append(text)
    yield
    _standing.remove(text)  # not if it was interrupted: it is to be said


def received() -> bool:
    """Whether the process is being interrupted."""
    return _first != 0


def say() -> int:
    """Tell the user, once, how to go on; the exit code."""
    if _said.acquire(blocking=False):
        with contextlib.suppress(OSError):
            os.write(2, TEXT.format("".join(text() for text in _standing)).encode())
    return 128 + (_first or signal.SIGINT)


def _raise(number: int, frame: Any) -> None:
    global _first
    if not _first:
        _first = number
        raise KeyboardInterrupt


def _watch(reader: socket.socket, signals: set[int]) -> None:
    global _first
    while (number := reader.recv(1)[0]) not in signals:
        pass
    reader.settimeout(GRACE)
    with contextlib.suppress(TimeoutError):
        while reader.recv(1)[0] not in signals:
            pass
    _first = _first or number
    code = say()
    if sys.stderr.isatty():
        os.write(2, b"\x1b[?25h")  # a progress bar had hidden the cursor
    os._exit(code)
