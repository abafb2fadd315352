"""`--init text` and its kin, and rates: keys, prompts, tables, curves, recipes, and what is set elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import PAPER_TUNING, Result, write_suite

from ptx import api
from ptx.errors import PtxError
from ptx.formats import read_prompt
from ptx.lms.lm import load_model
from ptx.lms.models import resolve
from ptx.stages.tune import FILE

Run = Callable[..., Result]
Lines = Callable[..., list[dict[str, Any]]]
STILL = ["--epochs", "1", "--lr", "1e-12", "--patience", "0"]  # the prompt stays where it starts


@pytest.fixture
def tune(ptx: Run, tiny: dict[str, str], suite: str) -> Lines:
    """The lines of a tuning."""

    def run(*more: str, suite: str = suite) -> list[dict[str, Any]]:
        result = ptx("tune", "--model", tiny["a"], "--suite", suite, "--json", *more)
        assert result.code == 0, result.err
        return result.at("tune")

    return run


def settings_of(line: dict) -> dict:
    return json.loads((Path(line["path"]) / "meta.json").read_text())["config"]["tune"]


def prompt_of(line: dict) -> torch.Tensor:
    return read_prompt(Path(line["path"]) / FILE)


@pytest.fixture
def mixed(tmp_path: Path) -> str:
    """The second of two tasks has no manual template."""
    folder = write_suite(tmp_path / "mixed")
    first, second = (json.loads(line) for line in (folder / "relations.jsonl").read_text().splitlines())
    del second["template"]
    (folder / "relations.jsonl").write_text(f"{json.dumps(first)}\n{json.dumps(second)}\n")
    return str(folder)


def test_the_defaults_are_in_keys(tune: Lines) -> None:
    (line, *_) = tune("--epochs", "1")
    own = settings_of(line)
    assert (own["init"], own["texts"][0]) == ("text", "word1 word2")
    assert (own["lr_scale"], own["schedule"], own["warmup"], own["patience"]) == (0.1, "linear", 0.1, 3)
    assert not {"lr", "init_scale", "optimizer"} & own.keys()


def test_a_tuning_starts_from_the_words_of_the_template(tune: Lines, tiny: dict[str, str]) -> None:
    model = load_model(resolve(tiny["a"]), "cpu")
    word1, word2 = (model.words([word])[word] for word in ("word1", "word2"))
    wanted = model.matrix[[word2, word1, word2, word1, word2]]
    for line in tune(*STILL):
        torch.testing.assert_close(prompt_of(line), wanted, rtol=0, atol=1e-9)


def test_without_a_template_it_starts_from_noise(tune: Lines, mixed: str) -> None:
    """And its key says so: it is that of --init random. The noise has the scale asked for, whoever is tuned beside."""
    scale = ["--init-scale", "0.7", *STILL]
    first, second = tune(*scale, suite=mixed)
    assert (settings_of(first)["init"], settings_of(second)["init"]) == ("text", "random")
    assert settings_of(second)["init_scale"] == "0.7"
    assert not {"text", "texts"} & settings_of(second).keys()
    assert "init_scale" not in settings_of(first)
    drawn = tune("--init", "random", *scale, "--cache-dir", "other", suite=mixed)
    assert drawn[1]["key"] == second["key"]
    assert drawn[0]["key"] != first["key"]
    torch.testing.assert_close(prompt_of(second), prompt_of(drawn[1]), rtol=0, atol=1e-6)


def test_a_text_of_ones_own(tune: Lines, ptx: Run, tiny: dict[str, str], suite: str) -> None:
    """What is around it is no part of the key; what it says is."""
    one, same, other = (tune("--init", f"text:{text}", *STILL) for text in ("word1 word2", " word1 word2 ", "word3"))
    assert [line["key"] for line in one] == [line["key"] for line in same]
    assert {line["key"] for line in one}.isdisjoint(line["key"] for line in other)
    for line, template in zip(one, tune(*STILL), strict=True):
        assert torch.equal(prompt_of(line), prompt_of(template))
        assert settings_of(line)["init"] == "text:word1 word2"
        assert "text" not in settings_of(line)
    refused = ptx("tune", "--model", tiny["a"], "--suite", suite, "--init", "text: ")
    assert refused.code == 2
    assert "error: --init text: is followed by no text" in refused.err
    assert "hint: write it like --init 'text:is the capital of'" in refused.err


def test_texts_of_tasks_are_one_setting_in_tables(ptx: Run, tiny: dict[str, str], tmp_path: Path) -> None:
    folder = write_suite(tmp_path / "texts")
    relations = (folder / "relations.jsonl").read_text().replace("word1", "word7", 1)
    (folder / "relations.jsonl").write_text(relations)
    args = ["eval", "--target", tiny["a"], "--suite", folder, "--epochs", "1", "--json"]
    made = ptx(*args)
    assert len({settings_of(line)["texts"][0] for line in made.at("tune")}) == 2
    (row,) = [row for row in ptx("table", "--json").lines if row["method"] == "tuned"]
    assert row["tasks"] == 2
    for more, pages in (
        (["--init", "text:word3"], 2), (["--init", "text:word4"], 3), (["--lr-scale", "0.3"], 4), (["--lr", "0.3"], 5),
    ):  # fmt: skip
        assert ptx(*args, *more).code == 0
        assert ptx("table").out.count("test split") == pages
    shown = ptx("table").out
    assert "init text:word3" in shown
    assert "lr 0.1 std" in shown
    assert "lr 0.3 std" in shown


def test_curves_of_other_rates_stand_apart(ptx: Run, tune: Lines) -> None:
    for more in ([], ["--lr-scale", "0.3"], ["--init", "random"]):
        tune("--epochs", "2", *more)
    shown = ptx("table", "--curve").out
    assert shown.count("tuning on") == 2
    assert "lr_scale 0.3" in shown
    rows = ptx("table", "--curve", "--json").lines
    assert {row["init"] for row in rows} == {"cold: text", "cold: random 0.1"}


def test_starts_in_recipes(ptx: Run, tiny: dict[str, str], suite: str, tmp_path: Path, tune: Lines) -> None:
    text = f'suite = "{suite}"\ntargets = ["{tiny["a"]}"]\nmethods = ["tuned"]\ntune.epochs = 1\n'
    for init in ("text", "text:word3 word4", "random"):
        (tmp_path / "r.toml").write_text(f'{text}tune.init = "{init}"\n')
        made = ptx("run", "r.toml", "--jobs", "1", "--json")
        assert made.code == 0, made.err
        keys = [line["key"] for line in made.at("tune")]
        assert keys == [line["key"] for line in tune("--epochs", "1", "--init", init)]
    (tmp_path / "r.toml").write_text(f'{text}tune.init = "0123456789ab"\n')
    refused = ptx("run", "r.toml", "--jobs", "1")
    assert refused.code != 0
    assert "tune.init '0123456789ab' will not do here" in refused.err
    assert "write text, random or words" in refused.err


def test_rates_come_from_calls_variables_and_files(
    ptx: Run, tiny: dict[str, str], suite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a rate it is a multiple of the embeddings' std; with one it is that."""
    args = ["tune", "--model", tiny["a"], "--suite", suite, "--tasks", "R1", "--dry-run", "--json"]
    options: dict[str, Any] = {"model": tiny["a"], "suite": suite, "tasks": "R1", "dry_run": True}

    def keys(*more: str, **others: Any) -> str:
        (line,) = ptx(*args, *more).lines
        frame = api.tune(**options, **others)
        assert frame.key.tolist() == [line["key"]]
        return line["key"]

    plain, rate, scale = keys(), keys("--lr", "0.01", lr=0.01), keys("--lr-scale", "0.3", lr_scale=0.3)
    assert len({plain, rate, scale}) == 3
    assert keys("--lr-scale", "0.1", lr=None, lr_scale=0.1) == plain
    for name, value, wanted in (("lr", "0.01", rate), ("lr_scale", "0.3", scale)):
        with monkeypatch.context() as patch:
            patch.setenv(f"PTX_{name.upper()}", value)
            assert keys() == wanted
        (tmp_path / "ptx.toml").write_text(f"{name} = {value}\n")
        assert keys() == wanted
        (tmp_path / "ptx.toml").write_text(f"[tune]\n{name} = {value}\n")
        assert keys() == wanted
        (tmp_path / "ptx.toml").unlink()
    for flag in ("--lr", "--lr-scale"):
        wrong = ptx(*args, flag, "0")
        assert wrong.code == 2
        assert f"{flag} 0.0 is not between 0 and 1e+30" in wrong.err
        assert f"choose a rate like {flag} 0.1" in wrong.err
    with pytest.raises(PtxError, match="Invalid value for '--lr-scale'"):
        api.tune(**options, lr_scale="fast")  # type: ignore[arg-type]


def test_the_settings_of_the_paper_are_keyed_as_before(tune: Lines) -> None:
    """Without what came later."""
    own = settings_of(tune(*PAPER_TUNING, "--epochs", "1")[0])
    assert not {"lr_scale", "schedule", "warmup", "patience", "text"} & own.keys()
    assert (own["init"], own["lr"]) == ("random", 0.01)


def test_what_is_to_travel_starts_from_a_text(ptx: Run, tune: Lines, tiny: dict[str, str], mixed: str) -> None:
    """Else it is refused; where it is not, nothing is other than without."""
    assert [line["key"] for line in tune("--for", "transfer", *STILL)] == [line["key"] for line in tune(*STILL)]
    for init in ("random", "words"):
        result = ptx("tune", "--model", tiny["a"], "--for", "transfer", "--init", init)
        assert result.code == 2
        assert f"--init {init}" in result.err
    result = ptx("tune", "--model", tiny["a"], "--suite", mixed, "--for", "transfer", *STILL)
    assert result.code != 0
    assert "no manual template" in result.err
    assert len(tune("--for", "transfer", "--init", "text:word1", *STILL, suite=mixed)) == 2
