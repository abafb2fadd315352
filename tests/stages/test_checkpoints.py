"""A tuning that is interrupted goes on after its last whole epoch, to the same bytes, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import write_suite

from ptx.cache import Store, leases, unfinished
from ptx.stages import checkpoint, tune

TUNE = ["--epochs", "4", "--init", "random", "--lr-scale", "0.5", "--patience", "1"]


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_suite(tmp_path_factory.mktemp("five") / "suite", tasks=["R1", "R2", "R3", "R4", "R5"]))


@pytest.fixture
def tuned(ptx, tiny, five):
    def run(cache: str, *more: str, model: str = "a") -> Any:
        return ptx("tune", "--model", tiny[model], "--suite", five, *TUNE, "--json", "--cache-dir", cache, *more)

    return run


def stop_after(monkeypatch: pytest.MonkeyPatch, epochs: int) -> list[int]:
    """Ctrl-C in the moment in which so many epochs have been kept; the list grows by each epoch."""
    seen: list[int] = []
    keep = checkpoint.keep

    def kept(store: Any, steps: Any, of: Any) -> None:
        keep(store, steps, of)
        seen.append(of.epoch)
        if len(seen) == epochs:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "keep", kept)
    return seen


def payloads(root: str) -> dict[str, Any]:
    metas = [json.loads(path.read_bytes()) for path in Path(root).glob("v1/tune/*/meta.json")]
    return {meta["key"]: (meta["payload"], meta["metrics"]) for meta in metas}


@pytest.mark.parametrize("model", ["a", "next"])
@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_the_next_run_goes_on(tuned, monkeypatch, model: str, epochs: int) -> None:
    monkeypatch.setattr(tune, "TASKS_TOGETHER", 3)
    assert tuned("whole", model=model).code == 0
    with monkeypatch.context() as patch:
        stop_after(patch, epochs)
        assert tuned("cut", model=model).code == 130
    there = payloads("cut")
    assert [*Path("cut/unfinished").iterdir()]
    with monkeypatch.context() as patch:
        seen = stop_after(patch, 99)
        assert tuned("cut", model=model).code == 0
        assert seen[0] == 1 + epochs or there
    assert payloads("cut") == payloads("whole")
    assert [*Path("cut/unfinished").iterdir()] == []


def test_it_begins_with_where_it_stood(tuned, monkeypatch) -> None:
    """No epoch is done twice, and the seconds of both runs count."""
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        tuned("cut")
    (file,) = Path("cut/unfinished").iterdir()
    before = json.loads(file.read_bytes().splitlines()[1])["seconds"]
    with monkeypatch.context() as patch:
        seen = stop_after(patch, 99)
        lines = tuned("cut").lines
    assert seen[0] == 3
    assert all(line["seconds"] > before[line["key"]] for line in lines if line["key"] in before)


def test_some_of_the_tasks_go_on_alone(tuned, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 1)
        tuned("cut")
    with monkeypatch.context() as patch:
        seen = stop_after(patch, 99)
        assert tuned("cut", "--tasks", "R2").code == 0
        assert seen[0] == 2
        assert len(payloads("cut")) == 1
        assert tuned("cut").code == 0
        assert 1 not in seen
    assert len(payloads("cut")) == 5
    assert [*Path("cut/unfinished").iterdir()] == []


def test_what_is_not_whole_is_begun_again(tuned, monkeypatch) -> None:
    tuned("whole")
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        tuned("cut")
    (file,) = Path("cut/unfinished").iterdir()
    file.write_bytes(file.read_bytes()[:-10])
    with monkeypatch.context() as patch:
        seen = stop_after(patch, 99)
        assert tuned("cut").code == 0
    assert seen[0] == 1
    assert payloads("cut") == payloads("whole")
    assert [*Path("cut/unfinished").iterdir()] == []


def test_a_tuning_that_diverges_is_not_taken_up(ptx, tiny, five, monkeypatch) -> None:
    import torch

    monkeypatch.setattr(torch, "isfinite", lambda tensor: torch.zeros(1, dtype=torch.bool))
    result = ptx("tune", "--model", tiny["a"], "--suite", five, *TUNE)
    assert result.code == 1
    assert "diverged" in result.err
    assert not [*Path("cache").glob("unfinished/*")]


def test_gc_keeps_what_can_go_on(ptx, tuned, monkeypatch) -> None:
    monkeypatch.setattr(leases, "BETWEEN", 0.001)  # seconds between looks at another machine's file
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        tuned("cache")
    (file,) = Path("cache/unfinished").iterdir()
    killed = file.with_name(f".{file.name}.12345678.999999999-elsewhere")
    killed.write_bytes(b"half")
    os.utime(killed, (0, 0))
    assert ptx("cache", "gc").code == 0
    assert not killed.exists()
    assert file.exists()
    assert ptx("cache", "gc", "--older-than", "1").code == 0
    assert file.exists()
    os.utime(file, (time.time() - 2 * 86400,) * 2)
    assert ptx("cache", "gc", "--older-than", "3").code == 0
    assert file.exists()
    assert ptx("cache", "gc", "--older-than", "1").code == 0
    assert not file.exists()


def test_a_file_of_steps_that_are_there_goes(tmp_path) -> None:
    store = Store(tmp_path)
    unfinished.keep(store, "tune", ["one", "two"], b"content")
    assert unfinished.found(store, "tune", ["two"]) == [(["one", "two"], b"content")]
    assert unfinished.found(store, "tune", ["three"]) == []
    store.folder("tune", "one").mkdir(parents=True)
    assert unfinished.finished(store) == []
    store.folder("tune", "two").mkdir(parents=True)
    assert len(unfinished.finished(store)) == 1
    unfinished.drop(store, "tune", ["another"])
    assert unfinished.found(store, "tune", ["one"]) == []
