"""Lines of a user's text file: UTF-8, bounded in length, and every complaint with its file and line."""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import NoReturn

from ptx.errors import PtxError, shown

LONGEST = 16 * 2**20  # bytes; a line beyond this is a mistake, and would not fit into any model
PIECE = 2**16

# What to do about a line that cannot be read: readers pass it here and go on. `ptx data check` collects them all.
Bad = Callable[[PtxError], None]


def refuse(error: PtxError) -> NoReturn:
    """The usual way: the first bad line is the end."""
    raise error


def text_lines(path: Path, bad: Bad = refuse) -> Generator[str, None, None]:
    """Every line with its end; a bad one is given to `bad`, and is empty if that returns.

    Readers close what they read from (contextlib.closing), since an error would keep the file open for as long as it
    is remembered.

    A byte-order mark is no part of the first line. Raises PtxError if `path` is no regular file (a pipe could be read
    only once, and keys need the same facts every time) or cannot be read.
    """
    try:
        if not path.is_file():
            raise PtxError(f"{path} is no regular file", "save the data into a file, and name that")
        with path.open("rb") as file:
            number = 0
            while raw := file.readline(LONGEST + 1):
                number += 1
                try:
                    yield _decoded(raw, number, f"{path}:{number}")
                except PtxError as error:
                    bad(error)
                    while not raw.endswith(b"\n") and (raw := file.readline(PIECE)):
                        pass
                    yield "\n"
    except OSError as error:
        message = f"cannot read {shown(str(path))}: {error.strerror or error}"
        raise PtxError(message, "check the path and its permissions") from None


def _decoded(raw: bytes, number: int, where: str) -> str:
    if len(raw) > LONGEST:
        raise PtxError(f"{where}: a line of more than {LONGEST >> 20} MB", "write one record a line, or leave it out")
    try:
        # decoded line by line, since an error in a block of text has no line number
        text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise PtxError(f"{where}: not UTF-8 ({error.reason})", "save the file as UTF-8") from None
    if "\0" in text:
        raise PtxError(f"{where}: a NUL byte, as UTF-16 has them", "save the file as UTF-8")
    return text


def words_of(path: Path) -> list[str]:
    """The words of a file, one a line (blanks around them do not matter), as OptiPrompt's common vocabularies are.

    Raises PtxError naming the line that cannot be read, or if there are none.
    """
    words = [word for line in text_lines(path) for word in line.split()]
    if not words:
        raise PtxError(f"{path}: no words", "write one word a line")
    return words


def subjects_of(path: Path) -> list[str]:
    """The subjects of a file, one a line. Raises PtxError."""
    if not path.is_file():
        raise PtxError(f"no file {path}", "give the path of a text file with one subject a line")
    return [line.strip() for line in text_lines(path) if line.strip()]
