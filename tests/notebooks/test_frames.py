"""What frames hold: what was asked for, what matters first; tables as the terminal shows them, of numbers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ptx import api
from ptx.notebooks.frames import grid
from ptx.results.sheet import Item, Page, Sheet

# Tiny random models never learn.
pytestmark = pytest.mark.filterwarnings("ignore:the prompt for .* has not learned:UserWarning")


@pytest.fixture
def settings(tiny, suite) -> dict:
    return {"suite": Path(suite), "tasks": ["R1", "R2"], "epochs": 1}


def test_a_stage_gives_its_own_rows_and_what_matters_first(ptx, tiny, settings) -> None:
    pair = {"sources": [tiny["a"]], "target": tiny["b"]}
    scores = api.eval(**pair, **settings)
    assert scores.stage.tolist() == ["eval", "eval"]
    assert [*scores.columns[:8]] == ["sources", "target", "method", "task", "accuracy", "floor", "facts", "dropped"]
    assert [*scores.columns[-4:]] == ["stage", "reused", "seconds", "path"]
    assert scores.accuracy.mean() == pytest.approx(api.table(long=True).set_index("method").micro["relative"])
    found = api.search(**pair, **settings)
    assert [*found.columns[:5]] == ["sources", "target", "method", "task", "matching_loss"]
    tuned = api.tune(model=tiny["a"], **settings)
    assert [*tuned.columns[:3]] == ["model", "task", "dev_accuracy"]
    assert set(tuned.stage) == {"tune"}


def test_all_that_a_stage_needs_comes_behind_it_if_asked_for(ptx, tiny, settings) -> None:
    whole = api.eval(sources=[tiny["a"]], target=tiny["b"], upstream=True, **settings)
    assert whole.stage.tolist()[:2] == ["eval", "eval"]
    assert sorted(whole.stage[2:]) == ["anchors", "encode", "encode", "search", "search", "tune", "tune"]
    again = api.eval(sources=[tiny["a"]], target=tiny["b"], dry_run=True, **settings)
    assert again.key.tolist() == whole.key.tolist()
    assert set(again.cache) == {"hit"}


def test_a_recipe_gives_its_cells(ptx, tiny, suite, tmp_path) -> None:
    (tmp_path / "r.toml").write_text(
        f'suite = "{suite}"\nsources = [["{tiny["a"]}"]]\ntargets = ["{tiny["b"]}"]\nmethods = ["relative"]\n'
        "[tune]\nepochs = 1\n"
    )
    cells = api.run(tmp_path / "r.toml")
    assert set(cells.stage) == {"table"}
    assert [*cells.columns[:4]] == ["suite", "method", "sources", "target"]
    whole = api.run(tmp_path / "r.toml", upstream=True)
    assert len(whole) == len(cells) + 9


def test_a_table_is_the_one_of_the_terminal_in_numbers(ptx, tiny, settings) -> None:
    shared = api.anchors(models=[*tiny.values()]).key[0]
    for target, method, sources in (
        ("b", "relative", [tiny["a"]]), ("b", "manual", []), ("b", "relative", [tiny["a"], tiny["narrow"]]),
        ("narrow", "relative", [tiny["a"]]), ("narrow", "manual", []),
    ):  # fmt: skip
        api.eval(target=tiny[target], sources=sources, method=method, anchors=shared, **settings)
    shown = ptx("table").out
    for figure in ("micro", "macro", "matching_loss"):
        found = api.table(figure=figure)
        assert [*found.index.names] == ["method", "sources"]
        assert all(kind == "float64" for kind in found.dtypes)
        numbers = [f"{value:.{3 if 'loss' in figure else 1}f}" for row in found.to_numpy() for value in row]
        printed = shown[
            shown.index({"micro": "mean of tasks", "macro": "pooled facts", "matching_loss": "Matching"}[figure]) :
        ]
        lines = [line for line in printed.splitlines()[2 : 4 + len(found)] if re.search(r"\d$", line)]
        assert [number for number in numbers if number != "nan"] == re.findall(r" (\d+\.\d+)", "\n".join(lines))
    assert api.table().equals(api.table(figure="micro"))
    assert api.table().isna().sum().sum() == 1
    assert "test split: 2 tasks" in api.table().attrs["titles"][0]
    with pytest.raises(api.PtxError, match="no figure 'mikro' in these tables") as raised:
        api.table(figure="mikro")
    assert "there are micro, macro, matching_loss" in raised.value.hint


def test_several_tables_are_one_frame_with_their_titles(ptx, tiny, settings) -> None:
    api.eval(sources=[tiny["a"]], target=tiny["b"], **settings)
    api.eval(sources=[tiny["a"]], target=tiny["b"], **{**settings, "epochs": 2})
    found = api.table()
    assert [*found.index.names] == ["table", "method", "sources"]
    titles = found.index.unique("table")
    assert len(titles) == 2
    assert {re.search(r"epochs \d", title)[0] for title in titles} == {"epochs 1", "epochs 2"}  # type: ignore[index]
    assert len(api.table(curve=True).droplevel("epoch")) == 2 + 3


def test_what_a_cell_of_a_table_says() -> None:
    """Deviations, counts, marks and published numbers are left out; words stay; two models may have one name."""
    rows = [
        [Item("1"), Item("16"), Item("78.8 ± 0.3"), Item("10.3", "best", "† [11.0]"), Item("masked")],
        [Item("2"), Item("32"), Item("-0.5 (7)"), Item("", after="[12.0]"), Item("")],
        [Item("10"), Item("1,234"), Item("20.0"), Item(""), Item("causal")],
    ]
    sheet = Sheet("x", "Title", ["a note"], 2, ["epoch", "steps", "m", "m", "task"], rows, [])
    found = grid([Page("head", [], [], [sheet])])
    assert [*found.index] == [(1, 16), (2, 32), (10, 1234)]
    assert [*found.columns] == ["m", "m", "task"]
    assert found.iloc[:, 0].tolist() == [78.8, -0.5, 20.0]
    assert found.iloc[0, 1] == 10.3
    assert found.iloc[1:, 1].isna().all()
    assert found.task.tolist() == ["masked", "", "causal"]
    assert found.attrs == {"titles": ["head: Title"], "notes": ["a note"]}


def test_frames_plot_themselves(ptx, tiny, settings) -> None:
    """pandas does it: bars are the table's cells, lines the curve over steps."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    scores = api.eval(sources=[tiny["a"]], target=tiny["b"], **settings)
    bars: Any = api.table().plot.barh()
    assert sorted(bar.get_width() for bar in bars.patches) == sorted(api.table().to_numpy().ravel())
    lines: Any = api.table(curve=True).droplevel("epoch").plot()
    (line,) = lines.lines
    assert [*line.get_xdata()] == [0, 2]
    plot: Any = scores.plot
    by_task = plot.bar(x="task", y=["accuracy", "floor"])
    assert [bar.get_height() for bar in by_task.patches] == [*scores.accuracy, *scores.floor]
    matplotlib.pyplot.close("all")


def test_rows_keep_whole_numbers_whole() -> None:
    from ptx.notebooks.frames import frame

    found = frame([{"stage": "x", "n": 1, "of": None}, {"stage": "y", "key": "k"}], ("n",))
    assert [*found.columns] == ["n", "key", "of", "stage"]
    assert found.n.dtype == "Int64"
    assert pd.isna(found.n[1])
