"""Lines of a user's text file: bounded in length, decoded, unpacked, and every complaint with its file and line."""

import gzip
import io
import shlex
import zlib
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ptx.errors import PtxError, shown
from ptx.media import counted
from ptx.suites.watched import looked_at

LONGEST = 16 * 2**20  # bytes; a line beyond this is a mistake, and would not fit into any model
PIECE = 2**16
KEPT = 100  # problems that are remembered; the rest is counted
MARKS = {b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
GZIP = b"\x1f\x8b"
LFS = b"version https://git-lfs"
NO_TEXT = {
    b"PK\x03\x04": ("a ZIP archive or an Excel workbook", "unpack it, or save it in Excel as CSV UTF-8"),
    b"\xd0\xcf\x11\xe0": ("an Excel workbook", "save it in Excel as CSV UTF-8"),
    b"BZh91AY&SY": ("packed by bzip2", "unpack it: bunzip2 FILE"),
    b"\xfd7zXZ": ("packed by xz", "unpack it: unxz FILE"),
    b"\x28\xb5\x2f\xfd": ("packed by zstd", "unpack it: unzstd FILE"),
    b"PAR1\x15": ("a Parquet file", "rename it to FILE.parquet"),
    b"<?xml": ("XML", "fetch or save it as CSV or JSON"),
    b"<!DOCTYPE": ("a web page", "fetch the data themselves: it may ask to log in, or say that they have moved"),
    b"<html": ("a web page", "fetch the data themselves: it may ask to log in, or say that they have moved"),
    LFS: ("a pointer of Git LFS to the data", "fetch what it points to: git lfs pull"),
}
OTHER_ENCODING = (
    "save the file as UTF-8 (in Excel: CSV UTF-8); if it is in Windows-1252, as Excel's CSV is in many countries: "
    "iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW"
)


@dataclass(frozen=True)
class Remark:
    """What a reader assumed or left out: no error, but told once. `where` is a file, or a file and line."""

    where: str
    what: str


# What to do about a line that cannot be read: readers pass it here and go on, so that all can be told at once
# (Problems). Remarks go the same way.
Bad = Callable[[PtxError | Remark], None]


def refuse(said: PtxError | Remark) -> None:
    """The first bad line is the end."""
    if isinstance(said, PtxError):
        raise said


class NoRows(PtxError):
    """A file without rows: no news where they could not be read."""


@dataclass
class Problems:
    """All that is wrong with a suite: the first ones, and how many there are."""

    count: int = 0
    first: list[PtxError] = field(default_factory=list)

    def add(self, error: PtxError) -> None:
        if isinstance(error, NoRows) and self.count:
            return
        self.count += 1
        if len(self.first) < KEPT:
            self.first.append(error)

    def together(self, suite: str, most: int = KEPT) -> PtxError:
        """The only one as it is, or one error for all of them, in whose notes stand the first `most`."""
        if self.count == 1:
            return self.first[0]
        error = PtxError(f"{suite}: {counted(self.count, 'problem')}", self.first[0].hint)
        for each in self.first[:most]:
            error.add_note(each.message)
        if self.count > most:
            error.add_note(f"... and {self.count - most} more: `ptx data check {shlex.quote(suite)}` names {KEPT}")
        return error


def together(remarks: Iterable[Remark], most: int = 3) -> list[str]:
    """The same about several files in one line, with at most so many of their names."""
    files: dict[str, list[str]] = {}
    for remark in remarks:
        files.setdefault(remark.what, []).append(remark.where)
    lines = []
    for what, every in files.items():
        named = list(dict.fromkeys(every))
        more = f" and {len(named) - most} more" if len(named) > most else ""
        lines.append(f"{shown(', '.join(named[:most]), 300 * most)}{more}: {what}")
    return lines


def text_lines(path: Path, bad: Bad = refuse, content: bytes | None = None) -> Generator[str, None, None]:
    """Every line with its end; a bad one is given to `bad`, and is empty if that returns. `content` is what was read of
    the file already.

    Readers close what they read from (contextlib.closing), since an error would keep the file open for as long as it
    is remembered.

    UTF-8, or what a byte-order mark says, which is no part of the first line; gzip is unpacked. Raises PtxError if
    `path` is no regular file (a pipe could be read only once, and keys need the same facts every time), cannot be
    read, or is no text.
    """
    try:
        looked_at(path)
        if not path.is_file():
            raise PtxError(f"{path} is no regular file", "save the data into a file, and name that")
        with path.open("rb") if content is None else io.BytesIO(content) as file:
            if file.read(2) == GZIP:
                file.seek(0)
                with gzip.GzipFile(fileobj=file) as unpacked:
                    yield from _lines(unpacked, path, bad)
            else:
                yield from _lines(file, path, bad)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise PtxError(f"{path}: damaged by a broken copy or download ({error})", "copy it again") from None
    except OSError as error:
        message = f"cannot read {shown(str(path))}: {error.strerror or error}"
        raise PtxError(message, "check the path and its permissions") from None


def _lines(file: io.BufferedIOBase, path: Path, bad: Bad) -> Generator[str, None, None]:
    file.seek(0)
    head = file.read(len(LFS))
    file.seek(0)
    for begin, (what, hint) in NO_TEXT.items():
        if head.startswith(begin):
            raise PtxError(f"{path} is {what}, no text", hint.replace("FILE", str(path)))
    if encoding := next((name for mark, name in MARKS.items() if head.startswith(mark)), None):
        bad(Remark(str(path), f"read as {encoding.upper()}, which it begins as"))
        yield from _marked(file, encoding, path, bad)
        return
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


def _marked(file: io.BufferedIOBase, encoding: str, path: Path, bad: Bad) -> Generator[str, None, None]:
    """Lines in an encoding of several bytes a character. Where one of them is wrong, the rest cannot be known."""
    number = 0
    with io.TextIOWrapper(file, encoding, newline="\n") as text:  # type: ignore[type-var, unused-ignore]
        while True:
            number += 1
            try:
                if not (line := text.readline(LONGEST + 1)):
                    return
                _check(len(line), line, f"{path}:{number}")
                yield line
            except UnicodeError as error:
                bad(PtxError(f"{path}:{number}: not {encoding.upper()} ({error})", "save the file as UTF-8"))
                return
            except PtxError as error:
                bad(error)
                while not line.endswith("\n") and (line := text.readline(PIECE)):
                    pass
                yield "\n"


def _decoded(raw: bytes, number: int, where: str) -> str:
    _check(len(raw), "", where)
    try:
        # decoded line by line, since an error in a block of text has no line number
        text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise PtxError(f"{where}: not UTF-8 ({error.reason})", OTHER_ENCODING) from None
    _check(0, text, where)
    return text


def _check(length: int, text: str, where: str) -> None:
    if length > LONGEST:
        raise PtxError(f"{where}: a line of more than {LONGEST >> 20} MB", "write one record a line, or leave it out")
    if "\0" in text:
        raise PtxError(f"{where}: a NUL byte, as UTF-16 has them", "save the file as UTF-8")


def words_of(path: Path, content: bytes | None = None) -> list[str]:
    """The words of a file, one a line (blanks around them do not matter), as OptiPrompt's common vocabularies are.

    Raises PtxError naming the line that cannot be read, or if there are none.
    """
    words = [word for line in text_lines(path, content=content) for word in line.split()]
    if not words:
        raise PtxError(f"{path}: no words", "write one word a line")
    return words


def subjects_of(path: Path) -> list[str]:
    """The subjects of a file, one a line. Raises PtxError."""
    if not path.is_file():
        raise PtxError(f"no file {path}", "give the path of a text file with one subject a line")
    return [line.strip() for line in text_lines(path) if line.strip()]
