"""What a user can cause: every error says what is wrong and what to run next."""

import itertools
import os
from collections.abc import Callable, Sequence

from ptx.media import one_line


class PtxError(Exception):
    """An expected failure (exit code 1): `message` says what is wrong, `hint` names a next step."""

    exit_code = 1

    def __init__(self, message: str, hint: str) -> None:
        self.message, self.hint = one_line(message), one_line(hint)
        super().__init__(self.message, self.hint)  # both, so that the error survives pickling between processes

    def __str__(self) -> str:
        return self.message

    def _render_traceback_(self) -> list[str]:
        """What IPython and Jupyter show in place of a traceback: the caller's line, what is wrong, what helps."""
        import traceback

        own = os.path.dirname(__file__) + os.sep
        frames = traceback.extract_tb(self.__traceback__)
        theirs = list(itertools.takewhile(lambda frame: not frame.filename.startswith(own), frames))
        lines = "".join(traceback.format_list(theirs[-1:])).rstrip().splitlines()
        notes = [note for note in getattr(self, "__notes__", ()) if note != f"hint: {self.hint}"]
        return [*lines, f"{type(self).__name__}: {self.message}", *notes, f"hint: {self.hint}"]


class UsageError(PtxError):
    """Wrong usage of the command line (exit code 2)."""

    exit_code = 2


def raise_last(errors: Sequence[PtxError], tell: Callable[[PtxError], None]) -> None:
    """Raise the last error, if there is any, the others having been told."""
    for error in errors[:-1]:
        tell(error)
    if errors:
        raise errors[-1]


def first_line(error: BaseException) -> str:
    """What an error of another library says, or else its kind; what a line ending in a colon announces is with it."""
    first, *rest = str(error).strip().splitlines() or [type(error).__name__]
    return " ".join([first, *(part.strip() for part in rest[:1] if first.endswith(":"))])[:200]


def shown(text: str, limit: int = 200) -> str:
    """Text of a user's file inside a message: on one line, and not too long."""
    cut = text if len(text) <= limit else text[:limit] + "..."
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in cut)
