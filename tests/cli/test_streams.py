"""Closed standard streams, arguments that are no text, a working directory that is gone: words, no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="of POSIX's shell")
ROOT = Path(__file__).parents[2]
PREDICT = "predict --target bert-micro --prompt P"


def run(command: str | bytes, folder: Path, before: str = "") -> subprocess.CompletedProcess[str]:
    """A command as a shell runs it, with redirections."""
    text = f"{before}exec {sys.executable} -m ptx ".encode() + (
        command.encode() if isinstance(command, str) else command
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "PTX_CACHE_DIR": "cache"}
    return subprocess.run([b"sh", b"-c", text], cwd=folder, env=env, capture_output=True, text=True, errors="replace")


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("models >&-", 1, "error: cannot write to stdout: Bad file descriptor\nhint: "),
        ("cache ls -q >&- <&-", 0, ""),  # nothing to say
        (f"{PREDICT} <&-", 1, "error: cannot read stdin: Bad file descriptor\nhint: "),
        ("models 2>&- >out", 0, ""),
        ("models <&- >&- 2>&-", 1, ""),
        ("cache gc 2>/dev/full", 0, ""),  # what is said is lost, what is done is done
        (b"eval --target 'a\xff' --method manual", 2, "error: 'a\\udcff' is not UTF-8\nhint: rename"),
        (b"predict --target bert-micro --prompt P 'a\xff'", 2, "error: 'a\\udcff' is not UTF-8\nhint: rename"),
    ],
)
def test_what_is_closed_or_no_text(command: str | bytes, code: int, said: str, tmp_path: Path) -> None:
    done = run(command, tmp_path)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    if said == "":
        assert done.stderr == ""


def test_a_variable_that_is_no_text(tmp_path: Path) -> None:
    done = run("eval --target bert-micro --method manual", tmp_path, before="PTX_TASKS=$(printf 'P\\377') ")
    assert (done.returncode, done.stderr.partition("\n")[0]) == (2, "error: 'P\\udcff' is not UTF-8")


def test_a_working_directory_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    done = run("models", tmp_path / "gone", before='rmdir "$PWD"; ')
    assert done.returncode == 1
    assert done.stderr.startswith("error: the working directory is gone: ")
    assert "hint: go to another one" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_library_call_without_a_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ptx
    from ptx import PtxError

    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(PtxError, match="the working directory is gone"):
        ptx.models()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PtxError, match="is not UTF-8"):
        ptx.eval(target="bert-micro", sources=["a\udcff"])


@pytest.mark.parametrize("name", ["SIGHUP", "SIGTERM"])
def test_a_terminal_that_is_closed_is_an_interruption_like_others(name: str) -> None:
    code = f"import signal, time; signal.signal(signal.{name}, signal.SIG_DFL)  # under nohup it is ignored\n"
    code += "from ptx.cli import interrupts; interrupts.install()\n"
    code += (
        "try:\n print('on', flush=True)\n time.sleep(9)\nexcept KeyboardInterrupt: raise SystemExit(interrupts.say())"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number := getattr(signal, name))
        _, err = process.communicate()
    assert process.returncode == 128 + number
    assert err.decode().startswith("interrupted: what is finished is kept\nhint: run the same command again")
