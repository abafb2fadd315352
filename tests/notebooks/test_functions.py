"""Functions that notebooks need besides those of the stages: cache, export, load_prompt, suites, words; and errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ptx as library
from ptx import api

package: Any = library  # rooms that can be called are no functions to a type checker
pytestmark = pytest.mark.filterwarnings("ignore:the prompt for .* has not learned:UserWarning")


@pytest.fixture
def tuned(ptx, tiny, suite):
    return api.tune(model=tiny["next"], suite=suite, tasks="R1", epochs=1)


def test_the_cache_from_python(ptx, tuned) -> None:
    listed = package.cache.ls(stage="tune")
    assert listed.drop(columns="bytes").to_dict("records") == [
        {name: value for name, value in row.items() if name != "bytes"}
        for row in ptx("cache", "ls", "--stage", "tune", "--json").lines
    ]
    shown = package.cache.show(tuned.key[0][:10])
    assert shown == ptx("cache", "show", tuned.key[0], "--json").lines[0]
    assert package.cache.verify().empty
    (Path(tuned.path[0]) / "prompt.safetensors").write_bytes(b"junk")
    damaged = package.cache.verify()
    assert damaged.path.tolist() == tuned.path.tolist()
    assert "prompt.safetensors" in damaged.problem[0]
    doomed = package.cache.gc(dry_run=True)
    assert tuned.path[0] in doomed.path.tolist()
    assert Path(tuned.path[0]).is_dir()
    assert tuned.path[0] in package.cache.gc().path.tolist()
    assert not Path(tuned.path[0]).exists()
    assert package.cache.ls(stage="tune").empty


def test_mistakes_with_the_cache_come_with_a_hint(ptx) -> None:
    for call, message, hint in (
        (lambda: package.cache.show("zz"), "artifact zz in", "ptx cache ls"),
        (lambda: package.cache.ls(stage="tun"), "unknown stage 'tun'", "choose one of anchors, tune"),
        (lambda: package.cache.gc(max_size="much"), "--max-size 'much' is no size", "500MB"),
        (lambda: package.cache.ls(stages="tune"), "cache ls has no option 'stages'", "stage"),
    ):
        with pytest.raises(api.PtxError, match=message) as raised:
            call()
        assert hint in raised.value.__notes__[0]


def test_the_rooms_of_these_names_stay_rooms() -> None:
    """Whichever is imported first."""
    for first in ("ptx.cache.gc", "ptx.cache.verify", "ptx.suites.lama", "ptx.api", "ptx"):
        code = (
            f"import {first}, ptx, sys\n"
            "from ptx.cache.gc import collect_garbage; from ptx.cache.verify import damage\n"
            "import ptx.cache.gc, ptx.suites.facts\n"
            "print(*map(callable, (ptx.cache.gc, ptx.cache.verify, ptx.cache.ls, ptx.suites, collect_garbage)))\n"
            "print(ptx.suites.load_suite('topics').name, len(ptx.suites('topics')))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "True True True True True\ntopics 1\n"


def test_suites_and_words_are_the_commands(ptx, tiny, suite) -> None:
    listed = package.suites(suite)
    assert listed.to_dict("records") == ptx("suites", suite, "--json").lines
    assert set(package.suites().suite) == {"facts", "topics"}
    asked = ["France", "word1", "nothing"]
    rows = package.words(*asked, models=[tiny["a"], tiny["next"]])
    assert rows.to_dict("records") == ptx("words", "--models", f"{tiny['a']},{tiny['next']}", *asked, "--json").lines
    assert rows["all"].tolist() == ["yes", "yes", "no"]


@pytest.mark.parametrize("to", ["npy", "safetensors", "optiprompt", "vllm"])
def test_what_is_exported_is_loaded_with_what_is_known_of_it(ptx, tuned, tmp_path, to: str) -> None:
    row = package.export(tuned.key[0], to=to, output=tmp_path / "out").iloc[0]
    assert Path(row.path).is_file()
    prompt, record = package.load_prompt(row.path)
    mine, known = package.load_prompt(tuned.key[0])
    torch.testing.assert_close(prompt, mine)
    torch.testing.assert_close(mine, package.prompt(tuned.key[0]))
    card = {**known, "model": Path(known["model"]).name, "local": True}  # for others, to whom a path says nothing
    assert {name: record[name] for name in card} == card
    assert (known["task"], known["layout"], known["vectors"]) == ("R1", "postfix", len(prompt))
    with pytest.raises(api.PtxError, match="exists already"):
        package.export(tuned.key[0], to=to, output=tmp_path / "out")


def test_a_file_without_a_card_says_less_and_words_need_a_model(ptx, tuned, tiny, tmp_path) -> None:
    vectors = np.arange(24, dtype=np.float32).reshape(2, 12)
    np.save(tmp_path / "p.npy", vectors)
    prompt, record = package.load_prompt(tmp_path / "p.npy")
    assert prompt.numpy().tolist() == vectors.tolist()
    assert record == {"model": "", "layout": None, "format": "npy", "vectors": 2, "width": 12}
    assert package.load_prompt(tmp_path / "p.npy", rows=1).prompt.shape == (1, 12)
    package.export(tuned.key[0], to="words", output=tmp_path / "w.json")
    with pytest.raises(api.PtxError, match="holds words, which are vectors on a model only"):
        package.load_prompt(tmp_path / "w.json")
    loaded = package.load_prompt(tmp_path / "w.json", model=tiny["b"])
    assert loaded.prompt.shape == (len(package.prompt(tuned.key[0])), 16)
    assert loaded.record["format"] == "words"


def test_an_error_is_one_frame(ptx, tmp_path) -> None:
    """In IPython the caller's line, the message and the hint; in a script not the library's frames either."""
    shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell
    code = "import ptx\nptx.tune(model='bert-nano')"
    script = tmp_path / "s.py"
    script.write_text(code)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    frames = [line for line in done.stderr.splitlines() if line.startswith("  File")]
    assert len(frames) == 2
    assert f'{script}", line 2' in frames[0]
    assert "PtxError: unknown model 'bert-nano'" in done.stderr
    assert done.stderr.rstrip().splitlines()[-1].startswith("hint: did you mean 'bert-")
    python = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        f"s = InteractiveShell(); s.run_cell({json.dumps(code)})"
    )
    done = subprocess.run([sys.executable, "-c", python], capture_output=True, text=True, check=True)
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 4, done.stdout
    assert "line 2" in lines[0]
    assert lines[1].strip() == "ptx.tune(model='bert-nano')"
    assert lines[2] == "PtxError: unknown model 'bert-nano'"
    assert lines[3].startswith("hint: did you mean")
    assert shell is not None
