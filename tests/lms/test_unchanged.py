"""What is read of a model, of words and of inputs is what was hashed, in one process or in several."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Result, make_model
from safetensors.torch import load_file, save_file

import ptx as library
from ptx.engine import pipeline
from ptx.errors import PtxError
from ptx.lms import lm
from ptx.lms.embeddings import load_embeddings
from ptx.lms.lm import load_model
from ptx.lms.models import resolve

WEIGHTS = "model.safetensors"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a model in m and another of the same shape in n."""
    monkeypatch.chdir(tmp_path)
    make_model(tmp_path / "m", seed=1)
    make_model(tmp_path / "n", seed=1)
    noise = {name: tensor + torch.randn(tensor.shape) for name, tensor in load_file("n/" + WEIGHTS).items()}
    save_file(noise, "n/" + WEIGHTS, {"format": "pt"})
    return tmp_path


def replaced(name: str) -> None:
    shutil.copyfile(f"n/{name}", f"m/.{name}")
    os.replace(f"m/.{name}", f"m/{name}")


def overwritten(name: str) -> None:
    """In place, with the time that it had."""
    before = os.stat(f"m/{name}")
    Path("m", name).write_bytes(Path("n", name).read_bytes())
    os.utime(f"m/{name}", ns=(before.st_atime_ns, before.st_mtime_ns))


def before_building(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any]) -> None:
    """When all keys are known, and nothing is built."""
    build = pipeline.Pipeline._run

    def acted(*args: Any) -> Any:
        act()
        return build(*args)

    monkeypatch.setattr(pipeline.Pipeline, "_run", acted)


@pytest.mark.parametrize("how", [replaced, overwritten])
def test_weights_that_change_between_planning_and_reading(
    here: Path, suite: str, ptx: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, how: Callable[[str], None]
) -> None:
    command = ("eval", "--target", "m", "--method", "manual", "--suite", suite, "--json")
    with monkeypatch.context() as patched:
        before_building(patched, lambda: how(WEIGHTS))
        result = ptx(*command)
    assert result.code == 1
    assert "m changed while it was read" in result.err
    assert "hint: run the command again" in result.err
    again = ptx(*command).at("eval")  # of the other weights, by their own key
    assert again[0]["key"] not in {row["key"] for row in result.at("eval")}


@pytest.mark.parametrize("file", ["tokenizer.json", "tokenizer_config.json", "config.json"])
def test_small_files_that_change_between_planning_and_reading(
    here: Path, suite: str, ptx: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    Path("n", file).write_text(Path("m", file).read_text() + "\n")
    before_building(monkeypatch, lambda: replaced(file))
    result = ptx("eval", "--target", "m", "--method", "manual", "--suite", suite)
    assert result.code == 1
    assert "m changed while it was read" in result.err


@pytest.mark.parametrize("how", [replaced, overwritten])
@pytest.mark.parametrize("read", [load_model, load_embeddings])
def test_weights_that_change_and_change_back_while_they_are_read(
    here: Path, monkeypatch: pytest.MonkeyPatch, how: Callable[[str], None], read: Callable[..., Any]
) -> None:
    from ptx.lms import stored

    model, whole = resolve("m"), Path("m", WEIGHTS).read_bytes()
    fill, once = stored._fill, iter([True])

    def meanwhile(*args: Any) -> None:
        if next(once, False):
            how(WEIGHTS)
            fill(*args)
            Path("m", WEIGHTS).write_bytes(whole)
        else:
            fill(*args)

    monkeypatch.setattr(stored, "_fill", meanwhile)
    with pytest.raises(PtxError, match="m changed while it was read"):
        read(model, "cpu")
    monkeypatch.undo()
    os.chdir(here)
    assert Path(read(resolve("m"), "cpu").name).name == "m"


def test_a_tokenizer_that_changes_while_it_is_read(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ptx.lms import embeddings

    make = embeddings._made_of

    def meanwhile(path: str) -> Any:
        replaced("tokenizer.json")
        return make(path)

    monkeypatch.setattr(embeddings, "_made_of", meanwhile)
    with pytest.raises(PtxError, match="changed while it was read"):
        embeddings.tokenizer_of(resolve("m"))


def test_weights_that_change_before_a_result_is_kept(
    here: Path, suite: str, ptx: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ptx.stages import eval as stage

    metrics = stage._metrics

    def meanwhile(*args: Any) -> Any:
        replaced(WEIGHTS)
        return metrics(*args)

    monkeypatch.setattr(stage, "_metrics", meanwhile)
    result = ptx("eval", "--target", "m", "--method", "manual", "--suite", suite)
    assert result.code == 1
    assert "m changed while it was read" in result.err
    assert not list(Path("cache/v1").glob("eval/*"))


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("read", [load_model, load_embeddings])
def test_a_loaded_model_is_its_own(here: Path, read: Callable[..., Any], old: bool) -> None:
    """Neither overwriting its file nor cutting it short changes what was read, in either format."""
    file = Path("m", WEIGHTS)
    if old:
        torch.save(load_file(file), "m/pytorch_model.bin")
        file.unlink()
        file = Path("m/pytorch_model.bin")
    model = read(resolve("m"), "cpu")
    tensors = model.network.state_dict() if read is load_model else {"matrix": model.matrix}
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    with file.open("r+b") as stream:
        stream.write(b"\x3f" * file.stat().st_size)
    assert all(torch.equal(tensors[name], tensor) for name, tensor in before.items())
    os.truncate(file, 100)
    assert all(torch.equal(tensors[name], tensor) for name, tensor in before.items())


def test_a_file_that_is_touched_is_what_it_was(here: Path, suite: str, ptx: Callable[..., Result]) -> None:
    command = ("eval", "--target", "m", "--method", "manual", "--suite", suite, "--json")
    first = ptx(*command).at("eval")
    for file in Path("m").iterdir():
        os.utime(file)
    assert [row["key"] for row in ptx(*command).at("eval") if row["reused"]] == [row["key"] for row in first]


def predictions(frame: Any) -> list[bytes]:
    return [Path(path, "predictions.jsonl").read_bytes() for path in frame[frame.stage == "eval"].path]


def test_the_library_reads_what_is_there_now(here: Path, suite: str) -> None:
    """Right results for replaced weights, under their own keys, also where the model has left the memory meanwhile."""
    asked: dict[str, Any] = {"method": "manual", "suite": suite}
    right = {name: predictions(library.eval(target=name, cache_dir=f"c{name}", **asked)) for name in "mn"}
    assert right["m"] != right["n"]
    for way in (replaced, overwritten):
        shutil.rmtree("m")
        make_model(here / "m", seed=1)
        assert predictions(library.eval(target="m", cache_dir="c", **asked)) == right["m"]
        way(WEIGHTS)
        lm._load_model.cache_clear()
        assert predictions(library.eval(target="m", cache_dir="c", **asked)) == right["n"]
    assert predictions(library.eval(target="n", cache_dir="c", **asked)) == right["n"]


def test_a_name_is_looked_up_in_the_folder_of_today(here: Path, suite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "mn":
        shutil.copytree(name, f"in {name}/model")
    shutil.copytree(suite, "in m/tasks")
    shutil.copytree(suite, "in n/tasks")
    for file in Path("in n/tasks").rglob("test.jsonl"):
        file.write_text("".join(file.read_text().splitlines(keepends=True)[:3]))
    counted = []
    for name in "mn":
        monkeypatch.chdir(here / f"in {name}")
        for words, given in (("words.txt", "France Japan"), ("inputs.txt", "name1")):
            Path(words).write_text(given if name == "m" else given + " Peru")
        found = library.eval(target="model", method="manual", suite="tasks", anchors="words.txt", upstream=True)
        counted.append([*found[found.stage == "eval"].facts + found[found.stage == "eval"].dropped])
        assert [*found[found.stage == "anchors"]["count"]] == [2 if name == "m" else 3]
        assert resolve("model").digest == resolve(str(here / name)).digest
    assert counted == [[8, 8], [3, 3]]


@pytest.mark.parametrize("option", ["anchors", "inputs"])
def test_lists_that_change_between_planning_and_reading(
    here: Path, suite: str, ptx: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    Path("list.txt").write_text("France\nJapan\nPeru\n")
    before_building(monkeypatch, lambda: Path("list.txt").write_text("France\nJapan\n"))
    asked = ("--method", "auto", "--candidates", "direct", f"--{option}", "list.txt")
    common = ("--target", "n", "--suite", suite, "--epochs", "1", "--init", "random", "--tasks", "R1")
    result = ptx("search", "--sources", "m", *common, *asked)
    assert result.code == 1
    assert "list.txt changed while it was read" in result.err
