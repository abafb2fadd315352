"""`ptx report`: one HTML file that holds everything, escapes everything, and says where each number is from."""

from __future__ import annotations

import contextlib
import importlib
import json
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import write_suite

from ptx import api
from ptx.results.report import words
from ptx.results.report.beside import Lost
from ptx.results.report.transfers import bootstrap

HOSTILE = "<img src=x onerror=alert(1)>"
SUBJECT = "</td><script>alert('name')</script>\u202e\"'&amp;"
VOID = {"meta", "img", "input", "br", "circle", "path", "link"}
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), "")


class Page(HTMLParser):
    """The elements of a page with their attributes, its text, tables as rows of texts; all tags must be balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self.tables: list[list[list[str]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("circle", "path"):
            assert self.open.pop() == tag, f"</{tag}> in {self.open}"

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & {*self.open}:
            self.text += data
        if {"td", "th"} & {*self.open}:
            self.tables[-1][-1][-1] += data

    def all(self, tag: str) -> list[dict]:
        return [attrs for name, attrs in self.tags if name == tag]

    def table(self, caption: str) -> list[list[str]]:
        """The first table of this name."""
        labelled = [attrs.get("aria-label", "") for attrs in self.all("div")]
        return self.tables[labelled.index(caption)]


@pytest.fixture(scope="module")
def cached(tiny, tmp_path_factory) -> tuple[Path, str]:
    """A cache of transfers between all tiny masked models, with names and facts that mean harm, and its suite."""
    folder = tmp_path_factory.mktemp("report")
    suite = write_suite(folder / (40 * "suite"), tasks=("R1", HOSTILE, "R3"))
    for file in suite.glob("*/test.jsonl"):
        facts = [json.loads(line) for line in file.read_text().splitlines()]
        file.write_text("".join(json.dumps({**f, "sub_label": f"{f['sub_label']} {SUBJECT}"}) + "\n" for f in facts))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        masked = [tiny["a"], tiny["b"], tiny["narrow"]]
        anchors = api.anchors(models=masked, cache_dir=folder / "cache").key.iloc[-1]
        scored = {"suite": suite, "cache_dir": folder / "cache", "anchors": anchors}
        of = {**scored, "epochs": 1, "lr": 0.02}
        for target in masked:
            for source in (tiny["a"], tiny["b"]):
                api.eval(sources=source, target=target, inputs="train", forecast=source != target, **of)
            api.eval(target=target, **of)
            api.eval(target=target, method="manual", **scored)
        api.eval(sources=tiny["a"], target=tiny["b"], seed=1, ridge=0.5, top_k=30, normalize=False, **of)
    return folder / "cache", str(suite)


@pytest.fixture
def made(ptx, cached, tmp_path) -> tuple[str, Page]:
    result = ptx("report", "--output", "r.html", "--cache-dir", str(cached[0]), "--words", "2")
    assert result.code == 0, result.err
    text = (tmp_path / "r.html").read_text("utf-8")
    return text, Page(text)


def test_one_file_that_loads_nothing(made) -> None:
    text, page = made
    addresses = [v for _, attrs in page.tags for n, v in attrs.items() if n in ("src", "href", "action", "srcset")]
    assert addresses
    assert [a for a in addresses if not a.startswith(("#", "data:"))] == []
    assert not re.search(r"https?:|url\(|@import", text)
    assert {"link", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.tags} == set()
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len({*ids})
    assert {a.removeprefix("#") for a in addresses if a.startswith("#")} <= {*ids}


def test_names_from_outside_stay_text(made) -> None:
    text, page = made
    assert len(page.all("script")) == 1
    assert page.all("img") == []
    assert [n for _, attrs in page.tags for n in attrs if n.startswith("on")] == []
    assert HOSTILE in page.text  # as text
    assert "<script>alert('name')</script> \"'&amp;" in page.text
    assert "\u202e" not in text
    (policy,) = [m["content"] for m in page.all("meta") if "http-equiv" in m]
    assert re.fullmatch(
        r"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-[\w+/]+='", policy
    )


def test_every_number_of_the_frame_and_every_key(made, cached) -> None:
    """A cell says what `ptx.table` does, to the last digit for sorting, and leads to its evaluations."""
    _, page = made
    frame = api.table(cache_dir=cached[0], long=True)
    exact = {float(attrs["data-value"]) for attrs in page.all("td") if "data-value" in attrs}
    for name in ("micro", "macro", "forecast", "matching_loss", "search_loss"):
        assert {*frame[name].dropna()} <= exact, name
    for row in frame[frame.method != "floor"].to_dict("records"):
        dropped, seeds = row["dropped"], row["seeds"]
        assert f"{row['tasks']} tasks, {row['facts']} facts, {dropped} dropped, {seeds} seed" in page.text
    keys = [folder.name for folder in (cached[0] / "v1" / "eval").iterdir()]
    assert len(keys) == (6 + 3 + 3 + 1) * 3
    assert [key for key in keys if key[:12] not in page.text] == []


def test_the_best_transfer_from_another_model_is_marked(made, cached, tiny) -> None:
    _, page = made
    header, *rows = page.table("P@1 in %, mean of tasks")
    frame = api.table(cache_dir=cached[0], long=True)
    first = frame[frame.settings == frame.settings.iloc[0]]
    for column, target in enumerate(header[2:], start=2):
        moved = first[(first.target == target) & (first.sources != "") & (first.sources != target)]
        sizes = {row[1]: row[column] for row in rows if row[1] and row[column]}
        marked = [sources for sources, cell in sizes.items() if "★" in cell]
        if not moved.empty and any(sources in sizes for sources in moved.sources):
            assert {*marked} <= {*moved[moved.micro == moved.micro.max()].sources} | {*frame.sources}
            assert marked


def test_a_heat_map_and_relations_in_numbers_that_colours_only_repeat(made, cached, tiny) -> None:
    _, page = made
    title = next(a["aria-label"] for a in page.all("div") if "from sources (rows)" in a.get("aria-label", ""))
    header, *rows = page.table(title)
    frame = api.table(cache_dir=cached[0], long=True)
    assert {row[0] for row in rows} >= {"a", "b"}
    for name, *cells in rows[:2]:
        for target, cell in zip(header[1:], cells, strict=True):
            shown = {f"{100 * value:.1f}" for value in frame[(frame.sources == name) & (frame.target == target)].micro}
            assert not cell or cell in shown
    assert all(re.fullmatch(r"--v:[01]\.\d+", a["style"]) for a in page.all("td") if "style" in a)
    by_task = api.table(cache_dir=cached[0], by="task", long=True)
    header, *rows = page.table("Accuracy by relation, P@1 in %")
    assert {*header[3:]} == {"R1", "R3", HOSTILE}
    for method, sources, target, *cells in rows:
        if sources:
            for task, cell in zip(header[3:], cells, strict=True):
                of = by_task[(by_task.sources == sources) & (by_task.target == target) & (by_task.task == task)]
                assert not cell or cell in {f"{100 * value:.1f}" for value in of.micro}, method


def test_words_errors_and_forecasts_stand_in_the_parts(made, cached) -> None:
    _, page = made
    assert len([a for a in page.all("div") if a.get("aria-label") == "Words before and after"]) == 2
    header, *rows = page.table("Words before and after")
    assert header[0] == "vector"
    assert header[1].endswith("(before)")
    assert header[2].endswith("(after)")
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5"]
    assert all(re.search(r"\w 0\.\d\d", row[2]) for row in rows)
    header, *rows = page.table("Errors side by side")
    assert header[:2] == ["subject", "truth"]
    assert header[-2:] == ["tuned on target", "manual"]
    assert all(f"{row[1]} (" not in row[2] for row in rows)  # each is answered wrongly
    for row in rows:  # and a tick says which other is right
        assert [f"{row[1]} (" in cell for cell in row[3:]] == ["✓" in cell for cell in row[3:]]
    assert len(page.all("circle")) == len(page.table("Forecasts against truth")) - 1 == 4


def test_the_commands_make_the_same_artifacts(ptx, made, cached) -> None:
    """Run again, every one finds all that it would build."""
    _, page = made
    commands = re.findall(r"ptx eval .*", page.text)
    assert len(commands) == 6 + 3 + 3 + 1
    found: set[str] = set()
    for command in commands:
        told = ptx(*shlex.split(command)[1:], "--cache-dir", str(cached[0]), "--dry-run", "--json")
        assert told.code == 0, told.err
        lines = told.lines
        assert {line["cache"] for line in lines} == {"hit"}, command
        found |= {line["key"] for line in lines if line["stage"] == "eval"}
    assert found == {folder.name for folder in (cached[0] / "v1" / "eval").iterdir()}


def test_it_writes_nothing_into_the_cache(made, cached) -> None:
    assert not (cached[0] / "v1" / "table").exists() or api.table(cache_dir=cached[0]) is not None
    before = {path: path.stat().st_size for path in cached[0].rglob("*") if path.is_file()}
    api.report(output="again.html", cache_dir=cached[0], words=0)
    assert {path: path.stat().st_size for path in cached[0].rglob("*") if path.is_file()} == before


def test_the_function_and_the_command_say_what_was_written(ptx, cached, tmp_path) -> None:
    (row,) = ptx("report", "--output", "a.html", "--cache-dir", str(cached[0]), "--words", "0", "--json").lines
    frame = api.report(output=tmp_path / "a.html", cache_dir=cached[0], words=0)
    assert frame.to_dict("records") == [row]
    assert row["evaluations"] == 39
    assert row["bytes"] == (tmp_path / "a.html").stat().st_size


def test_an_empty_cache_and_a_file_that_cannot_be_written(ptx, cached) -> None:
    result = ptx("report", "--output", "a.html")
    assert result.code == 1
    assert "no test evaluations in" in result.err
    assert "hint: run `ptx run demo`" in result.err
    Path("folder").mkdir()
    result = ptx("report", "--output", "folder", "--cache-dir", str(cached[0]), "--words", "0")
    assert result.code == 1
    assert "cannot write folder" in result.err


def test_a_missing_model_is_told_in_the_place_of_words(ptx, cached, tiny, monkeypatch) -> None:
    from ptx.errors import PtxError
    from ptx.prompts import inspect

    def gone(*args, **options):
        raise PtxError("<b>gone</b>", "fetch it")

    monkeypatch.setattr(inspect, "inspect", gone)
    assert ptx("report", "--output", "a.html", "--cache-dir", str(cached[0])).code == 0
    page = Page(Path("a.html").read_text("utf-8"))
    assert "Words: <b>gone</b>; fetch it" in page.text


def test_words_from_another_process_are_the_same(ptx, cached, monkeypatch) -> None:
    """Which looks where what that takes is not imported yet."""
    line = ["report", "--cache-dir", str(cached[0]), "--words", "2", "--output"]
    importlib.import_module(words.INSPECT)
    assert ptx(*line, "here.html").code == 0
    monkeypatch.delitem(sys.modules, words.INSPECT)
    assert ptx(*line, "there.html").code == 0
    assert words.INSPECT not in sys.modules
    assert Path("there.html").read_text("utf-8") == Path("here.html").read_text("utf-8")

    @contextlib.contextmanager
    def lost(module: str) -> Any:
        def answer() -> None:
            raise Lost

        yield lambda *question: answer

    monkeypatch.setattr(words, "beside", lost)
    assert ptx(*line, "killed.html").code == 0
    told = Page(Path("killed.html").read_text("utf-8")).text
    assert told.count("Words: the process that looked them up has ended; try it again") == 2


def test_intervals_are_those_of_another_bootstrap() -> None:
    from scipy.stats import bootstrap as reference

    values = np.random.default_rng(5).random(30)
    expected = reference((values,), np.mean, method="percentile", n_resamples=20_000, rng=1).confidence_interval
    assert bootstrap(tuple(values.tolist())) == pytest.approx(tuple(expected), abs=0.01)
    assert bootstrap((0.5,)) is None


NODE = """
const rows = [["b", 2], ["", null], ["a10", 10], ["a9", -1]].map(([text, value]) => ({cells: [
  {textContent: text, getAttribute: () => null, classList: {contains: () => true}},
  {textContent: "x", getAttribute: () => value === null ? null : String(value), classList: {contains: () => false}}]}));
for (const [column, direction] of [[0, 1], [0, -1], [1, 1], [1, -1]]) {
  const out = [], table = {tBodies: [{rows, append: (row) => out.push(row)}]};
  sortBy(table, column, direction);
  console.log(out.map((row) => row.cells[0].textContent).join(","));
}
"""


@pytest.mark.skipif(not shutil.which("node"), reason="no node on this machine")
def test_sorting(tmp_path) -> None:
    """Numbers within names count as numbers; what is empty comes last, either way."""
    from ptx.results import report

    script = (Path(report.__file__).parent / "page.js").read_text("utf-8")
    assert len(script.splitlines()) < 100
    stub = "const document = {querySelectorAll: () => []}, window = {addEventListener() {}}, location = {hash: ''};\n"
    (tmp_path / "x.js").write_text(script.replace('"use strict";', '"use strict";\n' + stub) + NODE)
    done = subprocess.run(["node", tmp_path / "x.js"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["a9,a10,b,", "b,a10,a9,", "a9,b,a10,", "a10,b,a9,"]


@pytest.fixture
def browser(made, tmp_path):
    """The report in a headless Chromium of a width, in light or dark, with or without JavaScript; at the end its
    console is empty, and no other file has been asked for."""
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    address, said = (tmp_path / "r.html").as_uri(), list[str]()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])

        def opened(width: int = 1280, *, runs_scripts: bool = True, dark: bool = False) -> Any:
            scheme: Any = "dark" if dark else "light"
            page = chromium.new_page(
                viewport={"width": width, "height": 900}, java_script_enabled=runs_scripts, color_scheme=scheme
            )
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            page.on("request", lambda request: said.append(request.url) if request.url != address else None)
            page.goto(address)
            return page

        yield opened
        chromium.close()
    assert [text for text in said if not text.startswith("data:")] == []


def numbers(page: Any, table: int, column: int) -> list[float]:
    cells = page.locator("table.sortable").nth(table).locator(f"tbody tr > :nth-child({column})")
    values = [cell.get_attribute("data-value") for cell in cells.all()]
    return [float(value) for value in values if value is not None]


def test_a_browser_sorts_by_mouse_and_by_keyboard(browser) -> None:
    page = browser()
    table = page.locator("table.sortable").first
    column = table.locator("thead th").count()
    head = table.locator("thead th").last
    first = numbers(page, 0, column)
    assert len({*first}) > 1
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert numbers(page, 0, column) == sorted(first, reverse=True)
    page.keyboard.press("Enter")  # the button has the focus
    assert head.get_attribute("aria-sort") == "ascending"
    assert numbers(page, 0, column) == sorted(first)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") is None
    assert page.locator("table.sortable").first.locator("thead th[aria-sort]").count() == 1


def test_a_browser_searches_and_opens_what_a_cell_leads_to(browser) -> None:
    page = browser()
    parts = page.locator("details.part")
    all_parts = parts.count()
    title = parts.last.locator("summary").inner_text().split(":")[0]
    page.get_by_label("Search the transfers").fill(title)
    shown = [part for part in parts.all() if part.is_visible()]
    assert 0 < len(shown) < all_parts
    assert title in shown[-1].inner_text()
    assert page.locator("form.search output").inner_text() == f"{len(shown)} of {all_parts} shown"
    page.get_by_label("Search the transfers").fill("no such words")
    assert not any(part.is_visible() for part in parts.all())
    link = page.locator("table.sortable td a").first
    part = page.locator(f"details{link.get_attribute('href')}")
    link.click()  # a search hides it, and it is closed
    part.wait_for()  # until it is visible
    assert part.locator("dl").is_visible()
    page.get_by_label("Search the transfers").fill("")
    assert all(part.is_visible() for part in parts.all())


@pytest.mark.parametrize("width", [1280, 360])
def test_a_browser_shows_it_at_two_widths_light_and_dark(browser, width, tmp_path) -> None:
    """Wide tables scroll within themselves: the page never does."""
    seen = {}
    for dark in (False, True):
        page = browser(width, dark=dark)
        for part in page.locator("details").all():
            part.evaluate("part => part.open = true")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        style = page.evaluate_handle("getComputedStyle(document.body)")
        seen[dark] = style.evaluate("of => [of.color, of.backgroundColor]")
        page.screenshot(path=tmp_path / f"{width}-{dark}.png")
        assert (tmp_path / f"{width}-{dark}.png").stat().st_size > 10_000
    assert seen[False] != seen[True]


def test_a_browser_without_scripts_shows_everything_but_the_search(browser) -> None:
    page = browser(runs_scripts=False)
    assert page.locator("table.sortable").first.is_visible()
    assert not page.get_by_label("Search the transfers").is_visible()
    part = page.locator("details.part").first
    part.locator("summary").click()
    assert part.locator("dl").is_visible()
