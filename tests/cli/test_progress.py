"""What a person who waits is told: two lines on a terminal, plain ones elsewhere, totals before anything begins."""

from __future__ import annotations

import io
import re
import time

import pytest
from conftest import write_suite
from rich.console import Console

from ptx.cli import plan, progress
from ptx.engine.ahead import Ahead
from ptx.engine.meter import Meter, Report
from ptx.engine.step import Stage, Step
from ptx.engine.work import Work

FAST = ["--epochs", "2", "--init", "random"]


@pytest.fixture
def meter() -> Meter:
    stage = Stage("tune", 1, work=lambda step: Work(10, "steps", 100, seconds=50))
    tasks = [f"P{n}" for n in range(10, 18)]
    steps = [Step(stage, {"task": t}, labels={"model": "bert-base", "task": t}, group=("g",)) for t in tasks]
    meter = Meter(steps)
    meter.begin("tune")
    part = meter.plan(steps)
    now = "epoch 3 of 10, step 12 of 30, loss 2.31, dev 45%"
    meter.report(part, Report(200, 100, now, kept="after epoch 2"))
    return meter


def test_two_lines_say_how_far_it_is(meter) -> None:
    lines = [progress.whole(meter), progress.now(meter)]
    assert re.fullmatch(r"stage 1 of 1, tune  \[[#.]{10}\] +\d+%  0:00 gone, 5:\d\d left", lines[0])
    assert lines[1] == "bert-base P10, P11 +6: epoch 3 of 10, step 12 of 30, loss 2.31, dev 45%"
    assert max(map(len, lines)) < 80
    assert progress.kept(meter) == "\n  tune of bert-base P10, P11 +6 goes on after epoch 2"


@pytest.mark.parametrize(("seconds", "text"), [(5, "0:05"), (64.6, "1:05"), (7265, "2:01:05")])
def test_clock(seconds: float, text: str) -> None:
    assert progress.clock(seconds) == text


def test_on_a_terminal_both_lines_are_drawn_and_go(meter) -> None:
    shown = io.StringIO()
    with progress.watched(meter, Console(file=shown, force_terminal=True, width=60)):
        time.sleep(0.8)
    text = shown.getvalue()
    assert "stage 1 of 1, tune" in text
    assert "bert-base P10, P11 +6: epoch 3 of 10" in text
    assert "dev 45%" not in text  # it would not fit into 60 columns
    assert "\x1b[2K" in text


def test_elsewhere_a_line_comes_at_an_epoch_and_each_minute(meter, monkeypatch) -> None:
    def shown(seconds: float) -> list[str]:
        console = Console(file=io.StringIO(), soft_wrap=True)
        with progress.watched(meter, console):
            meter.report(meter.working[0], Report(line="an epoch"))
            time.sleep(seconds)
        return console.file.getvalue().splitlines()  # type: ignore[attr-defined]

    assert shown(0.8) == []  # neither a minute nor ten seconds
    monkeypatch.setattr(progress, "QUICK", 0.1)
    (line,) = shown(0.8)
    assert line.startswith("stage 1 of 1, tune  [")
    assert "; bert-base P10, P11 +6: epoch 3 of 10" in line
    monkeypatch.setattr(progress, "MINUTE", 0.1)
    assert len(shown(1.3)) == 2


def test_verbose_names_every_epoch_of_every_task(ptx, tiny, suite) -> None:
    result = ptx("tune", "--model", tiny["a"], "--suite", suite, *FAST, "--patience", "0", "-v")
    for task in ("R1", "R2"):
        for epoch in (1, 2):
            assert re.search(rf"a {task}: epoch {epoch} of 2, loss \d\.\d{{4}}, dev \d+\.\d%", result.err)
    assert result.err.count("built tune") == 2
    assert "epoch 1" not in ptx("tune", "--model", tiny["b"], "--suite", suite, *FAST).err


def test_worker_processes_say_as_much(ptx, tiny, suite, tmp_path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        f'suite = "{suite}"\nsources = [["{tiny["a"]}"], ["{tiny["b"]}"]]\ntargets = ["{tiny["narrow"]}"]\n'
        'methods = ["relative"]\ntune = { epochs = 2, init = "random", patience = 0 }\n'
    )
    err = ptx("run", str(recipe), "-v", "--jobs", "2").err
    assert len(re.findall(r"R[12]: epoch [12] of 2, loss", err)) == 2 * 2 * 2


def test_a_dry_run_ends_with_totals(ptx, tiny, tmp_path) -> None:
    many = write_suite(tmp_path / "many", tasks=[f"R{n}" for n in range(plan.MOST + 1)])
    args = ["tune", "--model", tiny["a"], "--suite", many, *FAST, "--dry-run"]
    result = ptx(*args)
    lines = result.out.splitlines()
    count = plan.MOST + 1
    assert lines[0].split() == ["stage", "in", "the", "cache", "to", "build", "which", "is"]
    assert lines[1].split() == ["tune", "0", str(count), str(2 * 2 * count), "steps"]  # of 24 facts, 16 at a time
    assert lines[3] == f"ahead: {count} artifacts, {2 * 2 * count} steps"
    assert re.fullmatch(
        r"about \d+ (seconds|minutes) \(a guess by the models' size\); [\d.]+ MB of memory, 328 kB of disk", lines[4]
    )
    assert f"--list shows all {count} artifacts" in result.err
    listed = ptx(*args, "--list").out.splitlines()
    assert sum(line.endswith("miss") for line in listed) == count
    assert len(ptx(*args, "--json").lines) == count
    ptx("tune", "--model", tiny["a"], "--suite", many, *FAST, "--tasks", "R1,R2")
    after = ptx(*args).out.splitlines()
    assert after[1].split()[:3] == ["tune", "2", str(count - 2)]
    assert "(by earlier runs)" in after[-1]
    done = ptx("tune", "--model", tiny["a"], "--suite", many, *FAST, "--tasks", "R1", "--dry-run")
    assert done.out.splitlines()[-1] == "nothing is to be built"


def test_a_long_run_says_first_what_it_takes(ptx, tiny, suite, monkeypatch) -> None:
    args = ["tune", "--model", tiny["a"], "--suite", suite, *FAST]
    assert "ahead:" not in ptx(*args).err
    monkeypatch.setattr(plan, "LONG", 0.0)
    err = ptx(*args, "--force").err
    assert "ahead: 2 artifacts, 8 steps\nabout " in err
    assert "ahead:" not in ptx(*args, "--force", "-q").err


def test_the_plan_fits_80_columns_and_says_what_is_not_known() -> None:
    amounts = {"tune": {"steps": 15_720}, "search": {"vectors": 12_600}, "eval": {"facts": 202_020}}
    counts = {"tune": 120, "search": 2520, "eval": 2520}
    said = plan.lines(Ahead(counts, amounts, 86_400.0, "by earlier runs", 5e9, 7e7))
    assert said[0] == "ahead: 5,160 artifacts, 15,720 steps, 12,600 vectors, 202,020 facts"
    assert said[1] == "about 24.0 hours (by earlier runs); 5.0 GB of memory, 70.0 MB of disk"
    assert max(map(len, said)) <= 80
    unknown = plan.lines(Ahead(counts, amounts, None, "", 5e9, 7e7))
    assert unknown[1].startswith("how long is not known on this GPU; ")
    assert plan.about(100) == "about 2 minutes"


def test_a_dry_run_plans_with_a_model_that_is_not_here(ptx, tiny, monkeypatch) -> None:
    """Its keys are those of nothing, and are not shown; a run, or a name that means nothing, is refused as ever."""
    from ptx.lms import hub

    def offline(repo: str, revision: str) -> None:
        raise hub.OutOfReach(f"{repo} is not here", "get it")

    monkeypatch.setattr(hub, "fetch_config", offline)
    args = ["tune", "--model", "bert-base", "--tasks", "P138", *FAST]
    dry = ptx(*args, "--dry-run")
    assert dry.code == 0, dry.err
    assert dry.out.splitlines()[1].split() == ["tune", "?", "bert-base", "P138", "unknown"]
    assert "ahead: 1 artifact, " in dry.out
    assert "not here: bert-base; what the cache has of it" in dry.err
    (line,) = ptx(*args, "--dry-run", "--json").lines
    assert (line["key"], line["path"], line["cache"]) == (None, None, "unknown")
    refused = ptx(*args)
    assert refused.code == 1
    assert "is not here" in refused.err
    assert "unknown model 'bert-bse'" in ptx("tune", "--model", "bert-bse", "--dry-run").err
