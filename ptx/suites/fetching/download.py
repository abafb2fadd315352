"""Download a file over HTTP, going on where an earlier attempt stopped.

The bytes so far are in `<file>.part`, and what the server called them (ETag or date) in `<file>.part.json`, so that
pieces of two versions are never put together. Proxies come from the environment (`https_proxy`, `no_proxy`).
"""

import contextlib
import http.client
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib import request
from urllib.error import HTTPError
from urllib.parse import urlsplit

from ptx import __version__
from ptx.errors import PtxError

CHUNK = 1 << 18
TIMEOUT = 30.0  # seconds without a byte
ATTEMPTS = 5  # in a row that bring nothing new
PAUSE = 1.0  # seconds before the second attempt, doubled each time
AGAIN = "check the network and run the same command again: it goes on where it stopped"

Progress = Callable[[int, int | None], None]  # bytes so far, and bytes in all if the server says so


def download(url: str, target: Path, progress: Progress = lambda done, total: None) -> None:
    """Fetch `url` into `target`, which appears when it is complete.

    Raises PtxError for an address that is wrong or gone, a full disk, and a connection that breaks again and again.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise PtxError(f"{url} is no http or https address", "give such an address, or the path of a file")
    part = target.with_name(f"{target.name}.part")
    fruitless = 0
    while True:
        before = _size(part)
        try:
            _attempt(url, part, progress)
            break
        except HTTPError as error:
            error.close()
            if error.code == 416 and 0 < _size(part) == _whole_size(error.headers.get("Content-Range")):
                break  # all there already
            if error.code == 416:
                part.unlink(missing_ok=True)
            elif error.code < 500 and error.code not in (408, 429):
                hint = "check the address; --from takes another one, or a file that you have"
                raise PtxError(f"{url}: the server answers {error.code} {error.reason}", hint) from None
            problem = f"the server answers {error.code} {error.reason}"
        except (OSError, http.client.HTTPException) as error:
            problem = str(getattr(error, "reason", None) or error) or type(error).__name__
        except ValueError as error:  # a port that is no number, say
            raise PtxError(f"{url}: {error}", "check the address") from None
        fruitless = 0 if _size(part) > before else fruitless + 1
        if fruitless == ATTEMPTS:
            raise PtxError(f"cannot download {url}: {problem} (after {_size(part) / 1e6:.1f} MB)", AGAIN)
        time.sleep(PAUSE * 2 ** max(fruitless - 1, 0))
    os.replace(part, target)
    _note(part).unlink(missing_ok=True)


def _attempt(url: str, part: Path, progress: Progress) -> None:
    """One request, from the first byte that is missing. Raises OSError if the answer ends early."""
    have, version = _resumable(url, part)
    headers = {"User-Agent": f"ptx/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    with _opener().open(request.Request(url, headers=headers), timeout=TIMEOUT) as response:
        if url.startswith("https:") and not response.url.startswith("https:"):
            raise PtxError(f"{url} leads to {response.url}, which is not encrypted", "give that address with --from")
        if response.status == 206 and not (response.headers.get("Content-Range") or "").startswith(f"bytes {have}-"):
            part.unlink()
            raise ConnectionError("the server sent another part than it was asked for")
        have = have if response.status == 206 else 0  # a whole answer: the file changed, or the server knows no parts
        length = response.headers.get("Content-Length") or ""
        total = have + int(length) if length.isdecimal() else None
        try:
            _note(part).write_text(json.dumps({"url": url, "version": _version(response.headers)}), "utf-8")
            with part.open("ab" if have else "wb") as file:
                while chunk := response.read(CHUNK):
                    _write(file, chunk)
                    have += len(chunk)
                    progress(have, total)
        except PermissionError as error:
            raise PtxError(f"cannot write {part}: {error.strerror}", "choose another --output") from None
    if total is not None and have != total:
        raise ConnectionError("the connection broke")


def _opener() -> request.OpenerDirector:
    """HTTP, HTTPS and the environment's proxies; no file:, data: or ftp: address, wherever an answer leads."""
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler, request.HTTPHandler, request.HTTPSHandler, request.HTTPDefaultErrorHandler,
        request.HTTPRedirectHandler, request.HTTPErrorProcessor, request.UnknownHandler,
    ):  # fmt: skip
        opener.add_handler(handler())
    return opener


def _write(file: Any, chunk: bytes) -> None:
    try:
        file.write(chunk)
    except OSError as error:  # not the network's
        raise PtxError(f"cannot write {file.name}: {error.strerror}", "make room, then run the command again") from None


def _resumable(url: str, part: Path) -> tuple[int, str]:
    """The bytes that are there and what the server called them; (0, "") where they could not be gone on with."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        note = json.loads(_note(part).read_text("utf-8"))
        if note.get("url") == url and note.get("version"):
            return _size(part), note["version"]
    return 0, ""


def _version(headers: Any) -> str:
    """What tells this version of the file from others: a strong ETag, or else the date."""
    tag = headers.get("ETag") or ""
    return tag if tag.startswith('"') else headers.get("Last-Modified") or ""


def _whole_size(content_range: str | None) -> int:
    """N of `bytes */N`, or -1."""
    text = (content_range or "").rpartition("/")[2]
    return int(text) if text.isdecimal() else -1


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
