"""Whoever changes a file while it is in use gets a refusal, or results under the keys of what they are of: never two
results of one key, whichever file it is and at whatever moment."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import COUNTRIES, SUBJECTS, make_model, write_suite

from ptx.errors import PtxError
from ptx.lms.models import resolve

MANUAL = ("eval", "--target", "work/m", "--method", "manual", "--suite", "work/suite", "--anchors", "work/words.txt")
TUNED = ("eval", "--target", "work/m", "--suite", "work/suite", "--epochs", "1", "--prompt-length", "2")
MOVED = (
    "search", "--sources", "work/s", "--target", "work/m", "--method", "auto", "--candidates", "direct,text",
    "--suite", "work/suite", "--epochs", "1", "--prompt-length", "2", "--texts", "work/texts.txt",
    "--inputs", "work/inputs.txt", "--init", "random",
)  # fmt: skip
COMMANDS = (MANUAL, MANUAL, MANUAL, TUNED, MOVED)


def write(root: Path, *, other: bool) -> None:
    """All that is read; with `other`, of the same names and kinds, and mostly of the same sizes."""
    make_model(root / "m", seed=2 if other else 1)
    make_model(root / "s", seed=4 if other else 3)
    write_suite(root / "suite", ["R1"], COUNTRIES[::-1] if other else COUNTRIES)
    shown = COUNTRIES[1:] if other else COUNTRIES[:-1]
    (root / "words.txt").write_text("\n".join([*shown, "word1", "word2"]))
    (root / "texts.txt").write_text("word3 word4\n" if other else "word5 word6\n")
    (root / "inputs.txt").write_text("\n".join(SUBJECTS[20:30] if other else SUBJECTS[:10]))
    if other:
        for model in (root / "m", root / "s"):
            for file, name, value in (("config", "hidden_act", "relu"), ("tokenizer_config", "do_lower_case", True)):
                content = json.loads((model / f"{file}.json").read_text())
                (model / f"{file}.json").write_text(json.dumps({**content, name: value}, indent=2))


class Moments:
    """What is done when Python opens, lists or renames something of ours for the nth time; and how often it did."""

    def __init__(self) -> None:
        self.count, self.what = 0, dict[int, Callable[[], None]]()
        self.active = False
        sys.addaudithook(self.seen)

    def seen(self, event: str, args: Any) -> None:
        if self.active and event in ("open", "os.listdir", "os.scandir", "os.rename") and self.ours(args[0]):
            self.count += 1
            if act := self.what.pop(self.count, None):
                self.active = False  # what it opens itself is no moment
                act()
                self.active = True

    def ours(self, path: Any) -> bool:
        return isinstance(path, str | Path) and bool({"work", "cache"} & {*Path(path).parts})

    def run(self, command: Callable[[], Any], what: dict[int, Callable[[], None]]) -> Any:
        self.count, self.what, self.active = 0, what, True
        try:
            return command()
        finally:
            self.active = False


@pytest.fixture(scope="module")
def moments() -> Moments:
    return Moments()


def replace(file: Path, content: bytes, draw: random.Random) -> None:
    (file.parent / ".new").write_bytes(content)
    os.replace(file.parent / ".new", file)


def overwrite(file: Path, content: bytes, draw: random.Random) -> None:
    with file.open("r+b") as stream:
        stream.write(content)
        stream.truncate()


def overwrite_and_date_back(file: Path, content: bytes, draw: random.Random) -> None:
    before = file.stat()
    overwrite(file, content, draw)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def cut(file: Path, content: bytes, draw: random.Random) -> None:
    os.truncate(file, draw.randrange(file.stat().st_size))


def remove(file: Path, content: bytes, draw: random.Random) -> None:
    file.unlink()


WAYS = (replace, replace, overwrite, overwrite, overwrite_and_date_back, cut, remove)


def made(cache: Path) -> dict[str, Any]:
    """The payloads' digests of all artifacts, by key."""
    metas = [json.loads(path.read_text()) for path in cache.glob("v1/*/*/meta.json")]
    return {meta["key"]: meta["payload"] for meta in metas}


def test_no_moment_is_a_bad_one(ptx, moments, tmp_path, rounds, say) -> None:
    began = time.monotonic()
    draw = random.Random(0)
    for name, other in (("first", False), ("second", True)):
        write(tmp_path / name, other=other)
    shutil.copytree("first", "work")
    files = [path.relative_to("work") for path in sorted(Path("work").rglob("*.*")) if path.is_file()]
    files = [file for file in files if Path("first", file).read_bytes() != Path("second", file).read_bytes()]
    assert len(files) == 14  # of each of two models four, the facts of three splits, and three lists

    def fresh(command: tuple[str, ...], what: dict[int, Callable[[], None]]) -> tuple[int, dict[str, Any], str]:
        shutil.rmtree("cache", ignore_errors=True)
        result = moments.run(lambda: ptx(*command), what)
        return result.code, made(Path("cache")), result.err

    right: dict[str, Any] = {}  # whatever the command

    def learn(command: tuple[str, ...], err: str = "") -> None:
        """What is right with the files as they are now."""
        _, found, _ = fresh(command, {})
        assert {key: right.get(key, payload) for key, payload in found.items()} == found, err
        right.update(found)

    lengths: dict[tuple[str, ...], int] = {}
    for command in dict.fromkeys(COMMANDS):
        learn(command)
        lengths[command] = moments.count
    known = set()
    done: Counter[str] = Counter()
    for number in range(rounds(500, 25)):
        command, file, way = draw.choice(COMMANDS), draw.choice(files), draw.choice(WAYS)
        at = draw.randrange(1, lengths[command] + 1)
        there, first, second = Path("work", file), Path("first", file).read_bytes(), Path("second", file).read_bytes()
        if (command, file) not in known:
            replace(there, second, draw)
            learn(command, f"the same key with another {file}")
            replace(there, first, draw)
            known.add((command, file))
        what: dict[int, Callable[[], None]] = {at: partial(way, there, second, draw)}
        if back := draw.random() < 0.5:
            what[at + draw.randrange(1, 12)] = partial(replace, there, first, draw)
        code, found, err = fresh(command, what)
        told = f"round {number}: {way.__name__} {file} at {at}{' and back' * back}; {command[0]}\n{err}"
        assert code in (0, 1), told
        assert "Traceback" not in err, told
        assert {key: right.get(key, payload) for key, payload in found.items()} == found, told
        replace(there, first, draw)
        done["refused" if code else "as if nothing had been"] += 1
    kinds = ", ".join(f"{name} {count}" for name, count in sorted(done.items()))
    say(f"{sum(done.values())} files changed under a running command ({kinds}); {time.monotonic() - began:.0f} s")


def test_a_file_that_goes_while_its_model_is_looked_at(moments, tmp_path: Path) -> None:
    """Whatever is read next: the model as it was, or a refusal."""
    make_model(tmp_path / "work" / "m", seed=1)
    name, files = str(tmp_path / "work" / "m"), sorted((tmp_path / "work" / "m").iterdir())
    moments.run(lambda: resolve(name), {})
    opened, refused = moments.count, 0
    for file in files:
        content = file.read_bytes()
        for at in range(1, opened + 1):
            replace(file, content, random.Random(0))  # another file, which is hashed again
            with contextlib.suppress(PtxError):
                moments.run(lambda: resolve(name), {at: partial(remove, file, b"", random.Random(0))})
            refused += not file.exists()
            replace(file, content, random.Random(0))
    assert refused > len(files)
