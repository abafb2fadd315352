"""What is printed: within 80 columns, in percent, with what to do next; LaTeX, HTML and drawings of the same."""

from __future__ import annotations

import json
import random
import re
import shlex
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import PAPER_TUNING, Result
from paper_cells import FIGURES, MINI, grid

from ptx.cache import Artifact
from ptx.paper.frames import figure_table, frame
from ptx.paper.tables import model_table, paper_table
from ptx.results import layout
from ptx.results.collect import Result as Scored
from ptx.results.sheet import Item, Page, Sheet, page_of, render, render_pages
from ptx.results.table import tables

Run = Callable[..., Result]
WIDE = 10_000


def numbers(text: str) -> Counter[str]:
    return Counter(re.findall(r"\d+\.\d+", text))


def sheets() -> list[Sheet]:
    tables = [(number, compare) for number in (1, 2, 3, 5, 6) for compare in (False, True)]
    made = [paper_table(number, grid(number)[1:], MINI, compare=compare) for number, compare in tables]
    kinds = {"parameters": 12_345_678, "hidden": 1024, "embedding": 128, "task": "masked", "data": "BookCorpus, News"}
    models = model_table([{"name": name, **kinds} for name in filter(None, MINI.values())], MINI)
    return [*made, models, *(figure_table(name, cells, MINI) for name, cells in FIGURES.items())]


@pytest.mark.parametrize("sheet", sheets(), ids=lambda sheet: sheet.name)
def test_no_line_of_the_papers_tables_is_longer_than_a_terminal(sheet: Sheet) -> None:
    text, wide = render(sheet, "text"), render(sheet, "text", width=WIDE)
    assert max(map(len, text.splitlines())) <= 80
    assert numbers(text) == numbers(wide)
    names = {item.text for row in sheet.rows for item in row[:1]}
    assert all(part in " ".join(text.split()) for name in names for part in name.split())


def test_a_long_table_breaks_into_blocks_that_each_name_their_rows() -> None:
    sheet = paper_table(3, grid(3), MINI, compare=True)
    text = render(sheet, "text")
    rows = [line for line in text.splitlines() if line.startswith("discretize")]
    heads = [line for line in text.splitlines() if line.startswith("method ")]
    assert len(heads) > 1
    assert len(rows) == len(heads) * sum(row[0].text == "discretize" for row in sheet.rows)
    assert render(sheet, "text", width=WIDE).count("method ") == 1


@pytest.mark.parametrize("seed", range(30))
def test_whatever_stands_in_it_a_table_fits(seed: int) -> None:
    """Names as long as paths, many targets, several lines: as long as a column of numbers fits at all."""
    draw = random.Random(seed)
    pieces = ["ab", "bert-", "/", "+", " ", "日本", "_x"]

    def name() -> str:
        return "".join(draw.choices(pieces, k=draw.randrange(1, 25)))

    labels, targets = draw.randrange(1, 4), draw.randrange(1, 9)
    header = [*(f"label{i}" for i in range(labels)), *(name() for _ in range(targets))]
    rows = [
        [*(Item(name()) for _ in range(labels)), *(Item(f"{draw.random() * 100:.1f}") for _ in range(targets))]
        for _ in range(draw.randrange(1, 6))
    ]
    sheet = Sheet("t", "title", [], labels, header, rows, [])
    text = render(sheet, "text")
    assert max(map(layout.width_of, text.splitlines())) <= 80
    assert numbers(text) == numbers(render(sheet, "text", width=WIDE))


def test_texts_are_folded_where_they_may_be() -> None:
    assert layout.folded("bert-micro+roberta-micro", 14) == "bert-micro+\nroberta-micro"
    assert layout.folded("auto (unlabelled inputs)", 11) == "auto\n(unlabelled\ninputs)"
    assert layout.folded("abcdefgh", 3) == "abc\ndef\ngh"
    assert layout.folded("日本語", 4) == "日本\n語"
    assert layout.folded("as it is", 80) == "as it is"


def scored(method: str, target: str, sources: Sequence[str] = ()) -> Scored:
    labels = {"method": method, "target": target, "task": "A", "sources": [*sources], "suite": "facts", "split": "test"}
    metrics = {"accuracy": 0.5, "correct": 5, "facts": 10, "dropped": 0, "floor": 0.1}
    artifact = Artifact(Path(), {"key": method + target, "created": "2026-01-01", "config": {}})
    return Scored(artifact, labels, metrics, {"suite": "facts", "split": "test", "words": "w"})


def test_names_are_folded_where_that_keeps_all_targets_together() -> None:
    found = [
        scored("relative", target, ["bert-micro", "roberta-micro"])
        for target in ("bert-micro", "roberta-micro", "albert-micro")
    ]
    (page,) = tables(found)
    text = render(page.sheets[0], "text")
    assert text.count("method ") == 1
    assert "bert-micro+" in text
    assert max(map(len, text.splitlines())) <= 80


def test_what_numbers_are_called_and_one_task_is_one() -> None:
    (page,) = tables([scored("tuned", "m")])
    assert page.title == "facts, test split: 1 task, 10 facts"
    assert [sheet.title for sheet in page.sheets] == ["P@1 in %, mean of tasks", "P@1 in %, pooled facts"]
    assert {"micro", "macro"} <= page.records[0].keys()  # what programs read stays


def asked(suite: str) -> list[str]:
    return ["--suite", suite, "--tasks", "R1", "--epochs", "1", *PAPER_TUNING]


def test_eval_prints_percent_says_once_what_is_the_same_and_what_to_try_next(ptx: Run, tiny, suite) -> None:
    args = ["eval", "--sources", tiny["a"], "--target", tiny["b"], *asked(suite)]
    shown = ptx(*args, "--cache-dir", "my cache")
    line = ptx(*args, "--cache-dir", "my cache", "--json").at("eval")[0]
    header = next(text for text in shown.out.splitlines() if text.startswith("task"))
    assert header.split() == ["task", "accuracy", "%", "floor", "%", "facts", "dropped", "key"]
    row = next(text for text in shown.out.splitlines() if text.startswith("R1")).split()
    assert row[1:3] == [f"{100 * line['accuracy']:.1f}", f"{100 * line['floor']:.1f}"]
    assert shown.out.replace("\n", "").startswith("sources a, target b, method relative")
    score = f"{100 * line['accuracy']:.1f}"
    assert f"1 task, 8 facts: P@1 in %: mean of tasks {score}, pooled facts {score}" in shown.out
    assert "next:" not in shown.out
    said = next(text for text in shown.err.splitlines() if text.startswith("next: "))
    command = shlex.split(said.removeprefix("next: ").split("  (")[0])
    assert command[:3] == ["ptx", "errors", line["key"][:12]]
    assert ptx(*command[1:]).code == 0
    whole = ptx(*[part for part in args if part not in ("--tasks", "R1")], "--split", "dev")
    said = next(text for text in whole.err.splitlines() if text.startswith("next: "))
    assert said.startswith("next: ptx table --by task --split dev")
    assert ptx(*shlex.split(said.split("  (")[0])[2:]).code == 0
    assert "next:" not in ptx(*args, "-q").err
    assert "next:" not in ptx(*args, "--dry-run").err


def test_a_recipe_of_ones_own_prints_one_grid(ptx: Run, tiny, suite, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "grid.toml").write_text(
        f'suite = "{suite}"\ntasks = ["R1"]\nsources = [["{tiny["a"]}"], ["{tiny["a"]}", "{tiny["b"]}"]]\n'
        f'targets = ["{tiny["narrow"]}", "{tiny["b"]}"]\nmethods = ["relative", "manual"]\ntune.epochs = 1\n'
    )
    ran = ptx("run", "grid.toml", "--jobs", "1")
    assert ran.out.count("P@1 in %") == 1
    assert "`ptx table` has 3 more grids of the same" in ran.err
    every = ptx("table")
    assert [every.out.count(title) for title in ("mean of tasks", "pooled facts", "Matching loss")] == [1, 1, 2]
    for text in (ran.out, every.out):
        assert max(len(line) for line in text.splitlines() if str(tmp_path.parent) not in line) <= 80
    assert {row["method"] for row in ptx("run", "grid.toml", "--json").at("table")} == {"floor", "manual", "relative"}


PAGES = [
    Page(
        "facts, test split",
        [],
        [],
        [Sheet("micro", "P@1", [], 1, ["who", "m_1"], [[Item("a"), Item("1.0", mark)]], [])],
    )
    for mark in ("best", "self")
]


def test_latex_has_labels_of_its_own_captions_and_names_the_packages_that_it_uses() -> None:
    latex = render_pages(PAGES, "latex")
    labels = re.findall(r"\\label\{(.*?)\}", latex)
    assert labels == ["tab:ptx-micro", "tab:ptx-micro-2"]
    assert re.findall(r"\\caption\{(.*?)\}", latex) == ["facts, test split. P@1"] * 2
    first, second = (part for part in latex.split(r"\end{table}")[:2])
    for part in (first, second):
        assert re.findall(r"\\(\w+rule)\b", part) == ["toprule", "midrule", "bottomrule"]
        uses = {"booktabs"} | ({"xcolor"} if r"\textcolor" in part else set())
        assert {*re.findall(r"% needs \\usepackage\{(\w+)\}", part)} == uses
    assert r"\hline" not in latex


TEX = next((name for name in ("pdflatex", "tectonic") if shutil.which(name)), "")


@pytest.mark.skipif(not TEX, reason="no TeX here")
def test_latex_compiles(tmp_path: Path) -> None:
    made = [page_of(paper_table(number, grid(number), MINI, compare=True)) for number in (1, 2, 3, 5, 6)]
    body = render_pages([*made, *PAGES], "latex")
    packages = "\n".join(sorted({*re.findall(r"\\usepackage\{\w+\}", body)}))
    document = f"\\documentclass{{article}}\n{packages}\n\\begin{{document}}\n{body}\n\\end{{document}}\n"
    (tmp_path / "t.tex").write_text(document, "utf-8")
    options = ["-interaction=nonstopmode", "-halt-on-error"] if TEX == "pdflatex" else []
    done = subprocess.run([TEX, *options, "t.tex"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.declared, self.started, self.open = "", [], []  # type: ignore[var-annotated]
        self.feed(text)
        self.close()

    def handle_decl(self, decl: str) -> None:
        self.declared = decl

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.started.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_is_a_whole_page() -> None:
    text = render_pages([Page("a <b> & c", [], [], PAGES[0].sheets)], "html")
    found = Elements(text)
    assert found.declared == "doctype html"
    assert found.open == []
    assert ("meta", {"charset": "utf-8"}) in found.started
    assert "<title>a &lt;b&gt; &amp; c</title>" in text
    assert "color-scheme: light dark" in text
    assert [tag for tag, _ in found.started].count("table") == 1
    assert not {"script", "link", "img"} & {tag for tag, _ in found.started}


def test_figure_3_has_no_empty_space() -> None:
    """Each panel is as high as its pairs need, and none is without bars."""
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    from ptx.paper.figures import _bars

    for cells in (FIGURES["figure3"], [cell for cell in FIGURES["figure3"] if not cell.self_transfer]):
        figure = Figure()
        data = frame("figure3", cells)
        _bars(figure, data)
        assert len(figure.axes) == data["self_transfer"].nunique()
        for panel in figure.axes:
            bars = [bar for group in panel.containers for bar in group]
            ends = [bar.get_y() + bar.get_height() for bar in bars]
            low, high = panel.get_ylim()
            assert len(bars) >= 4
            assert 0 < low - max(ends) < 1.2
            assert high > -1


def test_the_curve_is_drawn(ptx: Run, tiny, suite, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert ptx("tune", "--model", tiny["a"], *asked(suite)).code == 0
    for end, start in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("PDF", b"%PDF")):
        done = ptx("table", "--curve", "--output", f"new/curve.{end}")
        assert done.code == 0, done.err
        assert (tmp_path / "new" / f"curve.{end.lower()}").read_bytes().startswith(start)
    text = (tmp_path / "new" / "curve.svg").read_text("utf-8")
    assert "accuracy on the dev split (%)" in text
    assert "gradient steps" in text
    refused = ptx("table", "--output", "t.png")
    assert refused.code == 2
    assert "a table is no drawing" in refused.err
    assert "with " not in ptx("table", "--curve").out  # one setting: none differs


def test_matplotlib_is_looked_for_before_anything_runs(ptx: Run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for args in (["run", "table3", "figure3"], ["run", "benchmark"], ["table", "--curve", "--output", "c.svg"]):
        done = ptx(*args)
        assert done.code == 1
        assert "error: figures need matplotlib" in done.err
        assert "hint: run `pip install matplotlib`" in done.err
    assert not (tmp_path / "cache").exists()


def paths() -> list[tuple[str, ...]]:
    from typer.main import get_command

    from ptx.cli import app

    def walk(command, path: tuple[str, ...]):
        yield path
        for name, below in getattr(command, "commands", {}).items():
            yield from walk(below, (*path, name))

    return list(walk(get_command(app), ()))


@pytest.mark.parametrize("path", paths(), ids=" ".join)
def test_every_command_has_help(ptx: Run, path: Sequence[str]) -> None:
    shown = ptx(*path, "-h")
    assert (shown.code, shown.err) == (0, "")
    assert "Usage: " in shown.out
    assert shown.out == ptx(*path, "--help").out


@pytest.mark.parametrize("path", [(), ("cache",), ("data",)])
def test_a_group_alone_is_its_help(ptx: Run, path: Sequence[str]) -> None:
    shown = ptx(*path)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out == ptx(*path, "-h").out


SAID = {"json", "quiet", "verbose"}
READ = SAID | {"cache_dir"}
BUILT = READ | {"seed", "force", "dry_run", "list"}
EVERY = BUILT | {"device", "dtype"}
COMMON: dict[tuple[str, ...], set[str]] = {
    **dict.fromkeys([("tune",), ("encode",), ("search",), ("eval",), ("run",), ("upgrade",)], EVERY),
    **dict.fromkeys([("why",), ("errors",), ("cache", "ls"), ("cache", "show"), ("cache", "verify")], READ),
    **dict.fromkeys([("models",), ("words",), ("suites",), ("recipe",), ("data", "check")], SAID),
    **dict.fromkeys([("cache", "rm"), ("cache", "gc")], READ | {"dry_run"}),
    **dict.fromkeys([("inspect",), ("report",)], READ | {"device"}),
    ("anchors",): BUILT, ("table",): READ | {"seed", "dtype"}, ("predict",): READ | {"device", "dtype"},
    ("request",): READ, ("doctor",): READ | {"device"},
    ("import",): BUILT - {"seed"}, ("export",): EVERY - {"seed", "list"},
    ("data", "fetch"): SAID | {"force", "dry_run"},
}  # fmt: skip


def test_commands_have_the_common_options_that_do_something_there() -> None:
    from typer.main import get_command

    from ptx.cli import app
    from ptx.cli.options import Later

    found: dict[tuple[str, ...], set[str]] = {}
    for path in paths():
        command = get_command(app)
        for name in path:
            command = command.commands[name]  # type: ignore[attr-defined]
        if not hasattr(command, "commands"):
            assert isinstance(command, Later)
            found[path] = {str(parameter.name) for parameter in command.whole.params} & EVERY
    assert found == COMMON


def test_an_option_that_would_do_nothing_is_refused(ptx: Run) -> None:
    done = ptx("models", "--device", "cpu")
    assert done.code == 2
    assert "No such option: --device" in done.err
    assert json.loads(ptx("models", "--json").out.splitlines()[0])["name"]
