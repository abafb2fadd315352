"""A suite that is read again in one process is the one that is there then."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import write_suite, write_topics

from ptx import files, suites
from ptx.errors import PtxError
from ptx.suites import Suite, load_suite


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "SETTLED", 0)  # so that what was written a moment ago is remembered
    return tmp_path


def fact(subject: str, obj: str = "Peru") -> str:
    return json.dumps({"sub_label": subject, "obj_label": obj}) + "\n"


def counts(name: str) -> list[int]:
    return [len(facts) for task in load_suite(name).tasks for facts in task.splits.values()]


def cut(path: Path) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))


def beside() -> None:
    rows = [json.dumps({"relation": name, "template": "[X] new [Y] ."}) + "\n" for name in ("R1", "one")]
    Path("relations.jsonl").write_text("".join(rows))


def retitled() -> None:
    rows = [json.loads(line) for line in Path("s/relations.jsonl").read_text().splitlines()]
    Path("s/relations.jsonl").write_text("".join(json.dumps({**row, "template": "[Y] [X]"}) + "\n" for row in rows))


def moved_dev() -> None:
    Path("s/R1/valid.jsonl").write_text(fact("new"))
    Path("s/R1/dev.jsonl").unlink()


def emptied() -> None:
    for path in Path("s/R2").iterdir():
        path.unlink()


def described() -> None:
    write_topics(Path("x"))
    for file in Path("x").iterdir():
        file.rename(Path("s", file.name))


# name of the suite; how it changes
CHANGES: dict[str, tuple[str, Callable[[], object]]] = {
    "a file is cut": ("s", lambda: cut(Path("s/R1/test.jsonl"))),
    "a file is new": ("s", moved_dev),
    "a task is new": ("s", lambda: Path("s/R9.jsonl").write_text(fact("new"))),
    "a task is gone": ("s", emptied),
    "templates change": ("s", retitled),
    "templates appear above": ("t", beside),
    "one file is cut": ("one.jsonl", lambda: cut(Path("one.jsonl"))),
    "templates appear beside": ("one.jsonl", beside),
    "texts are cut": ("topics", lambda: cut(Path("topics/test.jsonl"))),
    "a description changes": ("topics", lambda: Path("topics/suite.toml").write_text(
        Path("topics/suite.toml").read_text().replace("word1", "word2"))),
    "a folder becomes a description": ("s", described),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGES)
def test_a_suite_is_read_again_when_it_changes(case: str, here: Path) -> None:
    write_suite(here / "s")
    (here / "t").mkdir()
    for name in ("t/R1.jsonl", "one.jsonl"):
        Path(name).write_text("".join(map(fact, "abcdefgh")))
    write_topics(here / "my" / "topics")
    os.symlink("my/topics", "topics")
    name, act = CHANGES[case]
    name = f"./{name}" if name == "topics" else name
    before = load_suite(name)
    assert load_suite(name) is before  # remembered
    act()
    after = load_suite(name)
    assert after.tasks == suites.read_suite(name).tasks
    assert after.tasks != before.tasks
    assert load_suite(name) is after


def test_embedded_suites_are_read_once(here: Path) -> None:
    assert load_suite("facts") is load_suite("facts")


def test_what_was_written_a_moment_ago_is_not_remembered(tmp_path: Path) -> None:
    """Two writings of one moment can leave a file with one size and one time."""
    write_suite(tmp_path / "s")
    assert load_suite(str(tmp_path / "s")) is not load_suite(str(tmp_path / "s"))


def test_a_suite_that_changes_while_it_is_read(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_suite(here / "s")
    read = suites.read_suite

    def meanwhile(*asked: Any) -> Suite:
        found = read(*asked)
        cut(here / "s/R1/test.jsonl")
        return found

    monkeypatch.setattr(suites, "read_suite", meanwhile)
    with pytest.raises(PtxError, match=r"s/R1/test.jsonl changed while it was read"):
        load_suite("s")
    monkeypatch.undo()
    os.chdir(here)
    assert counts("s") == [24, 8, 3, 24, 8, 8]
