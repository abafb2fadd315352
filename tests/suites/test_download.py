"""Downloads against a server on loopback that resumes, breaks, forgets, changes its file and fails."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

import ptx.suites.fetching.download as module
from ptx.errors import PtxError
from ptx.suites.fetching.download import download

CONTENT = bytes(hashlib.sha256(str(i).encode()).digest()[0] for i in range(200_000))


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.content`; the lists on the server say how, and what was asked."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server = self.server
        asked = self.headers.get("Range")
        server.asked.append(asked)
        server.headers_seen.append(dict(self.headers))
        if server.codes:
            self.send_error(server.codes.pop(0))
            return
        part = re.fullmatch(r"bytes=(\d+)-", asked) if asked and server.ranges else None
        start = int(part[1]) if part else 0
        if self.headers.get("If-Range", server.tag) != server.tag:
            start = 0
        size = len(server.content)
        if start >= size:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        if server.tag:
            self.send_header("ETag", server.tag)
        self.send_header("Content-Length", str(size - start))
        self.end_headers()
        end = min(size, start + server.cuts.pop(0)) if server.cuts else size
        self.wfile.write(server.content[start:end])
        self.close_connection = end < size

    def log_message(self, *args: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    """`cuts`: after how many bytes each answer breaks off; `codes`: errors to answer first."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.tag, self.ranges = CONTENT, '"one"', True
        self.cuts: list[int] = []
        self.codes: list[int] = []
        self.asked: list[str | None] = []
        self.headers_seen: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/data.zip"


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(module, "PAUSE", 0.0)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with serving() as running:
        yield running


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_answer(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    download(server.url, tmp_path / "d", lambda done, total: seen.append((done, total)))
    assert (tmp_path / "d").read_bytes() == CONTENT
    assert leftovers(tmp_path) == ["d"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_a_broken_connection_is_gone_on_with(server: Server, tmp_path: Path) -> None:
    server.cuts = [1000, 70_000, 1]
    download(server.url, tmp_path / "d")
    assert (tmp_path / "d").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000-", "bytes=71000-", "bytes=71001-"]


def test_another_run_goes_on_where_the_first_stopped(server: Server, tmp_path: Path) -> None:
    server.cuts = [5000, 0, 0, 0, 0, 0]
    with pytest.raises(PtxError, match="the connection broke") as raised:
        download(server.url, tmp_path / "d")
    assert "goes on where it stopped" in raised.value.hint
    assert leftovers(tmp_path) == ["d.part", "d.part.json"]
    server.asked.clear()
    server.cuts.clear()
    download(server.url, tmp_path / "d")
    assert server.asked == ["bytes=5000-"]
    assert (tmp_path / "d").read_bytes() == CONTENT


def test_a_server_that_knows_no_parts_sends_all_again(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    server.cuts = [5000]
    download(server.url, tmp_path / "d")
    assert (tmp_path / "d").read_bytes() == CONTENT


@pytest.mark.parametrize("tag", ['"two"', ""], ids=["another version", "nothing to tell versions by"])
def test_pieces_of_two_versions_are_never_put_together(server: Server, tmp_path: Path, tag: str) -> None:
    if not tag:
        server.tag = ""
    server.cuts = [5000, 0, 0, 0, 0, 0] if tag else [5000] * 6
    with pytest.raises(PtxError):
        download(server.url, tmp_path / "d")
    server.tag, server.content = tag, CONTENT[::-1]
    server.cuts = []
    download(server.url, tmp_path / "d")
    assert (tmp_path / "d").read_bytes() == CONTENT[::-1]


def test_a_file_that_was_complete_already(server: Server, tmp_path: Path) -> None:
    """Killed between the last byte and the rename."""
    download(server.url, tmp_path / "e")
    (tmp_path / "e").rename(tmp_path / "d.part")
    (tmp_path / "d.part.json").write_text(json.dumps({"url": server.url, "version": server.tag}))
    download(server.url, tmp_path / "d")
    assert (tmp_path / "d").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(server: Server, tmp_path: Path) -> None:
    (tmp_path / "d.part").write_bytes(CONTENT + b"more")
    (tmp_path / "d.part.json").write_text(json.dumps({"url": server.url, "version": server.tag}))
    download(server.url, tmp_path / "d")
    assert (tmp_path / "d").read_bytes() == CONTENT


def test_a_server_in_trouble_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.codes = [503, 429, 500]
    download(server.url, tmp_path / "d")
    assert (tmp_path / "d").read_bytes() == CONTENT
    server.codes = [502] * 9
    with pytest.raises(PtxError, match="the server answers 502"):
        download(server.url, tmp_path / "e")


def test_what_is_not_there_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    server.codes = [404, 404]
    with pytest.raises(PtxError, match="the server answers 404 Not Found") as raised:
        download(server.url, tmp_path / "d")
    assert "--from" in raised.value.hint
    assert len(server.asked) == 1
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://127.0.0.1/data.zip", "no http or https address"),
        ("file:///etc/passwd", "no http or https address"),
        ("http://127.0.0.1:port/data.zip", "nonnumeric port"),
        ("http://127.0.0.1:1/data.zip", "cannot download"),
        ("http:///data.zip", "no host given"),
    ],
)
def test_addresses_that_lead_nowhere(server: Server, tmp_path: Path, url: str, message: str) -> None:
    with pytest.raises(PtxError, match=message):
        download(url, tmp_path / "d")


def test_a_proxy_of_the_environment_is_used(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url.rpartition("/")[0])
    monkeypatch.setenv("no_proxy", "")
    download("http://lama.invalid/data.zip", tmp_path / "d")
    assert server.headers_seen[0]["Host"] == "lama.invalid"
    assert (tmp_path / "d").read_bytes() == CONTENT


def test_a_disk_without_room(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: BinaryIO, chunk: bytes) -> None:
        raise PtxError(f"cannot write {file.name}: No space left on device", "make room")

    monkeypatch.setattr(module, "_write", full)
    with pytest.raises(PtxError, match="No space left"):
        download(server.url, tmp_path / "d")
    assert len(server.asked) == 1
