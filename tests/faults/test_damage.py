"""Every way an entry can be damaged is found by the next reader and by `ptx cache verify`, with one warning."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import one_file

from ptx.cache import Store
from ptx.cache.housekeeping import check, listing


@pytest.fixture(scope="module")
def grid(server, recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the cache of a complete grid."""
    folder = tmp_path_factory.mktemp("grid")
    assert server.run(folder, "run", recipe, "--jobs", 1).code == 0
    return folder


def flip(file: Path, draw: random.Random) -> None:
    content = bytearray(file.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    file.write_bytes(content)


def truncate(file: Path, draw: random.Random) -> None:
    os.truncate(file, draw.randrange(1, file.stat().st_size))


def empty(file: Path, draw: random.Random) -> None:
    os.truncate(file, 0)


def remove(file: Path, draw: random.Random) -> None:
    file.unlink()


def edit(file: Path, draw: random.Random) -> None:
    """Another value in meta.json, as a person would write it."""
    path = file.parent / "meta.json"
    meta = json.loads(path.read_text("utf-8"))
    place = draw.choice([meta, meta["metrics"] or meta, meta["labels"] or meta])
    name = draw.choice(sorted(place))
    values: list[Any] = [0.5, "other", None, [], float("nan")]
    place[name] = draw.choice([v for v in values if v != place[name]])
    path.write_text(json.dumps(meta), "utf-8")


def append(file: Path, draw: random.Random) -> None:
    with file.open("ab") as opened:
        opened.write(draw.choice([b"\0", b"\n}", b"more"]))


def add(file: Path, draw: random.Random) -> None:
    (file.parent / draw.choice(["more.txt", ".hidden", "meta.json~"])).write_text("")


def link(file: Path, draw: random.Random) -> None:
    elsewhere = file.parents[3] / f"{file.parent.name}.{file.name}"
    shutil.copy(file, elsewhere)
    file.unlink()
    file.symlink_to(elsewhere)


def nest(file: Path, draw: random.Random) -> None:
    (file.parent / "folder").mkdir()


def pipe(file: Path, draw: random.Random) -> None:
    file.unlink()
    os.mkfifo(file)


def swap(file: Path, draw: random.Random) -> None:
    """A file in the place of the whole folder."""
    shutil.rmtree(file.parent)
    file.parent.write_bytes(b"")


COMMON = (flip, flip, flip, truncate, empty, remove, edit, append)
RARE = (add, link, nest, pipe, swap)


def test_no_fault_is_missed(grid, tmp_path, rounds, say) -> None:
    """Faults in one random entry each; readers and `verify` look at it as commands do."""
    began = time.monotonic()
    draw = random.Random(0)
    cache = tmp_path / "cache"
    shutil.copytree(grid / "cache", cache)
    entries = list(Store(cache).entries())
    whole = {entry: sorted(file.name for file in entry.iterdir()) for entry in entries}
    done: Counter[str] = Counter()
    for _ in range(rounds(1000, 150)):
        entry = draw.choice(entries)
        file = entry / draw.choice(whole[entry])
        fault = draw.choice(COMMON if draw.random() < 0.8 else RARE)
        fault(file, draw)
        what = f"{fault.__name__} {file}"
        warnings: list[str] = []
        store = Store(cache, warnings.append)
        assert len(listing(store)) == len(entries), what
        assert [row["path"] for row in check(store)[1]] == [str(entry)], what
        assert store.read(entry.parent.name, entry.name) is None, what
        assert store.read(entry.parent.name, entry.name) is None, what
        assert len(warnings) == 1, what
        assert "set aside" in warnings[0]
        assert not os.path.lexists(entry), what
        (aside,) = (cache / "damaged").iterdir()
        shutil.rmtree(aside) if aside.is_dir() else aside.unlink()
        shutil.copytree(grid / "cache" / entry.relative_to(cache), entry)
        done[fault.__name__] += 1
    assert check(Store(cache)) == (len(entries), [])
    kinds = ", ".join(f"{name} {count}" for name, count in sorted(done.items()))
    say(f"{sum(done.values())} faults injected, all found ({kinds}); {time.monotonic() - began:.0f} s")


def test_damaged_entries_are_rebuilt_with_one_warning(server, grid, recipe, tmp_path, rounds, say) -> None:
    """Several faults a run; what the grid needs is made again, bit for bit, and the table is the same."""
    draw = random.Random(1)
    table = server.run(grid, "run", recipe, "--jobs", 1).out
    (tmp_path / "run").mkdir()
    cache = tmp_path / "run" / "cache"
    shutil.copytree(grid / "cache", cache)
    entries = list(Store(cache).entries())
    rebuilt = 0
    for _ in range(rounds(40, 2)):
        hit = draw.sample(entries, 5)
        for entry in hit:
            draw.choice(COMMON)(draw.choice(sorted(entry.iterdir())), draw)
        verified = server.run(tmp_path / "run", "cache", "verify", "-q")
        assert verified.code == 1
        assert sorted(verified.out.split()) == sorted(str(entry) for entry in hit)
        before = {path.name for path in (cache / "damaged").glob("*")}
        ended = server.run(tmp_path / "run", "run", recipe, "--jobs", 1)
        assert ended.code == 0, ended.err
        assert ended.out == table
        assert ended.err.count("warning: damaged") == 5, ended.err
        assert len({path.name for path in (cache / "damaged").glob("*")} - before) == 5
        for entry in hit:  # evaluations and the table are wanted; the rest once something needs it
            if entry.parent.name in ("eval", "table"):
                assert payload(cache, entry) == payload(grid / "cache", entry)
                rebuilt += 1
            if not entry.exists():
                shutil.copytree(grid / "cache" / entry.relative_to(cache), entry)
        assert check(Store(cache)) == (len(entries), [])
    say(f"{rounds(40, 2) * 5} faults in {rounds(40, 2)} runs, {rebuilt} results rebuilt with the same payload")


def payload(cache: Path, entry: Path) -> str:
    found = Store(cache).read(entry.parent.name, entry.name)
    assert found is not None
    return found.payload


@pytest.mark.parametrize("stage", ["anchors", "tune", "encode", "search", "eval"])
def test_each_stage_is_rebuilt_when_it_is_asked_for(ptx, tiny, suite, tmp_path, stage) -> None:
    models = {"anchors": ["--models", f"{tiny['a']},{tiny['b']}"], "search": ["--sources", tiny["a"]]}
    models |= {"tune": ["--model", tiny["a"]], "encode": ["--model", tiny["a"]], "eval": ["--sources", tiny["a"]]}
    more = [] if stage == "anchors" else ["--suite", suite, "--epochs", "2"]
    more += ["--target", tiny["b"]] if stage in ("search", "eval") else []
    command = [stage, *models[stage], *more, "--json"]
    before = ptx(*command).lines
    for line in before:
        flip(next(path for path in Path(line["path"]).iterdir() if path.name != "meta.json"), random.Random(0))
    payloads = {line["key"]: json.loads((Path(line["path"]) / "meta.json").read_text())["payload"] for line in before}
    again = ptx(*command)
    assert again.code == 0
    assert again.err.count("warning: damaged") == len(before)
    assert not any(line["reused"] for line in again.lines)
    for line in again.lines:
        assert json.loads((Path(line["path"]) / "meta.json").read_text())["payload"] == payloads[line["key"]]


def test_an_entry_that_cannot_be_read_is_not_called_damaged(tmp_path, monkeypatch) -> None:
    """No permission, or too many open files, says nothing about the entry."""
    from ptx.cache import verify
    from ptx.errors import PtxError

    store = Store(tmp_path)
    meta = {"version": 1, "parents": []}
    entry = store.publish("tune", "k" * 32, meta, one_file("f", b"x")).path

    def refuse(path: str) -> str:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(verify, "file_digest", refuse)
    with pytest.raises(PtxError, match=r"cannot read the cache .*: Permission denied \(v1/tune/k+/f\)"):
        store.read("tune", "k" * 32)
    assert entry.is_dir()
    assert check(store)[1] == [{"path": str(entry), "problem": "it cannot be read: Permission denied"}]


def test_what_another_process_rebuilt_meanwhile_is_not_set_aside(tmp_path) -> None:
    """Two readers find the damage; the slower one must not move what the faster one has put there since."""
    warnings: list[str] = []
    store = Store(tmp_path, warnings.append)
    meta = {"version": 1, "parents": []}
    entry = store.publish("tune", "k" * 32, meta, one_file("f", b"x")).path
    store._set_aside(entry, "as it was a moment ago")
    assert store.read("tune", "k" * 32) is not None
    assert warnings == []
