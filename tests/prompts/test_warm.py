"""Tuning that starts from finished prompts: which prompts fit, what the key depends on, and the curve."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import PAPER_TUNING, set_version

from ptx.formats import read_prompt
from ptx.stages.tune import FILE


@pytest.fixture
def paths(ptx, tiny, suite):
    """Paths of prompts of `b` transferred from `a`, one a task, by `-q`."""

    def run(*more: str, target: str = "b") -> str:
        args = ["--sources", tiny["a"], "--target", tiny[target], "--suite", suite, *PAPER_TUNING, "--epochs", "1"]
        return ptx("search", *args, "-q", *more).out.strip()

    return run


@pytest.fixture
def tune(ptx, tiny, suite):
    def run(*more: str, model: str = "b"):
        args = ["--model", tiny[model], "--suite", suite, *PAPER_TUNING, "--epochs", "2"]
        return ptx("tune", *args, "--json", *more)

    return run


def history(line: dict) -> list[dict]:
    return json.loads((Path(line["path"]) / "meta.json").read_text())["metrics"]["history"]


def test_starts_from_the_transferred_prompts(paths, tune, ptx, tiny, suite) -> None:
    """Epoch 0 has the accuracy of the transferred prompt, and every task gets its own, whatever the order."""
    given = paths().splitlines()
    keys = [Path(path).name for path in given]
    warm = tune("--init", ",".join(reversed(keys)))
    assert warm.code == 0, warm.err
    assert tune("--init", "\n".join(given)).at("tune") == [{**line, "reused": True} for line in warm.at("tune")]
    cold = tune().at("tune")
    assert {line["key"] for line in cold}.isdisjoint(line["key"] for line in warm.at("tune"))
    for line, path in zip(warm.at("tune"), given, strict=True):
        meta = json.loads((Path(line["path"]) / "meta.json").read_text())
        assert [parent["key"] for parent in meta["parents"]] == [Path(path).name]
        assert meta["config"]["tune"]["init"] == "prompt"
        assert "init_scale" not in meta["config"]["tune"]
        assert meta["config"]["init.tune"]["epochs"] == 1  # of the source's prompt
        assert line["sources"] == [tiny["a"]]
        assert [point["steps"] for point in history(line)] == [0, 1, 2, 4]


def test_starts_of_other_weights_have_other_names(tune, ptx, tiny, suite) -> None:
    """And so a column each in the curve."""
    sources = ["--sources", f"{tiny['a']},{tiny['narrow']}", "--target", tiny["b"], "--suite", suite, "--epochs", "1"]
    for weights in ("2,1", "1,2"):
        found = ptx("search", *sources, "--weights", weights, "-q").out.strip()
        (line, *_) = tune("--init", found).at("tune")
        spelled = {"2,1": "(0.6667:0.3333)", "1,2": "(0.3333:0.6667)"}[weights]
        assert line["init"] == f"relative a+narrow {spelled}"
    curves = {row["init"] for row in ptx("table", "--curve", "--json").lines}
    assert len([name for name in curves if name.startswith("warm")]) == 2


def test_epoch_zero_is_the_prompt_itself(paths, tune, tiny, suite) -> None:
    import torch

    from ptx.config.tune import TuneConfig
    from ptx.lms.lm import load_model
    from ptx.lms.models import resolve
    from ptx.suites import load_suite
    from ptx.transfer.examples import examples
    from ptx.transfer.scoring import DevChoice

    given = paths().splitlines()
    model = load_model(resolve(tiny["b"]), "cpu")
    made = [examples(model, task, TuneConfig()) for task in load_suite(suite).tasks]
    expected = DevChoice(model, [of.dev for of in made]).score([read_prompt(Path(path) / FILE) for path in given])
    warm = tune("--init", "\n".join(given), "--lr", "1e-12").at("tune")
    assert [history(line)[0]["dev_accuracy"] for line in warm] == expected
    for line, path in zip(warm, given, strict=True):
        torch.testing.assert_close(read_prompt(Path(line["path"]) / FILE), read_prompt(Path(path) / FILE))
        assert line["epoch"] == 0  # no epoch was better, and the earliest of equals is kept


def test_it_has_as_many_vectors_as_what_it_starts_from(paths, tune, ptx, tiny, suite) -> None:
    """A moved text has one for each of its tokens, another number for each task, which is no reason for a table."""
    given = paths("--method", "residual", "--init", "text:France,name3 Japan", "--tasks", "R1")
    other = paths("--method", "residual", "--init", "text:France", "--tasks", "R2")
    lengths = [len(read_prompt(Path(path) / FILE)) for path in (given, other)]
    assert len({*lengths, 5}) == 3
    warm = tune("--init", f"{given},{other}").at("tune")
    assert [len(read_prompt(Path(line["path"]) / FILE)) for line in warm[-2:]] == lengths
    args = ["eval", "--target", tiny["b"], "--suite", suite, "--epochs", "1", "--init", f"{given},{other}"]
    assert ptx(*args).code == 0
    rows = [row for row in ptx("table", "--json").lines if row["method"] == "tuned"]
    assert rows
    assert not [row for row in rows for m in lengths if f"prompt_length {m}" in row["settings"]]


def test_a_file_is_keyed_by_its_content(paths, tune, ptx, tmp_path) -> None:
    prompt = read_prompt(Path(paths("--tasks", "R1")) / FILE).numpy()
    np.save(tmp_path / "one.npy", prompt)
    np.save(tmp_path / "same.npy", prompt)
    np.save(tmp_path / "other.npy", prompt + 1)
    lines = [tune("--init", f"{name}.npy", "--tasks", "R1").at("tune")[-1] for name in ("one", "same", "other")]
    assert lines[0]["key"] == lines[1]["key"] != lines[2]["key"]
    assert lines[1]["reused"]
    assert lines[0]["sources"] == ["one.npy"]
    (imported,) = [line for line in tune("--init", "one.npy", "--tasks", "R1").lines if line.get("method")]
    assert tune("--init", imported["key"], "--tasks", "R1").at("tune")[-1]["key"] == lines[0]["key"]
    assert ptx("table", "--curve").code == 0  # an imported prompt has no history


def test_what_does_not_fit_is_an_error_and_a_hint(paths, tune, tiny, tmp_path) -> None:
    one = paths("--tasks", "R1")
    np.save(tmp_path / "long.npy", np.zeros((7, 16), np.float32))
    np.save(tmp_path / "wide.npy", np.zeros((5, 9), np.float32))
    other = paths("--tasks", "R1", "--mask", "source")
    for args, code, message, hint in [
        (["rndom"], 1, "--init rndom: no search or tune or eval or portable artifact", "text, random or words"),
        ([one], 1, "--init has no prompt for task R2", "--tasks R1"),
        ([one, "--tasks", "R1", "--prompt-length", "3"], 1, "has 5 vectors, not 3", "--prompt-length 5"),
        ([paths("--tasks", "R1", target="a"), "--tasks", "R1"], 1, "was made for", f"ptx search --sources {tiny['a']}"),
        (["long.npy"], 2, "does not say which task", "--tasks"),
        (["long.npy", "--tasks", "R1", "--prompt-length", "6"], 1, "has 7 vectors, not 6", "--prompt-length 7"),
        (["wide.npy", "--tasks", "R1"], 1, "holds vectors of width 9", "ptx search"),
        ([f"{one},{other}", "--tasks", "R1"], 2, "--init has 2 prompts for task R1", "give one for each task"),
        ([","], 2, "--init names no prompt", "--init text"),
    ]:
        result = tune("--init", *args)
        assert result.code == code, (args, result.err)
        error, _, advice = result.err.partition("hint:")
        assert message in error
        assert hint in advice


def test_cold_and_warm_evaluations_are_in_different_tables(paths, ptx, tiny, suite) -> None:
    args = ["eval", "--target", tiny["b"], "--suite", suite, "--epochs", "1"]
    ptx(*args)
    assert ptx(*args, "--init", paths()).code == 0
    rows = [row for row in ptx("table", "--json").lines if row["method"] == "tuned"]
    assert {row["sources"] for row in rows} == {"", "a"}
    assert len({row["settings"] for row in rows}) == 2


def test_the_curve_is_the_mean_of_the_histories(paths, tune, ptx, tiny, tmp_path) -> None:
    assert ptx("table", "--curve").code == 1
    given = paths()
    cold = tune("--epochs", "3").at("tune")
    warm = tune("--init", given).at("tune")
    tune("--epochs", "1", "--tasks", "R1")  # a shorter run of the same curve does not shorten it
    rows = [row for row in ptx("table", "--curve", "--json").lines if row["model"] == "b"]
    found = {(row["init"], row["epoch"], row["steps"]): row["dev_accuracy"] for row in rows}
    expected = {}
    for name, lines in (("cold: random 0.1", cold), ("warm: relative a", warm)):
        for points in zip(*map(history, lines), strict=True):
            mean = sum(point["dev_accuracy"] for point in points) / len(lines)
            expected[name, points[0]["epoch"], points[0]["steps"]] = mean
    assert found == pytest.approx(expected)
    text = ptx("table", "--curve", "--format", "md").out
    assert "labels are used" in text
    assert "dev split: tuning on b, 2 tasks" in text


def test_the_curve_leaves_out_other_versions(tune, ptx, monkeypatch) -> None:
    tune("--epochs", "1")
    assert ptx("table", "--curve").code == 0
    set_version(monkeypatch, "tune", 2)
    shown = ptx("table", "--curve")
    assert shown.code == 1
    assert "2 tuned prompts by other versions of ptx are left out" in shown.err


def test_the_curve_compares_the_same_tasks_only(paths, tune, ptx, tiny) -> None:
    given = paths().splitlines()
    tune("--tasks", "R1", "--init", given[0])
    tune()
    rows = [row for row in ptx("table", "--curve", "--json").lines if row["model"] == "b"]
    assert {row["tasks"] for row in rows} == {1}
    assert {row["init"] for row in rows} == {"cold: random 0.1", "warm: relative a"}


def test_histories_of_early_versions_are_read() -> None:
    from ptx.cache import Artifact
    from ptx.results.curve import points

    config = {"tune": {"batch_size": 8}}
    old = {"facts": 20, "history": [{"epoch": n, "train_loss": 1.0, "dev_accuracy": 0.5} for n in (1, 2)]}
    found = points(Artifact(Path(), {"metrics": old, "config": config}))
    assert [point["steps"] for point in found.values()] == [3, 6]
