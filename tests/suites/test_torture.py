"""Generated files for every reader: the answer is right, or an error with a hint. Never a traceback, never a hang.

A few hundred inputs a reader; 10,000 with `pytest -n 0 --hypothesis-profile=torture tests/suites/test_torture.py`.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ptx.errors import PtxError
from ptx.suites import SPLITS, Suite, read_suite
from ptx.suites import lines as module
from ptx.suites.check import examine
from ptx.suites.lines import words_of
from ptx.suites.reading import read_rows
from ptx.suites.task import check_task_name

FULL = settings().max_examples >= 10_000
torture = settings(
    max_examples=settings().max_examples if FULL else 200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)

anything = st.text(st.characters(), max_size=12)  # with halves of pairs and control characters
plain = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
odd = st.sampled_from(
    ["", " ", "[MASK]", "[X]", "../x", "/", "..", "\u05e9\u05dc", "e\u0301", "\ufeff", "\0", "\ud800", "\x1b[2J",
     "x" * 300, "a,b", 'a"b', "a\nb", "a\tb", "a\rb", "\u2028", "train", "dev", "test"]
)  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | anything | odd,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(anything, inner, max_size=3),
    max_leaves=5,
)
columns = st.sampled_from(["sub_label", "obj_label", "task", "split", "template", "relation", "label", "text", "kind"])
records = st.dictionaries(columns | anything, anything | odd | values, max_size=5) | st.fixed_dictionaries(
    {"sub_label": plain | odd, "obj_label": plain | odd},
    optional={"task": plain | odd, "split": st.sampled_from(SPLITS)},
)
deep = st.sampled_from(["[" * 50_000, '{"a":' * 50_000, "-" * 10, "9" * 5000, "NaN", "1e999", "null", '"', "{}", "[]"])
json_lines = (records | values).map(json.dumps) | deep | plain
FIELDS = ["sub_label", "obj_label", "split"]
facts = st.fixed_dictionaries({"sub_label": plain, "obj_label": plain, "split": st.sampled_from(SPLITS)})


@st.composite
def files(draw: Callable[[Any], Any], line: Any) -> bytes:
    """Lines with some line end, a mark perhaps, and perhaps a few bytes overwritten or the end cut off."""
    end = draw(st.sampled_from(["\n", "\r\n", "\n\n", "\r"]))
    text = end.join(draw(st.lists(line, max_size=6))) + draw(st.sampled_from(["", end]))
    raw = draw(st.sampled_from([b"", b"", b"\xef\xbb\xbf"])) + text.encode(
        draw(st.sampled_from(["utf-8"] * 5 + ["utf-16", "utf-16-le", "latin-1"])), "replace"
    )
    if raw and draw(st.integers(0, 3)) == 0:
        place = draw(st.integers(0, len(raw) - 1))
        raw = raw[:place] + draw(st.binary(max_size=4)) + raw[place + draw(st.integers(0, 3)) :]
    return raw


def delimited(names: list[str], delimiter: str) -> Any:
    """A header, perhaps not the right one, and lines of fields, perhaps of the wrong number."""
    field = plain | odd | st.sampled_from(["0", "1", "good", "bad"])
    rows = st.lists(st.lists(field, min_size=1, max_size=len(names) + 1), max_size=5)
    header = st.permutations(names) | st.lists(st.sampled_from(names) | plain, max_size=4)

    def written(parts: tuple[list[str], list[list[str]]]) -> bytes:
        text = io.StringIO()
        for row in [parts[0], *parts[1]]:
            if delimiter == "\t":
                text.write("\t".join(row) + "\n")
            else:
                csv.writer(text, lineterminator="\n").writerow(row)
        return text.getvalue().encode("utf-8", "replace")

    return st.tuples(header, rows).map(written)


def check(error: PtxError) -> None:
    assert error.message
    assert error.hint


def read(name: Path) -> Suite | None:
    """The suite, sound in every respect, or None after an error with a hint. Collecting problems never fails worse."""
    problems: list[PtxError] = []
    try:
        suite = read_suite(str(name))
    except PtxError as error:
        suite = None
        check(error)
    try:
        gathered = read_suite(str(name), problems.append)
    except PtxError:
        assert suite is None
    else:
        assert bool(problems) == (suite is None)
        list(examine(gathered, {"a"}))
    for task in suite.tasks if suite else ():
        check_task_name(task.name, "")
        assert len(task.digest(*SPLITS)) == 64
        for fact in (fact for facts in task.splits.values() for fact in facts):
            assert fact.subject.strip() == fact.subject != ""
            assert fact.object.strip() == fact.object != ""
            file, _, line = fact.where.rpartition(":")
            assert 1 <= int(line) <= Path(file).read_bytes().count(b"\n") + 1
    return suite


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("torture")


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@torture
@given(content=files(json_lines) | st.binary(max_size=200))
def test_facts_as_json_lines(place: Path, content: bytes) -> None:
    read(put(place / "facts" / "a.jsonl", content))


@torture
@given(
    content=delimited(["sub_label", "obj_label", "task", "split"], ",") | files(plain | odd) | st.binary(max_size=200)
)
def test_facts_as_csv(place: Path, content: bytes) -> None:
    read(put(place / "csv" / "a.csv", content))


@torture
@given(
    content=delimited(["sub_label", "obj_label", "task", "split"], "\t") | files(plain | odd) | st.binary(max_size=200)
)
def test_facts_as_tsv(place: Path, content: bytes) -> None:
    read(put(place / "tsv" / "a.tsv", content))


@torture
@given(
    lines=st.lists(facts, min_size=1, max_size=8), form=st.sampled_from(["jsonl", "csv"]), mark=st.booleans(),
    end=st.sampled_from(["\n", "\r\n"]), ascii=st.booleans(),
)  # fmt: skip
def test_good_facts_are_read_as_they_were_written(place: Path, lines: list[dict], form: str, mark, end, ascii) -> None:
    """The reference is the list that the file is made from."""
    good = [line for line in lines if line["sub_label"].strip() and line["obj_label"].strip()]
    text = io.StringIO(newline="")
    if form == "csv":
        writer = csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL)
        writer.writerows([FIELDS, *([line[name] for name in FIELDS] for line in good)])
    else:
        text.write("".join(json.dumps(line, ensure_ascii=ascii) + end for line in good))
    content = text.getvalue().encode("utf-8-sig" if mark else "utf-8")
    suite = read(put(place / "good" / f"a.{form}", content))
    assert (suite is None) == (not good)
    if suite is None:
        return
    for split in SPLITS:
        expected = [(line["sub_label"].strip(), line["obj_label"].strip()) for line in good if line["split"] == split]
        found = [(fact.subject, fact.object) for task in suite.tasks for fact in task.splits[split]]
        assert found == list(dict.fromkeys(expected))


@torture
@given(parts=st.fixed_dictionaries({split: files(json_lines) for split in SPLITS}), relations=files(json_lines))
def test_a_folder_of_facts(place: Path, parts: dict[str, bytes], relations: bytes) -> None:
    folder = place / "folder"
    for split, content in parts.items():
        put(folder / "P1" / f"{split}.jsonl", content)
    put(folder / "relations.jsonl", relations)
    read(folder)


@torture
@given(content=files(json_lines), relations=files(json_lines), split=st.booleans())
def test_lamas_files(place: Path, content: bytes, relations: bytes, split: bool) -> None:
    put(place / "lama" / "TREx" / "P1.jsonl", content)
    put(place / "lama" / "relations.jsonl", relations)
    path = place / "lama" / "TREx"
    read(Path(f"split:{path}") if split else path)


MOODS = """name = "moods"
text = "text"
label = "kind"
words = { good = "France", bad = "Japan" }
template = "[X] was [Y] ."
files = { train = "train.FORM" }
"""
LABELLED = st.fixed_dictionaries({"text": plain | odd, "kind": st.sampled_from(["good", "bad", 0, None, "x"]) | values})


@pytest.mark.parametrize("form", ["tsv", "csv", "jsonl"])
@torture
@given(data=st.data())
def test_texts_with_labels(place: Path, form: str, data: st.DataObject) -> None:
    lines = files(LABELLED.map(json.dumps) | json_lines)
    content = lines if form == "jsonl" else delimited(["text", "kind"], "\t" if form == "tsv" else ",")
    put(place / form / "suite.toml", MOODS.replace("FORM", form).encode())
    put(place / form / f"train.{form}", data.draw(content | st.binary(max_size=100)))
    read(place / form)


KEYS = st.sampled_from(
    ["name", "title", "template", "text", "label", "words", "names", "first", "files", "columns", "dev_share", "limit",
     "folder", "zzz"]
)  # fmt: skip
TOML = st.recursive(
    st.booleans() | st.integers() | st.floats() | plain | odd.filter(lambda text: text.isprintable()) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain | st.sampled_from(SPLITS), inner, max_size=3),
    max_leaves=5,
)


def toml(value: Any) -> str:
    """A value in TOML's spelling."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value) if isinstance(value, str | bool) else str(value)


@torture
@given(
    changes=st.dictionaries(KEYS, TOML, max_size=3), missing=KEYS,
    raw=st.none() | files(plain | st.sampled_from(["x = " + "[" * 5000, "x = " + "9" * 5000, "x = 1979-05-27", "[x]"])),
)  # fmt: skip
def test_descriptions(place: Path, changes: dict[str, Any], missing: str, raw: bytes | None) -> None:
    base = {
        "name": "moods", "text": "text", "label": "kind", "words": {"good": "France", "bad": "Japan"},
        "template": "[X] was [Y] .", "files": {"train": "train.jsonl"},
    }  # fmt: skip
    base.pop(missing, None)
    content = "".join(f"{key} = {toml(value)}\n" for key, value in (base | changes).items()).encode()
    put(place / "toml" / "train.jsonl", b'{"text": "fine", "kind": "good"}\n{"text": "poor", "kind": "bad"}\n')
    read(put(place / "toml" / "suite.toml", content if raw is None else raw))


@torture
@given(content=files(json_lines))
def test_relations(place: Path, content: bytes) -> None:
    put(place / "relations" / "P1" / "train.jsonl", b'{"sub_label": "a", "obj_label": "b"}\n')
    put(place / "relations" / "relations.jsonl", content)
    suite = read(place / "relations")
    assert suite is None or all(isinstance(task.template, str | None) for task in suite.tasks)


@torture
@given(words=st.lists(plain, max_size=6), raw=st.none() | files(plain | odd) | st.binary(max_size=100))
def test_word_files(place: Path, words: list[str], raw: bytes | None) -> None:
    path = put(place / "words.txt", "\n".join(words).encode() if raw is None else raw)
    expected = [word for line in "\n".join(words).removeprefix("\ufeff").split("\n") for word in line.split()]
    try:
        found = words_of(path)
    except PtxError as error:
        check(error)
        assert raw is not None or not expected
    else:
        assert found
        assert raw is not None or found == expected
        assert not [word for word in found if any(c.isspace() for c in word)]


@torture
@given(
    lines=st.lists(facts, min_size=1, max_size=6), packed=st.booleans(), encoding=st.sampled_from(["utf-8", "utf-16"]),
    form=st.sampled_from(["jsonl", "json", "array", "pretty", "query", "comma", "semicolon", "tab", "sep"]),
)  # fmt: skip
def test_the_same_facts_in_any_form_are_the_same_task(
    place: Path, lines: list[dict], packed: bool, encoding: str, form: str
) -> None:
    """The reference is the list that the file is made from; JSON lines are read as ever."""
    good = [line for line in lines if line["sub_label"].strip() and line["obj_label"].strip()]
    good += [{"sub_label": "x", "obj_label": 'a "b"', "split": "test"}]
    plain_lines = put(place / "same" / "a.jsonl", "".join(json.dumps(line) + "\n" for line in good).encode())
    text = io.StringIO(newline="")
    if form in ("comma", "semicolon", "tab", "sep"):
        name, sign = {
            "comma": ("a.CSV", ","),
            "semicolon": ("a.csv", ";"),
            "tab": ("a.txt", "\t"),
            "sep": ("a.csv", "|"),
        }[form]
        text.write("sep=|\n" if form == "sep" else "")
        writer = csv.writer(text, delimiter=sign, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerows([[each.upper() for each in FIELDS], *([line[each] for each in FIELDS] for line in good)])
    else:
        bindings = [{each: {"type": "literal", "value": line[each]} for each in FIELDS} for line in good]
        name = "a.jsonl" if form in ("jsonl", "array") else "a.json"
        text.write(
            {
                "array": json.dumps(good),
                "pretty": json.dumps(good, indent=1),
                "query": json.dumps({"head": {"vars": FIELDS}, "results": {"bindings": bindings}}),
            }.get(form, "".join(json.dumps(line) + "\n" for line in good))
        )
    raw = text.getvalue().encode(encoding)
    path = put(place / "any" / (name + ".gz" * packed), gzip.compress(raw) if packed else raw)
    (expected,), (found,) = read_suite(str(plain_lines)).tasks, read_suite(str(path)).tasks
    assert [found.digest(split) for split in SPLITS] == [expected.digest(split) for split in SPLITS]
    assert found.name == "a"


@torture
@given(content=st.binary(max_size=100) | files(json_lines), cut=st.integers(0, 200), change=st.binary(max_size=3))
def test_packed_files_that_are_damaged(place: Path, content: bytes, cut: int, change: bytes) -> None:
    packed = gzip.compress(content)
    put(place / "packed" / "a.jsonl.gz", packed[:cut] + change + packed[cut + len(change) :])
    try:
        read_suite(str(place / "packed" / "a.jsonl.gz"))
    except PtxError as error:
        check(error)


NAMES = st.sampled_from(
    ["train.jsonl", "dev.csv", "valid.tsv", "test.json", "P1.jsonl", "P2.CSV", "P3.txt.gz", "P4.json", "README.md",
     "relations.jsonl", "templates.jsonl", "x.parquet", "notes.txt", "._P1.jsonl"]
)  # fmt: skip
FOLDERS = st.sampled_from(["", "P5", "P6", "TREx/P7", "TREx", "__MACOSX"])


@torture
@given(
    parts=st.dictionaries(st.tuples(FOLDERS, NAMES), files(json_lines) | st.just(b"a,b\n"), max_size=5),
    links=st.dictionaries(FOLDERS, st.sampled_from(["..", ".", "../..", "P5", "nowhere", "/"]), max_size=2),
)  # fmt: skip
def test_no_file_of_a_folder_is_passed_over(
    place: Path, parts: dict[tuple[str, str], bytes], links: dict[str, str]
) -> None:
    """Each is read, and bad lines of it named, or named as left out, whatever there is to be linked."""
    folder = place / "every" / "s"
    shutil.rmtree(place / "every", ignore_errors=True)
    for (under, name), content in parts.items():
        put(folder / under / name, content)
    for under, target in links.items():
        (folder / under).mkdir(parents=True, exist_ok=True)
        (folder / under / "link").symlink_to(target)
    read_paths: set[str] = set()
    lines_of = module.text_lines

    def watched(path: Path, bad: Any = module.refuse) -> Any:
        read_paths.add(str(path))
        return lines_of(path, bad)

    with pytest.MonkeyPatch.context() as patch:
        for reader in ("tables", "documents", "reading"):
            patch.setattr(f"ptx.suites.{reader}.text_lines", watched)
        try:
            said = {remark.where for remark in read_suite(str(folder), lambda error: None).remarks}
        except PtxError as error:
            check(error)
            return
    for under, name in parts:
        if not name.startswith(".") and under != "__MACOSX":
            path = str(folder / under / name)
            assert path in read_paths or any(path.startswith(where) for where in said), path


@torture
@given(content=files(json_lines), name=st.sampled_from(["a.jsonl", "a.csv", "a.tsv"]))
def test_rows(place: Path, content: bytes, name: str) -> None:
    """What is no row of facts is named with its line; every row keeps its place, those of an array too."""
    seen: list[Any] = []
    rows = list(read_rows(put(place / name, content), ["sub_label"], columns=["text", "sub_label"], bad=seen.append))
    assert all(row.values["sub_label"] is not None for row in rows)
    numbers = [int(row.where.rpartition(":")[2]) for row in rows]
    assert numbers == sorted(set(numbers))
    assert all(str(getattr(each, "message", None) or each.where).startswith(str(place / name)) for each in seen)
