"""Every command on a model of the zoo, what it prints, and how it refuses bad input."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import write_suite

QUICK = ["--tasks", "P138", "--epochs", "1"]  # the smallest relation
CONTRACT = {"stage", "key", "path", "reused", "seconds"}


def test_the_whole_path(ptx, tmp_path) -> None:
    tuned = ptx("tune", "--model", "bert-micro", *QUICK, "--json")
    assert tuned.code == 0, tuned.err
    assert CONTRACT | {"model", "suite", "task"} <= tuned.lines[0].keys()
    assert ptx("encode", "--model", "bert-micro", *QUICK).code == 0
    sources = ["--sources", "bert-micro,roberta-micro"]
    found = ptx("search", *sources, "--target", "albert-micro", *QUICK, "--json")
    assert found.code == 0, found.err
    (line,) = found.at("search")
    assert line["sources"] == ["bert-micro", "roberta-micro"]
    assert CONTRACT | {"target", "method", "matching_loss", "task", "suite"} <= line.keys()
    assert Path(line["path"]).is_absolute()
    assert {x["reused"] for x in found.at("tune")} == {True, False}
    scored = ptx("eval", *sources, "--target", "albert-micro", *QUICK, "--json").at("eval")
    assert 0 <= scored[0]["accuracy"] <= 1
    assert scored[0]["split"] == "test"
    for method in ("manual", "random", "tuned"):
        assert ptx("eval", "--target", "bert-micro", "--method", method, *QUICK).code == 0
    assert ptx("eval", "--sources", "roberta-micro", "--target", "bert-micro", "--method", "direct", *QUICK).code == 0
    again = ptx("eval", "--target", "albert-micro", "--prompt", line["key"][:14], "--json").at("eval")
    assert again[0]["key"] == scored[0]["key"]
    rows = ptx("table", "--json").lines
    assert {row["method"] for row in rows} == {"floor", "manual", "random", "tuned", "direct", "relative"}
    for format in ("text", "md", "csv", "latex", "html", "json"):
        assert "albert-micro" in ptx("table", "--format", format).out
    assert "P138" in ptx("table", "--by", "task").out
    assert ptx("table", "--output", "t.md", "--format", "md").code == 0
    assert "| method |" in (tmp_path / "t.md").read_text()
    answers = ptx("predict", "--target", "albert-micro", "--prompt", line["key"], "Dante", "--top", "3", "--json").lines
    assert [a["rank"] for a in answers] == [1, 2, 3]
    assert 0 < answers[0]["probability"] <= 1
    file = str(Path(line["path"]) / "prompt.safetensors")
    assert ptx("predict", "--target", "albert-micro", "--prompt", file, input="Rose\nIron\n").code == 0
    imported = ptx("eval", "--target", "albert-micro", "--prompt", file, *QUICK, "--json")
    assert imported.at("eval")[0]["accuracy"] == scored[0]["accuracy"]
    assert "search" in ptx("cache", "ls").out
    assert line["key"] in ptx("cache", "show", line["key"][:12]).out
    assert ptx("cache", "verify").code == 0
    (Path(line["path"]) / "prompt.safetensors").write_bytes(b"junk")
    broken = ptx("cache", "verify")
    assert broken.code == 1
    assert "does not match its digest" in broken.out
    assert ptx("cache", "gc").code == 0
    assert ptx("cache", "verify").code == 0
    assert not Path(line["path"]).exists()


def test_second_target_reuses_prompts_and_encodings(ptx) -> None:
    args = ["search", "--sources", "bert-micro,roberta-micro", *QUICK, "--json", "--target"]
    ptx(*args, "albert-micro")
    again = ptx(*args, "roberta-mini")
    assert all(line["reused"] for stage in ("anchors", "tune", "encode") for line in again.at(stage))
    assert not again.at("search")[0]["reused"]


def test_select_dev_uses_labels_and_says_so(ptx, tiny, suite) -> None:
    args = ["--sources", tiny["a"], "--target", tiny["b"], "--suite", suite, "--epochs", "1", "--solver", "adam"]
    args += ["--steps", "100"]
    assert ptx("eval", *args).code == 0
    chosen = ptx("eval", *args, "--select", "dev", "--json")
    assert {line["selected_step"] for line in chosen.at("search")} <= {50, 100}
    table = ptx("table").out
    assert table.count("test split") == 2
    assert table.count("LABELLED TARGET") == 1


def test_quiet_prints_paths_only(ptx, tiny) -> None:
    result = ptx("anchors", "--models", tiny["a"], "-q")
    assert Path(result.out.strip()).is_dir()
    assert result.err == ""


def test_models_lists_the_zoo_and_the_aliases(ptx) -> None:
    names = [row["name"] for row in ptx("models", "--json").lines]
    assert {"bert-micro", "roberta-mini", "bert-base", "albert-large"} <= set(names)


BAD = [
    (["tune", "--model", "bert-nano"], 1, "unknown model 'bert-nano'"),
    (["tune", "--model", "bert-micro", "--tasks", "P0"], 1, "unknown task 'P0'"),
    (["tune", "--model", "bert-micro", "--suite", "nothing"], 1, "unknown suite 'nothing'"),
    (["tune", "--model", "bert-micro", "--epochs", "0"], 2, "--epochs 0 is less than 1"),
    (["tune", "--model", "bert-micro", "--init-scale", "big"], 2, "--init-scale 'big'"),
    (["tune"], 2, "name a --model, or several with --models"),
    (["search", "--sources", "", "--target", "bert-micro"], 2, "--sources names no model"),
    (["search", "--sources", "bert-micro", "--target", "bert-micro", "--method", "magic"], 2, "magic"),
    (["search", "--sources", "bert-micro", "--target", "bert-micro", "--select", "dev"], 2, "--select dev"),
    (["search", "--sources", "bert-micro", "--target", "bert-micro", "--weights", "1,2"], 2, "--weights '1,2'"),
    (["search", "--sources", "bert-micro", "--target", "bert-mini", "--anchors", "zz"], 1, "no anchors artifact zz"),
    (["search", "--target", "bert-micro", "--method", "random", "--sources", "bert-mini"], 2, "takes no --sources"),
    (["table"], 1, "no test evaluations"),
    (["run", "nothing"], 1, "unknown recipe 'nothing'"),
    (["cache", "show", "zz"], 1, "artifact zz"),
    (["frobnicate"], 2, "No such command"),
]


@pytest.mark.parametrize(("args", "code", "text"), BAD, ids=[" ".join(args) for args, _, _ in BAD])
def test_bad_input_is_an_error_and_a_hint(ptx, tmp_path, args: list[str], code: int, text: str) -> None:
    result = ptx(*args)
    assert result.code == code
    assert result.out == ""
    assert "error: " in result.err
    assert "hint: " in result.err
    assert text in result.err
    assert not (tmp_path / "cache").exists()


def test_sources_without_shared_anchors(ptx, tmp_path) -> None:
    from conftest import make_model

    one = make_model(tmp_path / "one", words=["Oslo", "Rome"])
    two = make_model(tmp_path / "two", words=["Lima", "Bern"], seed=5)
    words = tmp_path / "words.txt"
    words.write_text("Oslo\nLima\n")
    result = ptx("anchors", "--models", f"{one},{two}", "--json")
    assert result.code == 0  # single letters are shared
    failed = ptx("search", "--sources", one, "--target", two, "--anchors", words)
    assert failed.code == 1
    assert "share no anchors" in failed.err
    assert not (tmp_path / "cache" / "v1" / "tune").exists()


def test_objects_outside_the_vocabulary(ptx, tiny, tmp_path) -> None:
    strange = write_suite(tmp_path / "strange", tasks=["R9"], objects=["Atlantis"])
    result = ptx("tune", "--model", tiny["a"], "--suite", strange)
    assert result.code == 1
    assert "none of its 24 train objects is one token" in result.err
    assert not (tmp_path / "cache" / "v1").exists()


def test_an_unwritable_cache(ptx, tmp_path, tiny) -> None:
    (tmp_path / "file").write_text("")
    result = ptx("anchors", "--models", tiny["a"], "--cache-dir", "file")
    assert result.code == 1
    assert "cannot write to the cache" in result.err


def test_a_failed_task_does_not_lose_the_others(ptx, tiny, tmp_path) -> None:
    mixed = write_suite(tmp_path / "mixed", tasks=["R1", "R2"])
    (mixed / "R2" / "train.jsonl").write_text('{"sub_label": "name1", "obj_label": "Atlantis"}\n')
    result = ptx("tune", "--model", tiny["a"], "--suite", mixed, "--epochs", "1", "--json")
    assert result.code == 1
    assert {line["task"]: "error" in line for line in result.lines} == {"R1": False, "R2": True}


def test_settings_come_from_flags_then_environment_then_files(ptx, tiny, tmp_path, monkeypatch) -> None:
    def used(*args: str) -> int:
        import json

        line = ptx("anchors", "--models", tiny["a"], "--json", *args).lines[-1]
        return json.loads((Path(line["path"]) / "meta.json").read_text())["metrics"]["count"]

    (tmp_path / "pyproject.toml").write_text("[tool.ptx]\ncount = 7\n")
    assert used() == 7
    monkeypatch.setenv("PTX_COUNT", "8")
    assert used() == 8
    assert used("--count", "9") == 9
    (tmp_path / "ptx.toml").write_text("cuont = 7\n")
    assert "unknown setting 'cuont'" in ptx("anchors", "--models", tiny["a"]).err


@pytest.mark.parametrize("text", ["{0} = {1}", "[{2}]\n{0} = {1}"])
@pytest.mark.parametrize(
    ("option", "value", "command"),
    [
        ("output", '"precious.txt"', ["table"]),
        ("force", "true", ["anchors", "--models", "a"]),
        ("forecast", "true", []),
        ("dtype", '"bfloat16"', []),
    ],
)
def test_a_file_of_settings_sets_nothing_that_does_harm(ptx, tmp_path, text, option, value, command) -> None:
    """It may have come with somebody else's folder."""
    (tmp_path / "precious.txt").write_text("mine")
    name = command[0] if command else "eval"
    (tmp_path / "ptx.toml").write_text(text.format(option, value, name))
    result = ptx(*(command or ["eval", "--help"]))
    assert (tmp_path / "precious.txt").read_text() == "mine"
    if command:
        assert result.code == 2
        assert f"ptx.toml: '{option}' cannot be set in a file" in " ".join(result.err.split())
        assert f"give --{option} by hand" in " ".join(result.err.split())
    else:
        assert result.code == 0


@pytest.mark.parametrize("text", ['cache_dir = "{}"', '[eval]\ncache-dir = "{}"'])
def test_a_file_of_settings_names_no_cache_elsewhere(ptx, tiny, tmp_path, text) -> None:
    """Whose it is could read what is computed, and say what was."""
    command = ("eval", "--target", tiny["a"], "--method", "manual")
    (tmp_path / "ptx.toml").write_text(text.format("memory://bucket/folder"))
    told = ptx(*command)
    assert told.code == 2
    assert "ptx.toml: a cache at an address cannot be set in a file" in " ".join(told.err.split())
    assert "--cache-dir memory://bucket/folder, or set PTX_CACHE_DIR" in " ".join(told.err.split())
    (tmp_path / "ptx.toml").write_text(text.format("other"))
    assert "settings: " in ptx("anchors", "--models", tiny["a"]).err


def test_a_table_of_a_group_of_commands_has_no_settings(ptx, tiny, tmp_path) -> None:
    (tmp_path / "ptx.toml").write_text("[cache.gc]\nolder_than = 0\n")
    told = ptx("cache", "gc")
    assert told.code == 1
    assert "cache: unknown setting 'gc'" in told.err
    assert "hint: leave 'gc' out" in told.err


def test_a_file_of_settings_in_use_is_named_once(ptx, tiny, tmp_path) -> None:
    assert "settings:" not in ptx("anchors", "--models", tiny["a"]).err
    (tmp_path / "ptx.toml").write_text("count = 7\n")
    assert ptx("anchors", "--models", tiny["a"]).err.count(f"settings: {tmp_path / 'ptx.toml'}") == 1
    assert "settings:" not in ptx("anchors", "--models", tiny["a"], "-q").err


def python(*args: str) -> str:
    done = subprocess.run([sys.executable, *args], capture_output=True, text=True, check=True, env={**os.environ})
    return done.stdout


HEAVY = "print(*sorted({'torch', 'transformers', 'pandas', 'ptx.cache', 'ptx.suites', 'ptx.lms'} & sys.modules.keys()))"


def test_help_imports_nothing_heavy() -> None:
    run = "import sys\nfrom ptx.cli import app\ntry: app(['--help'])\nexcept SystemExit: pass\n"
    assert python("-c", run + HEAVY).splitlines()[-1] == ""


def test_the_test_above_can_fail() -> None:
    assert python("-c", f"import sys, pandas\n{HEAVY}").strip() == "pandas"


@pytest.mark.parametrize(
    ("args", "made"),
    [
        (["--help"], []),
        (["cache", "--help"], []),
        (["suites"], ["suites"]),
        (["cache", "ls", "-h"], ["ls"]),
        (["--version"], []),
    ],
    ids=" ".join,
)
def test_only_the_command_that_is_asked_for_gets_its_options(ptx, monkeypatch, args, made) -> None:
    from ptx.cli import options

    asked: list[str] = []
    expand = options.expand

    def counted(command):
        asked.append(command.__name__)
        return expand(command)

    monkeypatch.setattr(options, "expand", counted)
    assert ptx(*args).code == 0
    assert asked == made


@pytest.mark.parametrize(
    ("args", "near", "path"),
    [
        (["tuna"], "Did you mean 'tune'", ""),
        (["cache", "lss"], "Did you mean 'ls'", "cache "),
        (["tune", "--modle", "x"], "--model", "tune "),
        (["cache", "ls", "--stag", "x"], "--stage", "cache ls "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_is_misspelt_is_told_with_what_is_near(ptx, args, near, path) -> None:
    told = ptx(*args)
    assert (told.code, told.out) == (2, "")
    assert near in told.err
    assert f" {path}--help`" in told.err
