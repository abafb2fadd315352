"""The functions do what the commands do: same keys, same rows, same defaults and errors, and they print nothing."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from ptx import api
from ptx.config.search import SearchConfig
from ptx.config.tune import TuneConfig
from ptx.errors import PtxError, UsageError

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


# Tiny random models never learn.
pytestmark = pytest.mark.filterwarnings("ignore:the prompt for .* has not learned:UserWarning")


@pytest.fixture
def settings(tiny, suite) -> dict:
    return {"suite": Path(suite), "tasks": ["R1", "R2"], "epochs": 2, "lr": 0.02}


FLAGS = ["--tasks", "R1,R2", "--epochs", "2", "--lr", "0.02"]


def test_calls_and_commands_share_their_artifacts(ptx, tiny, suite, settings, capsys) -> None:
    """Every artifact that a function makes is found by the command with the same settings."""
    common = ["--suite", suite, *FLAGS, "--json"]
    pair = {"sources": [tiny["a"], tiny["narrow"]], "target": tiny["b"]}
    flags = ["--sources", f"{tiny['a']},{tiny['narrow']}", "--target", tiny["b"]]
    names = ",".join(tiny.values())
    shared = api.anchors(models=list(tiny.values()), count=50, order="rank").key.iloc[-1]
    more = {"anchors": shared, "top_k": 30}
    searched = {**pair, **more, "weights": [2, 1], "ridge": 0.1, "normalize": False}
    options = ["--anchors", shared, "--top-k", "30"]
    found = ["--weights", "2,1", "--ridge", "0.1", "--no-normalize"]
    for frame, command in [
        (api.anchors(models=list(tiny.values()), count=50, order="rank", upstream=True),
         ["anchors", "--models", names, "--count", "50", "--order", "rank", "--json"]),
        (api.tune(upstream=True, model=tiny["a"], init="random", init_scale=0.5, **settings),
         ["tune", "--model", tiny["a"], "--init", "random", "--init-scale", "0.5", *common]),
        (api.encode(model=tiny["a"], upstream=True, **more, **settings),
         ["encode", "--model", tiny["a"], *options, *common]),
        (api.search(upstream=True, **searched, **settings), ["search", *flags, *options, *found, *common]),
        (api.eval(upstream=True, **searched, split="dev", **settings),
         ["eval", *flags, *options, *found, "--split", "dev", *common]),
    ]:  # fmt: skip
        lines = ptx(*command).lines
        assert all(line["reused"] for line in lines), command
        assert dict(zip(frame.key, frame.path, strict=True)) == {line["key"]: line["path"] for line in lines}
        assert len(frame) == len(lines)
        assert set(frame.columns) == {name for line in lines for name in line}
    assert capsys.readouterr() == ("", "")


def test_from_a_frame_to_prompts_and_on(ptx, tiny, settings) -> None:
    """The transferred prompts of a frame start a tuning, are read as tensors, inspected, scored and asked."""
    found = api.search(sources=[tiny["a"]], target=tiny["b"], **settings)
    keys = found.key[found.stage == "search"]
    prompts = [api.prompt(key) for key in keys]
    assert [tuple(prompt.shape) for prompt in prompts] == [(5, 16)] * 2
    assert all(torch.isfinite(prompt).all() for prompt in prompts)
    warm = api.tune(model=tiny["b"], init=keys, **settings)
    assert (warm.sources[warm.stage == "tune"].str.join("+") == tiny["a"]).all()
    looked = api.inspect(keys.iloc[0], top=3)
    assert looked.matching_loss.mean() == pytest.approx(found.matching_loss[keys.index[0]], abs=1e-6)
    scored = api.eval(target=tiny["b"], prompt=keys.iloc[0]).iloc[-1]
    assert 0 <= scored.accuracy <= 1
    torch.testing.assert_close(api.prompt(scored.key), prompts[0])
    answers = api.predict("name1", "name2", target=tiny["b"], prompt=keys.iloc[0], top=2)
    assert answers.subject.tolist() == ["name1", "name1", "name2", "name2"]
    assert isinstance(api.table(), pd.DataFrame)
    assert api.table(long=True).micro.tolist() == [row.get("micro") for row in ptx("table", "--json").lines]
    assert {"steps", "dev_accuracy", "init"} <= set(api.table(curve=True, long=True).columns)
    with pytest.raises(api.PtxError, match="has no soft prompt"):
        api.prompt(api.anchors(models=[tiny["a"]]).key[0])


def test_a_recipe_from_python(ptx, tiny, suite, tmp_path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        f'suite = "{suite}"\nsources = [["{tiny["a"]}"]]\ntargets = ["{tiny["b"]}"]\nmethods = ["relative"]\n'
        "[tune]\nepochs = 1\n"
    )
    frame = api.run(recipe, upstream=True)
    again = ptx("run", recipe, "--json").lines
    assert all(line["reused"] for line in again)
    assert sorted(frame.key) == sorted(line["key"] for line in again)
    part = api.run(recipe, shard="1/2", upstream=True)
    assert {*part.key} < {*frame.key}
    assert "eval" in {*part.stage}
    with pytest.raises(UsageError, match="shard"):
        api.run(recipe, shard="3/2")
    with pytest.raises(PtxError, match=r"127\.0\.0\.1:1"):
        api.run(recipe, seed=1, scheduler="tcp://127.0.0.1:1")


def test_a_dry_run_and_the_types_of_columns(ptx, tiny, settings) -> None:
    planned = api.search(sources=tiny["a"], target=tiny["b"], dry_run=True, **settings)
    assert set(planned.cache) == {"miss"}
    assert not Path("cache").exists()
    found = api.search(sources=tiny["a"], target=tiny["b"], upstream=True, **settings)
    assert planned.key.tolist() == found.key.tolist()
    assert found.facts.dtype == "Int64"
    assert found.matching_loss.dtype == "float64"


def test_defaults_are_those_of_the_commands() -> None:
    """The signature shows them: they come from the config dataclasses, through the command line."""
    shown = inspect.signature(api.search).parameters
    for config in (TuneConfig(), SearchConfig()):
        for name, value in vars(config).items():
            assert shown[name].default == value
    assert shown["target"].default is inspect.Parameter.empty
    assert not {"json", "quiet", "format"} & shown.keys()


def test_settings_come_from_the_environment_and_files_too(ptx, tiny, tmp_path, monkeypatch) -> None:
    def count(**options) -> int:
        return api.anchors(models=[tiny["a"]], **options)["count"].iloc[-1]

    (tmp_path / "ptx.toml").write_text("count = 7\n")
    assert count() == 7
    monkeypatch.setenv("PTX_COUNT", "8")
    monkeypatch.setenv("PTX_QUIET", "1")
    assert count() == 8
    assert count(count=9) == 9
    monkeypatch.setenv("PTX_CACHE_DIR", str(tmp_path / "elsewhere"))
    count()
    assert (tmp_path / "elsewhere" / "v1").is_dir()


@pytest.mark.parametrize(
    ("call", "message", "note"),
    [
        (lambda: api.tune(), "name a --model, or several with --models", "--model bert-micro"),
        (lambda: api.tune(model="bert-nano"), "unknown model 'bert-nano'", "did you mean 'bert-mini'?"),
        (lambda: api.tune(model="bert-micro", epcohs=3), "tune has no option 'epcohs'", "did you mean 'epochs'?"),  # type: ignore[call-arg]
        (lambda: api.tune(model="bert-micro", epochs=0), "--epochs 0 is less than 1", "--epochs 1"),
        (lambda: api.tune(model="bert-micro", epochs=2.5), "Invalid value for '--epochs'", "--help"),  # type: ignore[arg-type]
        (lambda: api.tune(model="bert-micro", layout="mid"), "Invalid value for '--layout'", "--help"),  # type: ignore[arg-type]
        (lambda: api.search(target="bert-micro"), "--sources names no model", "--sources"),
        (lambda: api.predict(target="bert-micro", prompt="x"), "no subjects", "predict("),
        (lambda: api.prompt("zz"), "artifact zz", "ptx cache ls"),
    ],
)
def test_mistakes_raise_with_the_hint_as_a_note(ptx, call, message: str, note: str) -> None:
    with pytest.raises(api.PtxError) as raised:
        call()
    assert message in str(raised.value)
    assert raised.value.__notes__[0].startswith("hint: ")
    assert note in raised.value.__notes__[0]
    assert len(raised.value.__notes__) == 1


def test_warnings_are_pythons_and_point_at_the_caller(ptx, tiny, settings, tmp_path) -> None:
    found = api.tune(model=tiny["a"], **settings)
    (Path(found.path[0]) / "prompt.safetensors").write_bytes(b"junk")
    given = {**settings, "suite": str(settings["suite"]), "model": tiny["a"]}
    script = tmp_path / "script.py"
    script.write_text(f"import ptx\n\nagain = ptx.tune(**{given!r})\nprint(again.reused.tolist())\n")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "[False, True]\n"
    assert f"{script}:3: UserWarning: damaged tune" in done.stderr


def test_progress_is_told_on_stderr(ptx, tiny, settings, capsys) -> None:
    api.tune(model=tiny["a"], progress=True, **settings)
    out, err = capsys.readouterr()
    assert out == ""
    assert "built 2 tune" in err


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    return done.stdout.strip()


def test_importing_is_quick() -> None:
    heavy = "print(*sorted({'torch', 'transformers', 'pandas'} & sys.modules.keys()))"
    assert python(f"import sys, ptx, ptx.api\n{heavy}") == ""
    assert python(f"import sys, ptx.api, pandas\n{heavy}") == "pandas"


def test_the_example_in_the_readme_runs(ptx, capsys) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    names: dict = {}
    exec(compile(block, "README.md", "exec"), names)
    assert isinstance(names["found"], pd.DataFrame)
    assert names["prompt"].shape == (5, 128)
    assert (names["scores"].stage == "eval").all()


def test_the_package_offers_the_functions_whatever_is_imported() -> None:
    """A module of a function's name would hide it as soon as something imports it."""
    found = python(
        "import importlib, pkgutil, ptx\n"
        "for module in pkgutil.walk_packages(ptx.__path__, 'ptx.'): importlib.import_module(module.name)\n"
        "from ptx import api\n"
        "print(all(getattr(ptx, name) is getattr(api, name) for name in ptx.FUNCTIONS))"
    )
    assert found.splitlines()[-1] == "True"
