"""Another process answers what it is asked, and is gone when nobody asks any more."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ptx.results.report.beside import Lost, beside

PARENT = """import os
from ptx.results.report.beside import beside

with beside("json") as ask:
    print(ask(os.getpid)(), flush=True)
    os._exit(9)
"""


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"


def test_answers_come_from_elsewhere_in_the_order_of_questions(capfd) -> None:
    with beside("json") as ask:
        who, said, joined = ask(os.getpid), ask(print, "no answer"), ask(os.path.join, "a", "b")
        assert (pid := who()) != os.getpid()
        assert (said(), joined()) == (None, os.path.join("a", "b"))
        ask(time.sleep, 1000)
    assert gone(pid)
    assert capfd.readouterr().out == ""


def test_one_that_has_ended_is_lost() -> None:
    with beside("json") as ask:
        answer = ask(os._exit, 1)
        with pytest.raises(Lost):
            answer()
        for _ in range(2):
            with pytest.raises(Lost):
                ask(os.getpid)()


def test_it_does_not_outlive_its_parent() -> None:
    ended = subprocess.run([sys.executable, "-c", PARENT], capture_output=True, text=True, check=False)
    assert ended.returncode == 9, ended.stderr
    until = time.monotonic() + 30
    while not gone(int(ended.stdout)):
        assert time.monotonic() < until
        time.sleep(0.1)
