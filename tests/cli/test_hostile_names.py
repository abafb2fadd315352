"""Names of suites, tasks and models are users' data: no table lets them become markup, commands or control codes."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptx.cli.output import Output
from ptx.results.sheet import Item, Page, Sheet, render, render_pages

HOSTILE = (
    "<script>alert(1)</script>",
    r"\input{/etc/passwd}",
    "_&%$#{}~^",
    "[bold]x[/] [/red] :bug:",
    "*star",
    "two\nlines\r\\input{x}",
    "\x1b[31mred\x1b[0m\x07",
    "a|b `c` \\",
    'q"uote\'s & <b onmouseover="x">',
    "naïve 日本 ключ",
)
PIECES = st.sampled_from([*"<>&\"'\\{}[]$%#_~^*|`\n\r\t\x1b;=/a ", "script", r"\input", "\u2028", "é", "<!--", "]]>"])
NAMES = st.lists(PIECES, max_size=12).map("".join)


def sheet(name: str) -> Sheet:
    rows = [[Item(name), Item(name, "best", name)], [Item("x"), Item("1.0", "self")]]
    return Sheet("t", name, [name], 1, ["who", name], rows, [{"who": name}], among=name)


class Tags(HTMLParser):
    """What a browser would make of a text: its elements, with attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.found |= {tag, *(f"{tag} {name}={value}" for name, value in attrs)}

    def handle_comment(self, data: str) -> None:
        self.found.add("comment")

    def handle_decl(self, decl: str) -> None:
        self.found.add("declaration")

    def handle_data(self, data: str) -> None:
        self.text += data


LINES = render(sheet("harmless"), "latex").count("\n")
PLAIN = set(Tags(render(sheet("harmless"), "html")).found)
WHOLE = set(Tags(render_pages([Page("", [], [], [])], "html")).found)
COMMANDS = set(re.findall(r"\\[a-zA-Z]+", render(sheet("harmless"), "latex")))
CODES = r"[\x00-\x09\x0b-\x1f\x7f-\x9f]"
ESCAPES = {r"\textbackslash", r"\textasciitilde", r"\textasciicircum", r"\texttt", r"\dagger", r"\rightarrow", r"\pm"}


def check(name: str) -> None:
    html = render(sheet(name), "html")
    assert Tags(html).found - {"code", "br"} <= PLAIN
    if not re.search(r"[\x00-\x1f`\u2028]| \(for ", name):
        assert Tags(html).text.count(name) >= 5
    latex = render(sheet(name), "latex")
    assert set(re.findall(r"\\[a-zA-Z]+", latex)) <= COMMANDS | ESCAPES | {r"\shortstack"}
    bare = re.sub(r"\\[^a-zA-Z]", "", latex.replace("{*}", "").replace("{[}", ""))
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert not re.search(r"[#~^_]|(?<!\n)(?<!^)%", bare.replace("$^\\dagger$", ""))
    body = latex.split(r"\toprule", 1)[1].split(r"\end{tabular}")[0]
    assert [len(re.findall(r"(?<!\\)&", line)) for line in body.splitlines() if line.endswith(r"\\")] == [1] * 3
    assert latex.count("\n") == LINES
    assert not re.search(CODES, render(sheet(name), "md"))


@pytest.mark.parametrize("name", HOSTILE)
def test_known_attacks(name: str) -> None:
    check(name)
    assert not re.search(CODES, render(sheet(name), "text"))
    assert json.loads(render(sheet(name), "json")) == [{"who": name}]


@given(name=NAMES)
def test_any_name(name: str) -> None:
    check(name)


def test_text_shows_names_as_they_are() -> None:
    text = render(sheet("[bold]x[/] [/red] :bug:"), "text")
    assert text.count("[bold]x[/] [/red] :bug:") == 7


def test_columns_and_messages_show_names_as_they_are(capsys) -> None:
    out = Output()
    name = "[bold]x[/] [/red] :bug: \\"
    out.columns(["task", "n"], [[name, "1"]])
    out.message(name)
    out.warn(name)
    captured = capsys.readouterr()
    assert captured.out.count(name) == 1
    assert captured.err.count(name) == 2


def test_hostile_tasks_from_a_suite_to_a_table(ptx, tiny, tmp_path) -> None:
    tasks = [
        "<script>alert(1)",
        "_&%$#{}~^",
        "[bold]x[red] :bug:",
        "*star",
        *HOSTILE[8:],
    ]  # suites refuse slashes and control codes
    rows = [
        {"task": task, "sub_label": f"name{i}", "obj_label": ("France", "Japan")[i % 2], "split": split}
        for task in tasks
        for split, places in (("train", range(8)), ("dev", range(8, 12)), ("test", range(12, 16)))
        for i in places
    ]
    suite = tmp_path / "_&%$#{}~^.jsonl"
    suite.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    ended = ptx("eval", "--target", tiny["a"], "--suite", suite, "--epochs", "1")
    assert ended.code == 0, ended.err
    for task in tasks:
        assert task in ended.out
    html = ptx("table", "--by", "task", "--format", "html").out
    assert Tags(html).found <= PLAIN | WHOLE | {"p"}
    assert "<script>alert(1)" in Tags(html).text
    latex = ptx("table", "--by", "task", "--format", "latex").out
    assert r"\input" not in latex
    assert all(line.startswith("%") for line in latex.split(r"\begin{table}")[0].splitlines() if line)
