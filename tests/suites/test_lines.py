"""What files of the real world hold besides facts: marks, line ends, encodings, lengths, names."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ptx.errors import PtxError, shown
from ptx.suites import Fact, read_suite
from ptx.suites import lines as module
from ptx.suites.lines import LONGEST, text_lines, words_of
from ptx.suites.task import check_task_name

GOOD = '{"sub_label": "Rome", "obj_label": "Italy", "split": "train"}\n'


def error_of(path: Path, content: bytes | str) -> PtxError:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(PtxError) as raised:
        read_suite(str(path))
    assert raised.value.hint
    return raised.value


def facts_of(path: Path, content: bytes | str) -> list[Fact]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return [fact for task in read_suite(str(path)).tasks for facts in task.splits.values() for fact in facts]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.tsv"])
def test_marks_and_line_ends_are_accepted(tmp_path: Path, name: str, mark: bytes, end: str) -> None:
    content = {
        "a.jsonl": '{"sub_label": "Rome", "obj_label": "Italy"}\n\n{"sub_label": "Oslo", "obj_label": "Norway"}',
        "a.csv": "sub_label,obj_label\nRome,Italy\n\nOslo,Norway",
        "a.tsv": "sub_label\tobj_label\nRome\tItaly\n\nOslo\tNorway\n",
    }[name]
    found = facts_of(tmp_path / name, mark + content.replace("\n", end).encode())
    assert sorted(found, key=lambda f: f.object) == [Fact("Rome", "Italy"), Fact("Oslo", "Norway")]
    lines = {fact.subject: int(fact.where.rpartition(":")[2]) for fact in found}
    assert lines == ({"Rome": 1, "Oslo": 3} if name == "a.jsonl" else {"Rome": 2, "Oslo": 4})


def test_text_of_every_script(tmp_path: Path) -> None:
    names = [
        "שלום",
        "مرحبا بالعالم",
        "e\u0301tude",
        "👩\u200d🚀",
        "日本",
        "a\u2028b",
        "\u202eevil\u202c",
        "x\x85y",
        "[X] [MASK]",
    ]
    lines = "".join(json.dumps({"sub_label": name, "obj_label": "o"}, ensure_ascii=False) + "\n" for name in names)
    assert {fact.subject for fact in facts_of(tmp_path / "a.jsonl", lines)} == set(names)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (GOOD + '{"sub_label": null, "obj_label": "b"}\n', ":2: sub_label is null"),
        (GOOD + '{"sub_label": {"a": [1]}, "obj_label": "b"}\n', ':2: sub_label is {"a": [1]}, which is no text'),
        (GOOD + '{"sub_label": true, "obj_label": "b"}\n', ":2: sub_label is true, which is no text"),
        (GOOD + '{"sub_label": NaN, "obj_label": "b"}\n', ":2: sub_label is NaN, which is no text"),
        (GOOD + '{"sub_label": " ", "obj_label": "b"}\n', ":2: sub_label is empty"),
        (GOOD + '{"sub_label": "a", "obj_label": ""}\n', ":2: obj_label is empty"),
        (GOOD + '{"sub_label": "a\\u0000", "obj_label": "b"}\n', ":2: sub_label holds a NUL character"),
        (GOOD + '{"sub_label": "\\ud83d", "obj_label": "b"}\n', ":2: sub_label holds half of a character"),
        (GOOD + '{"sub_label": "a", "obj_label": "b", "task": ["x"]}\n', ':2: task is ["x"], which is no text'),
        (GOOD + '{"sub_label": "a", "obj_label": "b", "split": {}}\n', ":2: split is {}, which is no text"),
        (GOOD + '{"sub_label": "a", "obj_label": "b", "template": 5}\n', ":2: template is 5, which is no text"),
        (GOOD + '{"sub_label": "a", "obj_label": "b", "task": "../up"}\n', ":2: the task name '../up'"),
        (GOOD + '{"sub_label": "a", "obj_label": "b", "task": "a\\u001b[2J"}\n', ":2: the task name 'a\\x1b[2J'"),
        (GOOD + "[" * 100_000 + "\n", ":2: JSON nested too deeply"),
        (GOOD + '{"a":' * 100_000 + "1" + "}" * 100_000, ":2: JSON nested too deeply"),
        (GOOD + '{"sub_label": ' + "1" * 5000 + "}\n", ":2: not JSON (Exceeds the limit (4300 digits)"),
        (GOOD + '{"sub_label": "a\0", "obj_label": "b"}\n', ":2: a NUL byte"),
        (GOOD.encode("utf-16") + b"\0", ":2: not UTF-16"),
        (GOOD.encode("utf-16-le"), ":1: a NUL byte, as UTF-16 has them"),
        (GOOD.encode() + "Zürich".encode("latin-1"), ":2: not UTF-8"),
        ("", ": no facts"),
        ("\n  \n\r\n", ": no facts"),
        ("\ufeff", ": no facts"),
    ],
)  # fmt: skip
def test_a_bad_line_is_named_with_its_field(tmp_path: Path, content: bytes | str, message: str) -> None:
    error = error_of(tmp_path / "a.jsonl", content)
    assert error.message.startswith(f"{tmp_path}/a.jsonl{message}")
    assert len(error.message) < 400 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ": no facts"),
        ("sub_label,obj_label\n", ": no facts"),
        ("sub_label,sub_label,obj_label\na,b,c\n", ":1: 2 columns 'sub_label'"),
        ('sub_label,obj_label\na,b\n"' + "x" * 200_000 + '",c\n', ":3: field larger than field limit (131072); is a"),
        ('sub_label,obj_label\na,b\n"x\n' + "line,line\n" * 30_000, ":3: field larger than field limit"),
        ("sub_label,obj_label\ra,b\rc,d", ":1: new-line character seen in unquoted field"),
    ],
)
def test_a_bad_line_of_a_spreadsheet(tmp_path: Path, content: str, message: str) -> None:
    assert error_of(tmp_path / "a.csv", content).message.startswith(f"{tmp_path}/a.csv{message}")


def test_an_endless_line_is_refused_without_being_read_whole(tmp_path: Path) -> None:
    """100 MB without a line end: a sparse file, and hardly more memory than one piece of it."""
    import tracemalloc

    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.write(GOOD.encode() + b'{"sub_label": "')
        file.truncate(100 * 2**20)
    tracemalloc.start()
    with pytest.raises(PtxError, match=r"a\.jsonl:2: a line of more than 16 MB"):
        read_suite(str(path))
    assert tracemalloc.get_traced_memory()[1] < 4 * LONGEST
    tracemalloc.stop()


def test_collecting_problems_goes_on_behind_a_long_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST", 100)
    (tmp_path / "a").write_text("one\n" + "x" * 350 + "\nthree\n" + "y" * 101)
    problems: list[Any] = []
    assert [line.strip() for line in text_lines(tmp_path / "a", problems.append)] == ["one", "", "three", ""]
    assert [error.message.partition("a:")[2].partition(":")[0] for error in problems] == ["2", "4"]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's list of open files")
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", GOOD + "[]\n" + GOOD),
        ("a.jsonl", '{"sub_label": "a"}\n' + GOOD),
        ("a.jsonl", '{"sub_label": 5, "obj_label": "b"}\n' + GOOD),
        ("a.csv", "sub_label\na\nb\n"),
        ("a.csv", "sub_label,obj_label\na,b,c\nd,e\n"),
        ("a.csv", 'sub_label,obj_label\n"a"x,b\nd,e\n'),
        ("a.tsv", "sub_label\tobj_label\n\tb\nc\td\n"),
    ],
)
def test_an_error_keeps_no_file_open(tmp_path: Path, name: str, content: str) -> None:
    error = error_of(tmp_path / name, content)
    assert error.__traceback__ is not None  # and with it every frame
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    assert str(tmp_path / name) not in [os.readlink(link) for link in links if os.path.lexists(link)]


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    for name in (str(tmp_path / "pipe.jsonl"), "/dev/zero"):
        with pytest.raises(PtxError, match="is no regular file"):
            read_suite(name)
    for name in ("x" * 5000, "a\0b", "a\nb", "\udcff"):
        with pytest.raises(PtxError):
            read_suite(name)


def test_a_file_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(GOOD)

    def denied(*args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(PtxError, match=r"cannot read .*: Permission denied"):
        read_suite(str(path))


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/etc", "a\\b", "a\nb", "a\x7f", "\ud800", "a\u2028", "x" * 201]
)
def test_task_names_that_could_leave_their_folder(name: str) -> None:
    with pytest.raises(PtxError, match="here: the task name"):
        check_task_name(name, "here")


def test_word_files(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes(b"\xef\xbb\xbf  Rome\r\n\r\n  Oslo \n\xe6\x97\xa5")
    assert words_of(path) == ["Rome", "Oslo", "日"]
    for content, message in ((b"Rome\n\xff\n", r"words\.txt:2: not UTF-8"), (b"\n", "no words"), (b"a\0", "NUL byte")):
        path.write_bytes(content)
        with pytest.raises(PtxError, match=message):
            words_of(path)


def test_a_bad_word_file_is_an_error_of_the_command(ptx, tiny, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_bytes(b"France\n\xff\n")
    result = ptx("encode", "--model", tiny["a"], "--anchors", "words.txt")
    assert result.code == 1
    assert "words.txt:2: not UTF-8" in result.err


def test_text_inside_messages_stays_on_its_line() -> None:
    assert shown("a\nb\x1b[2J\u202e") == "a\\nb\\x1b[2J\\u202e"
    assert shown("x" * 500) == "x" * 200 + "..."
