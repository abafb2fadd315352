"""Several threads of one process call ptx at once."""

from __future__ import annotations

import contextlib
import contextvars
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from gguf_files import write_pair

from ptx import api
from ptx.lms.models import resolve


def refuse(stream: Any) -> None:
    raise AssertionError("a stream of the whole process is redirected")


@pytest.fixture(autouse=True)
def streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """What contextlib's own redirections would do is an error."""
    monkeypatch.setattr(contextlib._RedirectStream, "__enter__", refuse)


@pytest.mark.filterwarnings("ignore:the prompt for .* has not learned:UserWarning")
def test_four_threads_at_once(ptx, tiny: dict[str, str], suite: str) -> None:
    """What each would get alone, in one cache."""
    out, err = sys.stdout, sys.stderr

    def score(target: str, cache: str) -> Any:
        pair: dict[str, Any] = {"sources": tiny["a"]} if target == tiny["b"] else {"method": "manual"}
        pair |= {"suite": suite, "tasks": "R1", "anchors": words, "epochs": 1}
        return api.eval(target=target, cache_dir=cache, **pair).iloc[-1][["key", "accuracy"]].tolist()

    words = str(Path("words.txt").absolute())
    Path(words).write_text("France\nJapan\nPeru\nKenya\nNorway\n" + "".join(f"word{i}\n" for i in range(60)))
    targets = [name for name in tiny.values() if name != tiny["next"]] + [tiny["b"]]
    with ThreadPoolExecutor(len(targets)) as pool:
        together = [*pool.map(lambda target: score(target, "together"), targets)]
    assert (sys.stdout, sys.stderr) == (out, err)
    assert together == [score(target, "alone") for target in targets]


def test_a_gguf_file_is_dequantised_in_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    write_pair(tmp_path / "m.gguf", tmp_path / "folder")
    monkeypatch.setenv("PTX_CACHE_DIR", str(tmp_path / "cache"))
    capfd.readouterr()
    contextvars.Context().run(resolve, str(tmp_path / "m.gguf"))  # as if no command had run here before
    assert capfd.readouterr() == ("", "")
