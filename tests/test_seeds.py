"""Several seeds: cells as several tasks are; in tables mean, sample deviation over seeds, and how many there are."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import COUNTRIES, PAPER_TUNING

from ptx import api
from ptx.paper.cells import Cell, deviation_note
from ptx.results.table import tables

Ptx = Callable[..., Any]
pytestmark = pytest.mark.filterwarnings("ignore:the prompt for .* has not learned:UserWarning")


@pytest.fixture
def common(suite: str) -> list[str]:
    return ["--suite", suite, "--tasks", "R1,R2", "--epochs", "2", *PAPER_TUNING]


def mean(values: Any) -> float:
    return statistics.fmean([*values])


def test_commands_expand_seeds_as_tasks(ptx: Ptx, tiny: dict[str, str], common: list[str]) -> None:
    one = {seed: ptx("tune", "--model", tiny["a"], *common, "--seed", str(seed), "--json").lines for seed in (2, 0)}
    both = ptx("tune", "--model", tiny["a"], *common, "--seeds", "2,0,2", "--json").lines
    assert [line["key"] for line in both] == [line["key"] for seed in (2, 0) for line in one[seed]]
    assert [(line["seed"], line["task"]) for line in both] == [(2, "R1"), (2, "R2"), (0, "R1"), (0, "R2")]
    assert all(line["reused"] for line in both)
    pair = ["--sources", tiny["a"], "--target", tiny["b"]]
    # --seeds comes before --seed, of what stands for the words (a draw of anchors) too
    found = ptx("search", *pair, *common, "--seeds", "2,0", "--seed", "7", "--count", "20", "--json")
    assert found.code == 0, found.err
    assert [line["seed"] for line in found.at("search")] == [2, 2, 0, 0]
    alone = ptx("search", *pair, *common, "--seed", "2", "--count", "20", "--json").at("search")
    assert [line["key"] for line in alone] == [line["key"] for line in found.at("search")[:2]]
    encoded = ptx("encode", "--model", tiny["a"], *common, "--seeds", "2,0", "--json").at("encode")
    assert len({line["key"] for line in encoded}) == 4
    shown = ptx("tune", "--model", tiny["a"], *common, "--seeds", "2,0").out.splitlines()
    assert shown[0] == "model a"
    assert shown[2].split()[:2] == ["task", "seed"]
    assert [line.split()[1] for line in shown[3:7]] == ["2", "2", "0", "0"]
    wrong = ptx("search", "--prompt", both[0]["key"], "--target", tiny["b"], "--seeds", "0,1")
    assert wrong.code == 2
    assert "--prompt names prompts that have seeds of their own" in wrong.err
    assert "--seeds 'x' is no list of whole numbers" in ptx("tune", "--model", tiny["a"], "--seeds", "x").err


def test_means_and_deviations_over_seeds(
    ptx: Ptx, tiny: dict[str, str], common: list[str], suite: str, tmp_path: Path
) -> None:
    (tmp_path / "words.txt").write_text("\n".join(COUNTRIES))
    target = ["eval", "--target", tiny["b"], *common, "--anchors", "words.txt"]
    random = [*target, "--method", "random"]
    lines = ptx(*random, "--seeds", "0,1,2", "--json").at("eval")
    assert ptx(*target, "--method", "manual", "--seeds", "0,1,2", "--json").at("eval")[0].get("seed") is None
    assert ptx(*target, "--seeds", "0,1", "--json").code == 0
    by_seed = [mean(of["accuracy"] for of in lines if of["seed"] == seed) for seed in (0, 1, 2)]
    middle, spread = mean(by_seed), statistics.stdev(by_seed)
    assert spread > 0
    printed = ptx(*random, "--seeds", "0,1,2").out.splitlines()[-1]
    whole = f"{100 * middle:.1f} ± {100 * spread:.1f}"
    assert printed.startswith(f"2 tasks, 16 facts: P@1 in %: mean of tasks {whole}, pooled facts ")
    assert printed.endswith("; ± over n = 3 seeds")
    cell = f"{100 * middle:.1f} ± {100 * spread:.1f}"
    caption = "± is the sample standard deviation over n = 3 seeds of the mean over tasks, and no interval over tasks"
    for format in ("text", "md", "html"):
        out = ptx("table", "--format", format).out
        assert cell in out
        assert caption in out
        assert "n=2" in out  # of tuned
        assert "n=1" not in out  # of manual, which draws nothing
    latex = ptx("table", "--format", "latex").out
    assert cell.replace(" ± ", " ") in latex.replace("±", "").replace(r"$\pm$", "").replace("  ", " ")
    rows = {
        "csv": list(csv.DictReader(io.StringIO(ptx("table", "--format", "csv").out))),
        "json": json.loads(ptx("table", "--format", "json").out),
        "frame": api.table(long=True).to_dict("records"),
    }
    for records in rows.values():
        (row,) = [row for row in records if row["method"] == "random"]
        assert float(row["micro"]) == pytest.approx(middle)
        assert float(row["micro_std"]) == pytest.approx(spread)
        assert int(row["seeds"]) == 3
        assert "drawn" not in row
    by_task = ptx("table", "--by", "task").out
    own = [of["accuracy"] for of in lines if of["task"] == "R1"]
    assert f"{100 * mean(own):.1f} ± {100 * statistics.stdev(own):.1f}" in by_task
    assert "over n = 3 seeds of a task's accuracy" in by_task
    (two,) = [row for row in ptx("table", "--seeds", "0,2", "--json").lines if row["method"] == "random"]
    assert (two["seeds"], two["micro"]) == (2, pytest.approx(mean([by_seed[0], by_seed[2]])))
    lacking = ptx("table", "--seeds", "0,7")
    assert lacking.code == 1
    assert "no test evaluations of seed 7 in" in " ".join(lacking.err.split())
    assert len(api.eval(target=tiny["b"], suite=suite, tasks="R1", epochs=2, init="random", lr=0.01,
                        schedule="constant", patience=0, seeds=[0, 1]).query("stage == 'eval'")) == 2  # fmt: skip


def test_a_seed_with_fewer_tasks_is_no_deviation_over_seeds(ptx: Ptx, tiny: dict[str, str], common: list[str]) -> None:
    target = ["eval", "--target", tiny["b"], *common]
    lines = ptx(*target, "--seeds", "0,1", "--json").at("eval")
    assert ptx(*target, "--seed", "2", "--tasks", "R2").code == 0
    made = ptx("table", "--json")
    (row,) = [row for row in made.lines if row["method"] == "tuned"]
    assert (row["seeds"], row["micro"]) == (2, pytest.approx(mean(of["accuracy"] for of in lines)))
    said = "tuned on b: seed 2 has other tasks than another one (1, and not 2), and is left out of means over seeds"
    assert said in " ".join(made.err.split())


def test_a_recipe_has_seeds_of_its_own(ptx: Ptx, tiny: dict[str, str], suite: str, tmp_path: Path) -> None:
    text = f'suite = "{suite}"\ntasks = ["R1"]\ntargets = ["{tiny["b"]}"]\nmethods = ["tuned"]\nseeds = [1, 3]\n'
    (tmp_path / "r.toml").write_text(text + 'tune = { epochs = 1, init = "random" }\n')

    def seeds(*args: str) -> list[int]:
        made = ptx("run", "r.toml", "--json", *args)
        assert made.code == 0, made.err
        return [line["seed"] for line in made.at("eval")]

    assert seeds() == [1, 3]
    assert seeds("--seeds", "0,1") == [0, 1]
    assert seeds("--seed", "5") == [5]
    assert "over n = 2 seeds" in ptx("run", "r.toml").out
    (tmp_path / "r.toml").write_text(text.replace("[1, 3]", '["x"]'))
    assert "seeds" in ptx("run", "r.toml").err


def test_cells_of_the_paper_say_deviation_and_n() -> None:
    scores = ((0.1, 0.5), (0.3, 0.5), (0.2, 0.3))
    cell = Cell("relative", ("a",), "b", "facts", 0.3, 2, 10, 0.1, seeds=(0, 1, 2), scores=scores)
    assert cell.deviation == pytest.approx(statistics.stdev([0.3, 0.4, 0.25]))
    assert "over n = 3 seeds of the mean over tasks" in deviation_note([cell])[0]
    manual = Cell("manual", (), "b", "facts", 0.3, 2, 10, 0.1, seeds=(0, 1, 2), scores=(scores[0],) * 3)
    assert manual.deviation is None
    assert deviation_note([manual]) == []
    assert tables([]) == []
