"""The benchmarks' own arithmetic, and that what they compare is the same thing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))  # the benchmarks are not installed

from benchmarks import __main__, causal, cluster, growth, report, search
from ptx.cache import Store
from ptx.engine.pipeline import Pipeline
from ptx.engine.workers import Quiet
from ptx.lms.lm import LanguageModel
from ptx.lms.models import resolve
from ptx.lms.template import LAYOUTS
from ptx.transfer.examples import Examples
from ptx.transfer.scoring import Questions

FAST = report.Row("search", 0.5, 1600.0, 3000, note="scaled")
HEAVY = report.Row("memory", 650.0, 500.0, 1.2, at_least=False, unit="MB", why="It is heavy.")
SIZE = report.Row("package", 28.4, goal=50, unit="MB")


def test_ratios_and_goals_read_as_they_are_meant() -> None:
    assert FAST.cells == ("search", "0.50 s", "1,600 s", "3,200×", "at least 3,000×", "scaled")
    assert HEAVY.cells == ("memory", "650 MB", "500 MB", "1.30×", "at most 1.20×: missed", "")
    assert SIZE.cells == ("package", "28.4 MB", "", "", "at most 50 MB", "")
    assert (FAST.met, HEAVY.met, SIZE.met, report.Row("x", 1.0, 2.0).met) == (True, False, True, None)
    assert report.quantity(0.0123, "s") == "12.3 ms"


def test_json_and_the_readme_hold_every_row(tmp_path: Path) -> None:
    about = dict.fromkeys(("system", "cores", "threads", "python", "torch", "transformers"), "?")
    found = json.loads(report.as_json([FAST, HEAVY], about, seconds=1.0))
    assert [(row["what"], row["ratio"], row["met"]) for row in found["rows"]] == [
        ("search", 3200.0, True),
        ("memory", 1.3, False),
    ]
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- times -->\nold\n<!-- /times -->\nafter\n")
    report.write_readme(page, [FAST, HEAVY], about, "below")
    text = page.read_text("utf-8")
    assert text.startswith("before\n<!-- times -->\nMeasured by")
    assert text.endswith("below\n<!-- /times -->\nafter\n")
    assert "| memory | 650 MB | 500 MB | 1.30× | at most 1.20×: missed |" in text
    assert "What was missed, and why:\n\n- It is heavy.\n" in text
    assert "old" not in text
    page.write_text("nothing")
    with pytest.raises(ValueError, match="no block"):
        report.write_readme(page, [FAST], about)


def test_a_quick_or_partial_run_never_reaches_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    for more in (["--quick"], ["--only", "search"]):
        with pytest.raises(SystemExit) as stopped:
            __main__.main(["--readme", *more])
        assert stopped.value.code == 2
    assert "--readme needs all groups at full size" in capsys.readouterr().err


@pytest.mark.parametrize("mask", ["both", "source"])
def test_the_exact_search_matches_at_least_as_well_as_adam(mask: str) -> None:
    of = search.problem(2, 300, 150, source=24, target=32)
    exact, adam = search.agreement(of, mask, steps=300)
    assert adam <= exact + 1e-6
    assert exact - adam < 0.1  # the same problem
    assert search.whole(of, mask).shape == (2, search.VECTORS, 32)


def test_units_of_a_cluster_are_groups_of_their_own(tmp_path: Path) -> None:
    units = cluster.units(3, 0.01)
    assert len({unit.group for unit in units}) == 3
    done = Pipeline(Store(tmp_path), Quiet()).run(units)
    assert [(of.artifact.path / "number.txt").read_text() for of in done if of.artifact] == ["0", "1", "2"]
    assert not {unit.key for unit in units} & {unit.key for unit in cluster.units(3)}  # those that warm up


def test_a_cache_of_the_subjects_changes_no_loss(tiny: dict[str, str]) -> None:
    model = LanguageModel(resolve(tiny["next"]))
    subjects = ["name1", "name2 name3 name4", "name5 name6", "name7", "name8 name9"]
    rows = model.rows(LAYOUTS["postfix"], subjects, prompt_length=3)
    task = Examples("T", [(row, 5 + i) for i, row in enumerate(rows)], Questions([], None, []))
    prompt = torch.randn(3, model.matrix.shape[1], generator=torch.Generator().manual_seed(0))
    assert causal.largest_difference(model, [task], prompt, batch=2) < causal.TOLERANCE


def test_the_exponent_is_the_slope_of_the_last_points() -> None:
    square = growth.Series("search", "width", tuple((n, 1e-6 * n**2) for n in (10, 20, 40, 80)))
    assert square.exponent == pytest.approx(2)
    assert square.cells[2:6] == ("10 to 80", "6.40 ms at 80", "2.00", "no")
    assert growth.Series("eval", "facts", ((1, 1.0),)).cells[4:6] == ("", "")
    assert growth.records([square])[0] == {"what": "search", "against": "width", "size": 10, "seconds": 0.0001}


def test_memory_drives_the_stages_on_a_small_model(tmp_path: Path) -> None:
    from benchmarks import memory
    from ptx.cache import Store

    bound = memory.prepare(tmp_path, tasks=2, anchors=40, vocabulary=50, width=64, layers=1)
    assert bound > 4 * 40 * 64
    for stage in memory.STAGES:
        outcomes = memory.run(memory.steps(tmp_path, 2)[stage], Store(tmp_path / "cache"))
        assert sum(o.step.stage.name == stage and not o.reused for o in outcomes) == 2
    assert memory.peak() > 1_000_000


def test_a_filled_cache_is_what_a_recipe_finds_all_of_its_artifacts_in(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from benchmarks.filled import fill
    from ptx.cache import Store
    from ptx.cli.main import app

    recipe, cache = tmp_path / "small.toml", str(tmp_path / "cache")
    recipe.write_text(
        'tasks = ["P17", "P27"]\nsources = [["bert-micro"]]\ntargets = ["roberta-micro"]\n'
        'methods = ["manual", "tuned", "random", "relative"]\n[[sweep]]\nanchors.count = [64, 128]\n'
    )
    assert fill(Store(Path(cache), pytest.fail), [str(recipe)]) == 10
    found = CliRunner().invoke(app, ["run", str(recipe), "--cache-dir", cache])
    assert "built nothing; reused 3 anchors, 4 tune, 4 encode, 6 search, 10 eval" in found.stderr
    shown = CliRunner().invoke(app, ["report", "--cache-dir", cache, "--output", str(tmp_path / "page.html")])
    assert shown.exit_code == 0, shown.stderr
    # How many anchors a prompt was found with tells the two apart, though answers are among the same words.
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "with count 128" in page
    assert "differ in a file" not in page
