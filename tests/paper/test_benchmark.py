"""The table and figure of `ptx run benchmark`: numbers against plain loops, on a small grid of tiny models."""

from __future__ import annotations

import itertools
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from ptx.errors import PtxError
from ptx.paper import benchmark
from ptx.paper.cells import Cell
from ptx.results.sheet import render

RELATIONS = ("P1", "P2", "P3", "P4", "P5")
SEEDS = (0, 1)


def cell(method: str, sources: tuple[str, ...], target: str, *, first: int = 0, forecasts: bool = False) -> Cell:
    """Scores that depend on the names alone, on the relations from one on."""
    draw = np.random.default_rng(sum(map(ord, f"{method}{sources}{target}")))
    scores = draw.uniform(0.2, 0.6, (2, 5)) + (0.3 if method == "tuned" else 0)
    guessed = np.clip(scores + draw.normal(0, 0.1, (2, 5)), 0, 1)
    guessed[0, 1] = float("nan")
    rows = {"scores": scores, "floors": np.full((2, 5), 0.15) + np.arange(5) / 100, "forecasts": guessed}
    of: dict[str, Any] = {name: tuple(map(tuple, values[:, first:].tolist())) for name, values in rows.items()}
    of |= {} if forecasts else {"forecasts": ()}
    return Cell(
        method, sources, target, "facts", float(scores.mean()), 5, 50, 0.17, seeds=SEEDS, units=RELATIONS[first:],
        seconds=float(len(method)), **of,
    )  # fmt: skip


CELLS = [
    *(cell("tuned", (), target) for target in "abc"),
    *(cell("manual", (), target) for target in "abc"),
    *(cell("auto", (s,), t, forecasts=True) for s, t in itertools.permutations("abc", 2)),
    cell("portable", ("a", "b"), "c", first=1),
]


def plain(method: str, sources: int, half: int) -> tuple[float, float]:
    """Mean P@1 in percent and the share of the gap, number by number."""
    own, floors, tops = [], [], []
    of = [cell for cell in CELLS if cell.method == method and len(cell.sources) == sources]
    names = sorted(set.intersection(*(set(cell.units) for cell in of)))
    for c in of:
        (best,) = [other for other in CELLS if other.method == "tuned" and other.target == c.target]
        for name in names[half::2]:
            for seed in range(2):
                own.append(c.scores[seed][c.units.index(name)])
                floors.append(c.floors[seed][c.units.index(name)])
                tops.append(best.scores[seed][best.units.index(name)])
    score, floor, top = map(statistics.mean, (own, floors, tops))
    return 100 * score, 100 * (score - floor) / (top - floor)


def test_numbers_are_those_of_plain_loops() -> None:
    sheet = benchmark.table(CELLS)
    assert max(map(len, render(sheet, "text").splitlines())) <= 80
    records = {(row["method"], row["sources"]): row for row in sheet.records}
    assert list(records) == [("tuned", 0), ("manual", 0), ("auto", 1), ("portable", 2)]
    for (method, sources), row in records.items():
        assert row["choosing"] == pytest.approx(plain(method, sources, 0)[0])
        score, gap = plain(method, sources, 1)
        assert (row["reporting"], row["gap"]) == (pytest.approx(score), pytest.approx(gap))
        assert row["reporting_low"] <= score <= row["reporting_high"]
        assert row["seconds"] == len(method)
    assert [row["pairs"] for row in records.values()] == [3, 3, 6, 1]
    assert records["tuned", 0]["gap"] == pytest.approx(100)
    assert records["auto", 1]["needs"] == "unlabelled inputs"
    assert records["tuned", 0]["needs"] == "target labels"


def test_forecasts_are_compared_with_what_came() -> None:
    points = [
        (c.forecasts[seed][i], c.scores[seed][i], c.floors[seed][i])
        for c in CELLS if c.method == "auto" for seed in range(2) for i in range(5) if (seed, i) != (0, 1)
    ]  # fmt: skip
    expected, came, floor = zip(*points, strict=True)
    travels = [i for i in range(len(points)) if expected[i] > floor[i]]
    fell = sum(came[i] < expected[i] - 0.1 for i in travels)
    (note,) = benchmark.forecast_note(benchmark.forecasts(CELLS))
    assert f"{spearmanr(expected, came).statistic:.2f} over {len(points)} prompts" in note
    assert f"of {len(travels)} said to travel, {fell} fell 10 points below" in note
    assert 0 < fell < len(travels)
    assert benchmark.forecast_note(benchmark.forecasts(CELLS[:3])) == []


def test_without_a_ceiling_there_is_no_gap() -> None:
    with pytest.raises(PtxError, match="nothing was tuned on a, which is the ceiling there"):
        benchmark.table(CELLS[1:])


def test_a_recipe_that_shows_it(ptx, tiny: dict[str, str], suite: str, tmp_path: Path) -> None:
    recipe = tmp_path / "small.toml"
    recipe.write_text(
        f"shows = 'benchmark'\nsuite = {json.dumps(suite)}\nself_transfer = false\ntune.epochs = 2\n"
        f"sources = [[{json.dumps(tiny['a'])}]]\ntargets = {json.dumps([tiny['b'], tiny['narrow']])}\n"
        "methods = ['manual', 'text', 'relative', 'auto', 'tuned']\n"
    )
    result = ptx("run", str(recipe), "--output", str(tmp_path / "figures"))
    assert result.code == 0, result.err
    assert "share of the gap" in result.out
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        "benchmark.png",
        "benchmark.svg",
        "benchmark.pdf",
    }
    again = ptx("run", str(recipe), "--json")
    rows = {row["method"]: row for row in again.lines if row["stage"] == "figure"}
    assert set(rows) == {"manual", "text", "relative", "auto", "tuned"}
    assert rows["auto"]["seconds"] != rows["manual"]["seconds"]


def test_methods_of_a_grid_take_the_settings_they_use(ptx, tiny: dict[str, str], suite: str, tmp_path: Path) -> None:
    """Keys are those of the command lines."""
    recipe = tmp_path / "some.toml"
    recipe.write_text(
        f"suite = {json.dumps(suite)}\ntune.epochs = 2\nsearch.candidates = 'text,relative'\ntasks = ['R1']\n"
        f"sources = [[{json.dumps(tiny['a'])}]]\ntargets = [{json.dumps(tiny['b'])}]\n"
        "methods = ['relative', 'neighbours', 'auto']\n"
    )
    common = ["--sources", tiny["a"], "--target", tiny["b"], "--suite", suite, "--tasks", "R1", "--epochs", "2"]
    expected = set()
    for method, more in (("relative", []), ("neighbours", []), ("auto", ["--candidates", "text,relative"])):
        result = ptx("eval", "--method", method, *more, *common, "--json")
        assert result.code == 0, result.err
        expected |= {line["key"] for line in result.at("eval")}
    result = ptx("run", str(recipe))
    assert result.code == 0, result.err
    assert {line["key"] for line in ptx("run", str(recipe), "--json").at("eval")} == expected
    assert len(expected) == 3
