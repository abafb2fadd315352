from __future__ import annotations

import csv
import io
import json
import re
from xml.etree import ElementTree

import pytest
from paper_cells import MINI, grid

from ptx.cli.show import for_terminal
from ptx.errors import UsageError
from ptx.paper.tables import paper_table
from ptx.results.sheet import Item, Sheet, page_of, render

TABLE = Sheet(
    name="tableX",
    title="A & B <in> 100%",
    notes=["run `ptx run table_3`"],
    labels=1,
    header=["who", "m_1 (for M)"],
    rows=[
        [Item("a_b"), Item("33.4", "best", " [17.7]")],
        [Item("x + y"), Item("33.1", "second")],
        [Item("{z}"), Item("72.6", "self", "†")],
        [Item("p|q"), Item(after="[1.0]")],
    ],
    records=[{"who": "a,b", "percent": None}],
    among="among all",
)


def test_marks_survive_in_plain_text() -> None:
    assert render(TABLE, "text").splitlines() == [
        "A & B <in> 100%",
        "",
        "               m_1",
        "              (for",
        "who             M)",
        "a_b  *33.4* [17.7]",
        "x +         _33.1_",
        "y",
        "{z}        (72.6)†",
        "p|q          [1.0]",
        "",
        "*best* and _second best_ among all; (self-transfer): the target is among the",
        "sources",
        "run `ptx run table_3`",
    ]


def test_print_uses_plain_marks_when_stdout_is_no_terminal() -> None:
    assert for_terminal([page_of(TABLE)]) == render(TABLE, "text")


def test_print_uses_styles_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    out = for_terminal([page_of(TABLE)])
    assert "\x1b[1m33.4\x1b[0m [17.7]" in out
    assert "\x1b[4m33.1\x1b[0m" in out
    assert "\x1b[2m72.6\x1b[0m†" in out
    assert "*33.4*" not in out


def test_markdown() -> None:
    assert render(TABLE, "md") == (
        "**A & B &lt;in> 100%**\n\n"
        "| who | m_1<br>(for M) |\n| --- | ---: |\n"
        "| a_b | **33.4** [17.7] |\n| x + y | <u>33.1</u> |\n| {z} | *72.6*† |\n| p\\|q | [1.0] |\n\n"
        "**best** and <u>second best</u> among all; *self-transfer*: the target is among the sources  \n"
        "run `ptx run table_3`\n"
    )


def test_latex_escapes() -> None:
    latex = render(TABLE, "latex")
    assert latex.startswith("% needs \\usepackage{booktabs}\n% needs \\usepackage{xcolor}\n\\begin{table}\n")
    assert r"\caption{A \& B $<$in$>$ 100\%}" in latex
    assert r"who & \shortstack{m\_1\\(for M)} \\" in latex
    assert r"a\_b & \textbf{33.4} {[}17.7] \\" in latex
    assert r"\{z\} & \textcolor{gray}{72.6}$^\dagger$ \\" in latex
    assert r"\texttt{ptx run table\_3}" in latex


@pytest.mark.parametrize("number", [1, 2, 3, 5, 6])
def test_latex_is_well_formed(number: int) -> None:
    latex = render(paper_table(number, grid(number)[1:], MINI, compare=True), "latex")
    bare = re.sub(r"\\[{}]", "", latex)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert latex.count(r"\begin{") == latex.count(r"\end{") == 2
    columns = len(re.search(r"\\begin{tabular}{([lr]+)}", latex)[1])  # type: ignore[index]
    body = latex.split(r"\toprule", 1)[1].split(r"\end{tabular}")[0]
    lines = [line for line in body.splitlines() if "&" in line]
    assert len(lines) > 3
    assert {len(re.findall(r"(?<!\\)&", line)) for line in lines} == {columns - 1}
    assert not re.search(r"(?<!\\)[%#]", latex[latex.index(r"\begin{table}") :])
    assert latex.isascii()


def test_html_is_escaped_and_parses() -> None:
    html = render(TABLE, "html")
    tree = ElementTree.fromstring(f"<div>{html.replace('<br>', '<br/>')}</div>")
    assert tree.findtext("table/caption") == "A & B <in> 100%"
    assert len(tree.findall("table/tbody/tr")) == 4
    assert "<b>33.4</b> [17.7]" in html
    assert "<code>ptx run table_3</code>" in html


def test_csv_and_json_are_the_records() -> None:
    assert render(TABLE, "csv") == 'who,percent\n"a,b",\n'
    assert json.loads(render(TABLE, "json")) == [{"who": "a,b", "percent": None}]
    table = paper_table(3, grid(3), MINI)
    rows = list(csv.DictReader(io.StringIO(render(table, "csv"))))
    assert [row["percent"] for row in rows] == [str(record["percent"]) for record in table.records]


def test_another_format_is_wrong_usage() -> None:
    with pytest.raises(UsageError) as error:
        render(TABLE, "pdf")
    assert error.value.message == "no format named 'pdf'"
    assert error.value.hint == "choose one of text, md, latex, csv, json, html"
