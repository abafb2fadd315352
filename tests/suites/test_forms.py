"""Tables and JSON as programs write them: separators, encodings, packed files, arrays, query results, Parquet."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ptx.errors import PtxError
from ptx.suites import SPLITS, Suite, read_suite
from ptx.suites.lines import LONGEST, Remark

FACTS = [("Rome", "Italy"), ("Köln", "Germany"), ('The "Big" Apple, NY', "America"), ("Oslo", "Norway")]
FIELDS = ["sub_label", "obj_label", "split"]
ROWS = [[*fact, "train"] for fact in FACTS]

CUT_SHORT = gzip.compress(b"x" * 100, mtime=0)[:-4]  # without the time, which would be in the test's name


def table(sign: str, *, header: list[str] = FIELDS, above: str = "") -> str:
    text = io.StringIO(newline="")
    text.write(above)
    csv.writer(text, delimiter=sign).writerows([header, *ROWS])
    return text.getvalue()


def objects() -> list[dict]:
    return [dict(zip(FIELDS, row, strict=True)) for row in ROWS]


def query(indent: int | None) -> str:
    bindings = [{name: {"type": "literal", "value": v} for name, v in each.items()} for each in objects()]
    return json.dumps({"head": {"vars": FIELDS}, "results": {"bindings": bindings}}, indent=indent)


def read(path: Path, content: str | bytes) -> Suite:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_suite(str(path))


def error_of(path: Path, content: str | bytes) -> PtxError:
    with pytest.raises(PtxError) as raised:
        read(path, content)
    assert raised.value.hint
    return raised.value


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("name", "content", "remarks"),
    [
        ("a.csv", lambda: table(","), []),
        ("a.CSV", lambda: table(","), []),
        ("a.csv", lambda: "\ufeff" + table(";"), ["semicolons separate its columns"]),
        ("a.csv", lambda: table("\t"), ["tabs separate its columns"]),
        ("a.csv", lambda: table(";", above="sep=;\r\n"), []),
        ("a.csv", lambda: table("|", above='"sep=|"\r\n'), []),
        ("a.csv", lambda: table(",").replace(",", ", ").replace(",  NY", ", NY"), []),
        (
            "a.csv",
            lambda: table(",", header=["Sub_Label", " OBJ_LABEL", "Split"]),
            ["the columns 'Sub_Label', 'OBJ_LABEL', 'Split' read as sub_label, obj_label, split"],
        ),
        ("a.txt", lambda: table("\t"), []),
        ("a.txt", lambda: table("\t").encode("utf-16"), ["read as UTF-16, which it begins as"]),
        ("a.csv", lambda: table(",").encode("utf-32"), ["read as UTF-32, which it begins as"]),
        ("a.tsv", lambda: table("\t"), ["fields in quotes, with doubled quotes in them, are read as in CSV"]),
        ("a.tsv", lambda: "".join("\t".join(row) + "\n" for row in [FIELDS, *ROWS]), []),
        ("a.tsv", lambda: table(","), ["commas separate its columns"]),
        ("a.txt", lambda: "".join(json.dumps(each) + "\n" for each in objects()), []),
        ("a.json", lambda: "".join(json.dumps(each) + "\n" for each in objects()), []),
        ("a.json", lambda: json.dumps(objects()), []),
        ("a.json", lambda: "\n" + json.dumps(objects(), indent=2), []),
        ("a.jsonl", lambda: json.dumps(objects()), []),
        ("a.json", lambda: query(None), []),
        ("a.json", lambda: query(2), []),
        ("a.jsonl", lambda: query(None), []),
    ],
)  # fmt: skip
def test_one_task_in_many_forms(
    tmp_path: Path, name: str, content: Callable[[], str | bytes], remarks: list[str], packed: bool
) -> None:
    """The digest is that of JSON lines, and what was assumed is remarked."""
    (reference,) = read(tmp_path / "plain.jsonl", "".join(json.dumps(each) + "\n" for each in objects())).tasks
    assert [(fact.subject, fact.object) for fact in reference.splits["train"]] == FACTS
    given = content()
    raw = given.encode() if isinstance(given, str) else given
    path = tmp_path / (name + (".gz" if packed else ""))
    suite = read(path, gzip.compress(raw, mtime=0) if packed else raw)
    (task,) = suite.tasks
    assert task.name == "a"
    assert task.digest(*SPLITS) == reference.digest(*SPLITS)
    assert suite.remarks == tuple(Remark(str(path), what) for what in remarks)


@pytest.mark.parametrize("indent", [None, 1])
def test_every_fact_of_an_array_knows_its_line(tmp_path: Path, indent: int | None) -> None:
    text = "\n\n" + json.dumps(objects(), indent=indent)
    (task,) = read(tmp_path / "a.json", text).tasks
    for fact in task.splits["train"]:
        lines = text.splitlines()[int(fact.where.rpartition(":")[2]) - 1 :]
        assert json.dumps(fact.subject) in "".join(lines[: 2 if indent else 1])


@pytest.mark.parametrize(
    ("name", "content", "message", "hint"),
    [
        ("a.csv", table(";").encode("cp1252"), "a.csv:3: not UTF-8 (invalid start byte)", "Windows-1252"),
        ("a.csv", "item,itemLabel,capitalLabel\n1,a,b\n", "a.csv:1: no column 'sub_label' in item, ", "rename the"),
        ("a.csv", "item,itemLabel,capitalLabel\n1,a,b\n", "a.csv:1: ", "perhaps itemLabel and capitalLabel"),
        ("a.csv", "sub_label,Sub_Label\na,b\n", "a.csv:1: no column 'obj_label'", "rename"),
        ("a.csv", "sub_label,obj_label,split,split\na,b,,\n", "a.csv:1: 2 columns 'split'", "a name of its own"),
        ("a.json", '{\n"a": 1}', "a.json: one JSON object, where a list of rows is needed", "JSON lines"),
        ("a.json", '{"a": [\n', "a.json:1: not JSON (Expecting value", "rename"),
        ("a.json", '[{"a": 1},\n{"a" 1}]', "a.json:1: no column 'sub_label'", "its columns are a"),
        ("a.json", '[\n{"sub_label": "a", "obj_label": "b"},\n{"a" 1}]', "a.json:3: not JSON (Expecting ':'", "rename"),
        ("a.json", '[\n{"sub_label": "a", "obj_label": "b"}\n{}]', "a.json:2: neither a comma nor the", "rename"),
        ("a.json", '[{"sub_label": "a", "obj_label": "b"}] x', "a.json:1: text behind the end of the array", "rename"),
        ("a.json", '[{"sub_label": "a", "obj_label": "b"}, 5]', "a.json:1: not a JSON object", "rename"),
        ("a.json", "[" * 100_000, "a.json:1: JSON nested too deeply", "rename"),
        ("a.txt", "Rome\nOslo\n", "a.txt:1: no column 'sub_label' in Rome", "rename"),
        ("a.xlsx", b"PK\x03\x04....", "a.xlsx is a ZIP archive or an Excel workbook, no text", "as CSV UTF-8"),
        ("a.csv.bz2", b"BZh91AY&SY...", "a.csv.bz2 is packed by bzip2, no text", "bunzip2 "),
        ("a.csv", "sub_label,obj_label\ra,b\r", "a.csv:1: new-line character seen in unquoted field", "tr '\\r'"),
        ("a.tsv", '?item\t?x\n"a"@en\t"b"@en\n', "a.tsv:1: no column 'sub_label' in ?item, ?x", "SPARQL's TSV"),
        ("a.xml", "<?xml version='1.0'?><sparql/>", "a.xml is XML, no text", "as CSV or JSON"),
        ("a.csv", "<!DOCTYPE html><html>Sign in", "a.csv is a web page, no text", "may ask to log in"),
        ("a.csv", "version https://git-lfs.github.com/spec/v1\n", "a.csv is a pointer of Git LFS", "git lfs pull"),
        ("a.jsonl", '{"sub_label": "a", "obj_label": [["b"]]}', 'a.jsonl:1: obj_label is ["b"]', "as a list of texts"),
        ("a.json", '[{"sub_label": {"0": "a"}, "obj_label": "b"}]', "a.json:1: sub_label is {", "orient='records'"),
        ("a.jsonl.gz", CUT_SHORT, "a.jsonl.gz: damaged by a broken copy or download", "copy it"),
        ("a.parquet", b"no", "a.parquet: no Parquet file that can be read", "rename"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_with_what_to_do(
    tmp_path: Path, name: str, content: str | bytes, message: str, hint: str
) -> None:
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    error = error_of(tmp_path / name, content)
    assert error.message.startswith(f"{tmp_path}/{message}")
    assert hint in error.hint


def test_what_was_remarked_before_an_error_is_in_its_notes(tmp_path: Path) -> None:
    error = error_of(tmp_path / "a.csv", table(";").encode("cp1252"))
    assert error.__notes__ == [f"{tmp_path}/a.csv: semicolons separate its columns"]


def test_a_packed_line_without_end_is_not_unpacked_whole(tmp_path: Path) -> None:
    """64 MB of one character are 64 kB packed."""
    import tracemalloc

    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b"x" * (4 * LONGEST), mtime=0))
    tracemalloc.start()
    with pytest.raises(PtxError, match=r"a\.jsonl\.gz:1: a line of more than 16 MB"):
        read_suite(str(path))
    assert tracemalloc.get_traced_memory()[1] < 3 * LONGEST
    tracemalloc.stop()


def test_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import pyarrow
    import pyarrow.parquet

    rows = [{**each, "obj_label": [each["obj_label"], "Other"]} for each in objects()]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    (task,) = read_suite(str(tmp_path / "a.parquet")).tasks
    (reference,) = read(tmp_path / "a.jsonl", "".join(json.dumps(each) + "\n" for each in rows)).tasks
    assert task.digest(*SPLITS) == reference.digest(*SPLITS)
    assert task.splits["train"][1].where == f"{tmp_path}/a.parquet:2"


def test_parquet_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    error = error_of(tmp_path / "a.parquet", b"PAR1")
    assert error.message == f"{tmp_path}/a.parquet: Parquet needs the pyarrow library"
    assert error.hint.startswith("run `pip install pyarrow`")


def test_bars_between_columns_and_empty_rows_of_a_spreadsheet(tmp_path: Path) -> None:
    plain = read(tmp_path / "a.csv", table(",")).tasks
    for name, content in (("a.csv", table(",") + ",\n , \n"), ("a.csv", table("|")), ("a.txt", table("|") + "|\n")):
        assert read(tmp_path / name, content).tasks == plain


def test_a_list_as_pandas_writes_it_is_a_list(tmp_path: Path) -> None:
    (task,) = read(
        tmp_path / "a.csv", "sub_label,obj_label\na,\"['b', 'c d']\"\nb,['b'\nc,\"[\"\"d'e\"\", 'f']\"\n"
    ).tasks
    facts = [fact for split in SPLITS for fact in task.splits[split]]
    assert {(fact.subject, fact.answers) for fact in facts} == {
        ("a", ("b", "c d")),
        ("b", ("['b'",)),
        ("c", ("d'e", "f")),
    }


def test_answers_that_are_numbers_of_wikidata_are_counted(tmp_path: Path) -> None:
    (remark,) = read(tmp_path / "a.csv", "sub_label,obj_label\na,Q1\nb,c\n").remarks
    assert remark.what.startswith("1 of 2 answers are Wikidata's numbers, such as Q1, ")


@pytest.mark.parametrize("name", ["Templates.JSONL", "template.jsonl", "RELATIONS.csv"])
def test_templates_by_any_usual_name(tmp_path: Path, name: str) -> None:
    row = {"relation": "P1", "template": "[X] in [Y] ."}
    text = json.dumps(row) if name.lower().endswith("jsonl") else "relation,template\nP1,[X] in [Y] .\n"
    (tmp_path / name).write_text(text)
    (tmp_path / "P1.csv").write_text("sub_label,obj_label\na,b\n")
    (task,) = read_suite(str(tmp_path)).tasks
    assert (task.name, task.template) == ("P1", "[X] in [Y] .")


def test_subjects_that_are_numbers_of_wikidata_are_counted(tmp_path: Path) -> None:
    subjects = ["Q90", "http://www.wikidata.org/entity/Q64", "Q", "Rome", "Q0", "wd:Q5"]
    suite = read(
        tmp_path / "a.csv", "sub_label,obj_label\n" + "".join(f"{subject},o{i}\n" for i, subject in enumerate(subjects))
    )
    (remark,) = suite.remarks
    assert remark.what.startswith("3 of 6 subjects are Wikidata's numbers, such as ")
    assert len([fact for split in SPLITS for fact in suite.tasks[0].splits[split]]) == 6


@pytest.mark.parametrize(
    ("lines", "refused"),
    [
        ([("Squad", f"o{i}") for i in range(4)], True),
        ([("Squad", f"o{i}") for i in range(3)], False),
        ([("Squad", "o")] * 9, False),
        ([*[("Squad", f"o{i}") for i in range(9)], ("Rome", "Italy")], False),
    ],
)
def test_a_column_that_is_constant_is_no_subject(tmp_path: Path, lines: list[tuple[str, str]], refused: bool) -> None:
    content = "sub_label,obj_label\n" + "".join(",".join(line) + "\n" for line in lines)
    if not refused:
        assert len(read(tmp_path / "a.csv", content).tasks) == 1
        return
    error = error_of(tmp_path / "a.csv", content)
    assert error.message == f"{tmp_path}/a.csv: the subject of all 4 facts is 'Squad', which is then none"
    templates = "sub_label,obj_label,template\n" + "".join(f"Squad,o{i},[X] {i} [Y] .\n" for i in range(4))
    assert len(read(tmp_path / "b.csv", templates).tasks) == 1
