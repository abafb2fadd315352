"""What is said of tuned prompts: how they compare with what they have to beat, and which have not learned."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Result, write_suite

from ptx.stages.learned import TRY
from ptx.transfer import baselines

Run = Callable[..., Result]


@dataclasses.dataclass(frozen=True)
class Unknown:
    """In place of baselines, which early artifacts do not have."""


def lines(result: Result, word: str) -> list[str]:
    return [line for line in result.err.splitlines() if word in line]


def told(line: dict) -> str:
    """The warning about a prompt by its figures."""
    shown = f"{line['dev_accuracy']:.1%} on dev, no more than always the same answer ({line['majority']:.1%})"
    return f"warning: the prompt for {line['task']} on {Path(line['model']).name} has not learned: {shown}"


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    """One task without a manual template."""
    folder = write_suite(tmp_path / "pairs", tasks=["R1"])
    (folder / "relations.jsonl").write_text('{"relation": "R1"}\n')
    return str(folder)


@pytest.fixture
def tune(ptx: Run, tiny: dict[str, str], suite: str) -> Run:
    """Tiny random models, on which nothing is learned for some tasks."""
    return lambda *more: ptx("tune", "--model", tiny["a"], "--suite", suite, "--epochs", "2", *more)


def test_every_prompt_stands_beside_what_it_has_to_beat(ptx: Run) -> None:
    args = ["tune", "--model", "bert-micro", "--tasks", "P103,P138", "--epochs", "1"]
    shown = ptx(*args)
    assert shown.out.startswith("model bert-micro\n")
    header = next(line for line in shown.out.splitlines() if line.startswith("task"))
    assert header.split()[:8] == ["task", "dev_accuracy", "%", "majority", "%", "template", "%", "epoch"]
    assert not lines(shown, "warning")
    made = ptx(*args, "--json").at("tune")
    better = sum(line["dev_accuracy"] > line["template"] for line in made)
    assert all(line["dev_accuracy"] > line["majority"] for line in made)
    wanted = f"on dev, 2 of 2 tuned prompts beat always the same answer, and {better} of 2 the task's manual template"
    assert lines(shown, "on dev") == [wanted]
    searched = ptx("search", "--sources", "bert-micro", "--target", "albert-micro", "--method", "discretize", *args[3:])
    assert searched.code == 0, searched.err
    assert not lines(searched, "on dev")  # it was said when they were tuned


def test_what_has_not_learned_is_named_with_what_to_try(tune: Run) -> None:
    made = tune("--json")
    assert made.code == 0
    rows = made.at("tune")
    lagging = [line for line in rows if line["dev_accuracy"] <= line["majority"]]
    assert lagging
    assert lines(made, "not learned") == [f"{told(line)}; {TRY}" for line in lagging]
    beaten = len(rows) - len(lagging)
    (line,) = lines(made, "tuned prompts")
    assert line.startswith(f"on dev, {beaten} of {len(rows)} tuned prompts beat always the same answer, and")
    again = tune("--json")
    assert all(line["reused"] for line in again.lines)
    assert lines(again, "not learned") == lines(made, "not learned")  # found in the cache or not


def test_search_says_that_a_source_has_not_learned(ptx: Run, tune: Run, tiny: dict[str, str], suite: str) -> None:
    rows = tune("--json").at("tune")
    lagging = [line for line in rows if line["dev_accuracy"] <= line["majority"]]
    keys = ",".join(line["key"] for line in rows)
    for sources in (["--sources", tiny["a"], "--suite", suite, "--epochs", "2"], ["--prompt", keys]):
        found = ptx("search", *sources, "--target", tiny["b"])
        assert found.code == 0, found.err
        assert lines(found, "not learned") == [told(line) for line in lagging]
        assert not lines(found, "tuned prompts beat")


def test_nothing_is_said_where_it_is_not_known(
    ptx: Run, tune: Run, tiny: dict[str, str], suite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in caches of earlier versions."""
    with monkeypatch.context() as patch:
        patch.setattr(baselines, "baselines", lambda model, task: Unknown())
        made = tune("--json")
    assert made.code == 0, made.err
    assert "majority" not in made.at("tune")[0]
    again = tune()
    assert again.code == 0
    args = ["--sources", tiny["a"], "--target", tiny["b"], "--suite", suite, "--epochs", "2"]
    for shown in (made, again, ptx("search", *args)):
        assert not lines(shown, "on dev")


def test_a_dry_run_says_nothing_of_what_is_not_there(tune: Run) -> None:
    assert not lines(tune("--dry-run"), "on dev")


def test_a_task_without_a_template_has_nothing_to_compare_with(ptx: Run, tiny: dict[str, str], pairs: str) -> None:
    made = ptx("tune", "--model", tiny["a"], "--suite", pairs, "--epochs", "1", "--json")
    assert [line["template"] for line in made.at("tune")] == [None]
    (line,) = lines(made, "tuned prompt")
    assert line.endswith("beats always the same answer")
