"""Text from outside in every medium: what programs that read the medium make of it, by parsers that are not ours."""

from __future__ import annotations

import ast
import csv
import io
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from safetensors.torch import load_file, save_file

from ptx.cli.output import Output
from ptx.errors import PtxError
from ptx.formats import card
from ptx.media import cell, code, markdown, one_line, paragraph, quoted, terminal, tidy
from ptx.prompts.usage import USES, usage
from ptx.results.sheet import Item, Page, Sheet, render, render_pages

RED, HIDDEN = "\x1b[31m", "\u202e"
PIECES = [
    *"<>&\"'\\{}[]()!$#_~^*|`-+=@:;. a1é",
    "javascript:x",
    "](",
    "]: ",
    "<b>",
    "&lt;",
    "&#60;",
    "m\\|x",
    "\t",
    "\n",
]
NAMES = st.lists(st.sampled_from([*PIECES, RED, HIDDEN, "\x9b", "\r", "\ud800"]), max_size=8).map("".join)
READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def tokens(text: str) -> list[Token]:
    """All tokens of a Markdown text, those inside of lines too."""
    return [part for token in READER.parse(text) for part in (token, *(token.children or ()))]


def plain(text: str) -> str:
    """What a reader of Markdown sees of a text."""
    return "".join(t.content for t in tokens(text) if t.type in ("text", "text_special", "code_inline"))


def sheet(name: str) -> Sheet:
    rows = [[Item(name), Item(name, "best", name)], [Item("x"), Item("1.0", "self")]]
    return Sheet("t", name, [name], 1, ["who", name], rows, [{"who": name, name: -0.5}], among=name)


@given(name=NAMES)
@example(name="m\\|x")
@example(name="[x](javascript:alert(1))")
@example(name="[x]: javascript:alert(1)")
def test_markdown_is_text(name: str) -> None:
    seen = tidy(name).strip()
    text = {"paragraph_open", "paragraph_close", "inline", "text", "text_special", "code_inline"}
    for made in (f"a{markdown(name)}", paragraph(name), f"**a{markdown(name)}**"):
        assert {token.type for token in tokens(made)} <= text | {"strong_open", "strong_close"}
    assert plain(markdown(f"a{name}a")) == f"a{tidy(name)}a"
    inside = [token.content for token in tokens(f"a {code(f'x{name}x')} b") if token.type == "code_inline"]
    assert inside == [f"x{tidy(name)}x"]
    whole = render_pages([Page(name, [name], [], [sheet(name)])], "md")
    found = {token.type for token in tokens(whole)} - {"html_inline"}
    assert not {kind for kind in found if kind.startswith(("link", "image", "html", "heading", "fence", "blockquote"))}
    tags = {token.content for token in tokens(whole) if token.type == "html_inline"}
    assert tags <= {"<br>", "<u>", "</u>"}
    rows = whole.count("\n| ")
    assert [token.type for token in tokens(whole)].count("tr_open") == rows - 1 == 3
    assert [token.type for token in tokens(whole)].count("td_open") == 4
    assert seen.replace(" ", "") in plain(whole).replace(" ", "") or "`" in name or "(for" in name


def test_a_bar_in_a_name_does_not_end_a_cell() -> None:
    cells = [t.content for t in tokens(render(sheet("m\\|x"), "md")) if t.type in ("text", "text_special")]
    assert "".join(cells).count("m\\|x") == 7


@pytest.mark.parametrize("name", ["=1+1", "+1+1", "-1+cmd|' /C calc'!A0", "@SUM(1)", "\t=1", "\r=1", "＝1+1"])
def test_no_cell_of_csv_opens_as_a_formula(name: str) -> None:
    written = render(sheet(name), "csv")
    (header, row) = list(csv.reader(io.StringIO(written, newline="")))
    assert header == ["who", f"'{tidy(name)}"]
    assert row == [f"'{tidy(name)}", "-0.5"]


@pytest.mark.parametrize("value", [-0.5, 3, None, True, "-0.5", "+3", "-1.5e-3", "12%", "plain", "", "a=b"])
def test_numbers_and_plain_text_stay_in_csv(value: Any) -> None:
    assert cell(value) == value
    assert type(cell(value)) is type(value)


@given(name=NAMES)
def test_a_terminal_obeys_nothing(name: str) -> None:
    for text in (terminal(name), one_line(name), one_line(str(PtxError(name, name)))):
        assert not set(text) & {"\x1b", "\x9b", "\r", HIDDEN, "\ud800", "\0"}
        assert terminal(text) == text
    assert "\n" not in one_line(name)
    told = json.dumps({"name": name}, ensure_ascii=False)
    assert json.loads(terminal(told)) == {"name": name}
    assert ast.literal_eval(quoted(name)) == name


def test_whatever_is_said_is_safe(capsys) -> None:
    out, name = Output(), f"a{RED}b\x9b{HIDDEN}c\ud800"
    out.rows([{"x": name, "y": [name]}])
    out.columns([name], [[name]])
    out.json({"x": name})
    out.data(name)
    out.message(name)
    out.warn(f"{name}\nerror: faked")
    out.error(PtxError(f"{name}\nhint: run rm", name))
    Output(quiet=True).rows([{"x": f"{name}\n"}])
    said = capsys.readouterr()
    assert not set(said.out + said.err) & {"\x1b", "\x9b", HIDDEN, "\ud800"}
    assert said.out.count("a\\u001b[31mb\\u009b\\u202ec\\ud800") == 7
    assert sum(line.startswith(("error:", "hint:")) for line in said.err.splitlines()) == 2


def hostile_prompt(tmp_path: Path) -> list[str | Path]:
    save_file({f"{RED}a": torch.ones(2, 3), "b": torch.ones(2, 3)}, tmp_path / "p.safetensors")
    return ["import", tmp_path / "p.safetensors", "--model", "bert-micro", "--task", "P17"]


def hostile_adapter(tmp_path: Path) -> list[str | Path]:
    config = {"peft_type": "PROMPT_TUNING", "base_model_name_or_path": f"{RED}base", "num_virtual_tokens": 2}
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    save_file({"prompt_embeddings": torch.ones(2, 3)}, tmp_path / "adapter" / "adapter_model.safetensors")
    return ["import", tmp_path / "adapter", "--task", "P17", "--model", "bert-micro"]


def hostile_recipe(tmp_path: Path) -> list[str | Path]:
    title = json.dumps(f"{RED}title")
    (tmp_path / "r.toml").write_text(
        f'title = {title}\nmethods = ["manual"]\ntargets = ["bert-micro"]\ntasks = ["P17"]\n'
    )
    return ["run", tmp_path / "r.toml", "--dry-run"]


def hostile_kind(tmp_path: Path) -> list[str | Path]:
    from conftest import make_model

    folder = make_model(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": f"{RED}kind"}))
    return ["eval", "--target", folder, "--method", "manual", "--tasks", "P17"]


def hostile_shard(tmp_path: Path) -> list[str | Path]:
    from conftest import make_model

    folder = make_model(tmp_path / "model")
    names = dict.fromkeys(load_file(folder / "model.safetensors"), f"{RED}shard.safetensors")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    return ["eval", "--target", folder, "--method", "manual", "--tasks", "P17"]


def hostile_subject(tmp_path: Path) -> list[str | Path]:
    prompt = torch.zeros(2, 128)
    save_file({"prompt": prompt}, tmp_path / "p.safetensors")
    return ["predict", "--target", "bert-micro", "--prompt", tmp_path / "p.safetensors", f"{RED}subject"]


HOSTILE = (hostile_prompt, hostile_adapter, hostile_recipe, hostile_kind, hostile_shard, hostile_subject)


@pytest.mark.parametrize("make", HOSTILE)
def test_no_strangers_file_speaks_to_the_terminal(ptx, tmp_path: Path, make: Any) -> None:
    done = ptx(*make(tmp_path))
    assert "\\u001b[31m" in (done.out + done.err).replace("\\x1b", "\\u001b")
    assert "\x1b" not in done.out + done.err


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.add(tag)


BAD = "x](javascript:a) <script>`|*\\| \"'"
RECORD = card.Record(
    version="1", key="0" * 32, method=BAD, model=BAD, model_digest="d", tokenizer_digest="t", width=2, vectors=3,
    layout="prefix", suite=BAD, task=BAD, sha256="0", input=BAD, task_label=BAD, template=BAD, label_words=[BAD],
    sources=[{"model": BAD, "model_digest": BAD, "key": BAD}], choice={"chosen": BAD, "agreement": 0.5, "inputs": 9},
    evaluations=[{"split": BAD, "accuracy": 0.5, "facts": 8}],
)  # fmt: skip


@pytest.mark.parametrize("to", USES)
def test_a_card_is_markdown_without_links_or_html(to: str) -> None:
    how = usage(to, RECORD, BAD, BAD, factor=1.0, space=" ")
    body = card.render(RECORD, usage=how, tags=[], base=None).split("\n---\n", 1)[1]
    found = tokens(body)
    kinds = {token.type for token in found}
    assert not {kind for kind in kinds if kind.startswith(("link", "image", "html"))}
    assert "script" not in Tags(READER.render(body)).found
    assert [token.type for token in found].count("td_open") == 2
    for program in (token.content for token in found if token.type == "fence"):
        compile(program, "card", "exec")
        assert f"base = {quoted(BAD)}\n" in program


def test_a_figure_takes_no_name_for_a_formula(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from ptx.results.plots import save

    name = r"$\frac{ a$"
    _, svg, _ = save(lambda figure: None, name, tmp_path / "f", f"note on {name}")
    assert svg.read_text("utf-8").count(name) == 2
