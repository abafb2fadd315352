"""`ptx data fetch` from a server on loopback and from files."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import pytest
from conftest import write_suite
from test_archive import a_zip
from test_download import Server, serving

import ptx.suites.fetching.download as module

FACT = b'{"sub_label": "Paris", "obj_label": "France"}\n'
FILES = {
    "data/TREx/P17.jsonl": FACT * 50,
    "data/TREx/P19.jsonl": FACT,
    "data/relations.jsonl": b'{"relation": "P17", "template": "[X] is in [Y] ."}\n',
    "data/ConceptNet/test.jsonl": b'{"sub": "a", "obj_label": "b"}\n',
}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "PAUSE", 0.0)
    with serving() as running:
        running.content = a_zip(tmp_path / "made.zip", FILES).read_bytes()
        yield running


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_fetch_check_and_fetch_again(ptx, server: Server, tmp_path: Path) -> None:
    server.cuts = [100, 50]
    first = ptx("data", "fetch", "lama", "--from", server.url, "--json")
    assert first.code == 0, first.err
    found = digest(server.content)
    (row,) = first.lines
    assert row == {"suite": "lama/TREx", "tasks": 2, "sha256": found, "bytes": len(server.content), "reused": False}
    assert "its publisher names no checksum" in first.err.replace("\n", " ")
    assert json.loads((tmp_path / "lama.lock.json").read_text())["sha256"] == found
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lama", "lama.lock.json", "made.zip"]
    rows = ptx("data", "check", "lama/TREx", "--json").lines
    assert [row["template"] for row in rows if row["task"] == "P17"] == ["[X] is in [Y] ."] * 3
    server.asked.clear()
    again = ptx("data", "fetch", "lama", "--from", server.url, "--json")
    assert again.lines[0]["reused"]
    assert server.asked == []
    forced = ptx("data", "fetch", "lama", "--from", server.url, "--force")
    assert forced.code == 0, forced.err
    assert "no checksum" not in forced.err
    assert "lama/TREx" in forced.out


def test_a_later_download_must_match_the_first(ptx, server: Server, tmp_path: Path) -> None:
    assert ptx("data", "fetch", "lama", "--from", server.url, "-q").code == 0
    old = digest(server.content)
    server.content = a_zip(tmp_path / "made.zip", FILES | {"data/more": b""}).read_bytes()
    server.tag = '"two"'
    result = ptx("data", "fetch", "lama", "--from", server.url, "--force")
    assert result.code == 1
    assert f"not that of the one fetched before ({tmp_path}/lama.lock.json), {old}" in result.err.replace("\n", " ")
    assert not (tmp_path / "lama" / "more").exists()
    assert not list(tmp_path.glob("*.download*"))
    trusted = ptx("data", "fetch", "lama", "--from", server.url, "--force", "--sha256", digest(server.content).upper())
    assert trusted.code == 0, trusted.err
    assert (tmp_path / "lama" / "more").exists()


def test_a_digest_of_the_users_own(ptx, server: Server, tmp_path: Path) -> None:
    result = ptx("data", "fetch", "lama", "--from", server.url, "--sha256", "0" * 64)
    assert result.code == 1
    assert "not that of --sha256, 0000" in result.err.replace("\n", " ")
    assert not (tmp_path / "lama").exists()
    assert "is no SHA-256 digest" in ptx("data", "fetch", "lama", "--sha256", "abc").err
    good = ptx("data", "fetch", "lama", "--from", server.url, "--sha256", digest(server.content))
    assert good.code == 0
    assert "no checksum" not in good.err


def test_a_file_of_the_users(ptx, tmp_path: Path) -> None:
    suite = write_suite(tmp_path / "autoprompt_data")
    with tarfile.open(tmp_path / "mine.tar.gz", "w:gz") as packed:
        packed.add(suite, "data/autoprompt_data")
    result = ptx("data", "fetch", "optiprompt", "--from", "mine.tar.gz", "--output", "deep/er")
    assert result.code == 0, result.err
    assert "deep/er/autoprompt_data" in result.out
    assert (tmp_path / "mine.tar.gz").is_file()
    assert (tmp_path / "deep" / "er" / "autoprompt_data" / "R1" / "train.jsonl").is_file()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>moved</html>", "cannot be unpacked"),
        (b"", "cannot be unpacked"),
        ("truncated", "cannot be unpacked"),
        ("outside", "holds the name '../x'"),
    ],
)
def test_what_cannot_be_unpacked_leaves_nothing(ptx, server: Server, tmp_path: Path, content, message) -> None:
    if content == "truncated":
        content = server.content[:-40]
    if content == "outside":
        content = a_zip(tmp_path / "made.zip", {"../x": b""}).read_bytes()
    (tmp_path / "made.zip").unlink()
    (tmp_path / "mine").write_bytes(content)
    for source in ("mine", server.url):
        server.content = content or b" "
        result = ptx("data", "fetch", "lama", "--from", source)
        assert result.code == 1
        assert message in result.err.replace("\n", " ")
        assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_refusals(ptx, server: Server, tmp_path: Path) -> None:
    (tmp_path / "lama").mkdir()
    assert "ptx did not fetch it" in ptx("data", "fetch", "lama", "--from", server.url, "--force").err
    assert (tmp_path / "lama").is_dir()
    assert "nothing is known of data called 'lmaa'" in ptx("data", "fetch", "lmaa").err
    assert "no file nowhere.zip" in ptx("data", "fetch", "lama", "--output", "x", "--from", "nowhere.zip").err
    server.codes = [404]
    assert "404" in ptx("data", "fetch", "lama", "--output", "x", "--from", server.url).err
    planned = ptx("data", "fetch", "lama", "--output", "x", "--dry-run", "--json")
    assert planned.lines == [{"folder": "x", "from": "https://dl.fbaipublicfiles.com/LAMA/data.zip"}]
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("how", ["added", "changed", "linked", "unknown"])
def test_force_removes_nothing_of_the_users(ptx, server: Server, tmp_path: Path, how: str) -> None:
    command = ["data", "fetch", "lama", "--from", server.url, "--force"]
    assert ptx(*command).code == 0
    folder, record = tmp_path / "lama", tmp_path / "lama.lock.json"
    mine = folder / ("TREx/P17.jsonl" if how in ("changed", "unknown") else "my notes.txt")
    if how == "linked":
        mine.symlink_to(tmp_path)
    elif how != "unknown":
        mine.write_text("mine")
    else:  # fetched by an earlier version, which kept no list
        record.write_text(json.dumps({n: v for n, v in json.loads(record.read_text()).items() if n != "files"}))
    before = [] if how == "linked" else mine.read_bytes()
    done = ptx(*command)
    assert done.code == 1
    assert f"{folder} holds what ptx did not fetch, or what was changed since: " in done.err.replace("\n", " ")
    assert "move or remove it" in done.err
    assert before == ([] if how == "linked" else mine.read_bytes())
    if how == "added":
        mine.unlink()
        assert ptx(*command).code == 0


@pytest.mark.parametrize("name", ["lama.lock.json", "lama.download", "lama.download.part"])
def test_files_of_the_users_beside_the_folder(ptx, server: Server, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    done = ptx("data", "fetch", "lama", "--from", server.url)
    assert (tmp_path / name).read_text() == "mine"
    assert done.code == (1 if name.endswith("json") else 0)
