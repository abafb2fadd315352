"""`ptx doctor` says what is in order, what is missing and what is broken; completion knows what there is to name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ptx import doctor
from ptx.cache import Store
from ptx.cache.locks import held
from ptx.errors import PtxError

pytestmark = pytest.mark.filterwarnings("ignore:the prompt for .* has not learned:UserWarning")


@pytest.fixture
def quick(monkeypatch) -> None:
    """The transfer is tested by itself."""
    monkeypatch.setattr(doctor, "transfer", lambda device: iter([doctor.Finding("self-test", "ok", "")]))


def states(lines: list[dict]) -> dict[str, tuple[str, str]]:
    return {line["what"]: (line["state"], line["how"]) for line in lines}


def test_a_transfer_comes_out_right_and_leaves_nothing(ptx, tmp_path) -> None:
    (found,) = doctor.transfer("cpu")
    assert (found.what, found.state) == ("self-test", "ok")
    assert "matching loss" in found.how
    assert not [*tmp_path.iterdir()]


def test_a_transfer_that_comes_out_wrong_is_broken(ptx, monkeypatch) -> None:
    """Arithmetic that is a little off: each number gets a bit of its neighbour."""
    from ptx.transfer import solvers

    exact = solvers.exact

    def wrong(*args, **options):
        found = exact(*args, **options)
        return found + 0.5 * found.roll(1, -1)

    monkeypatch.setattr(solvers, "exact", wrong)
    (found,) = doctor.transfer("cpu")
    assert found.state == "broken"


def test_what_is_installed_and_what_is_not(quick, ptx, monkeypatch) -> None:
    needed = ["torch>=2.4", "rich>=900", "no-such-package>=1"]
    besides = {"peft>=0.1": "more", "nor-this>=2": "more", "rich>=1": "less", "ptx-prompts[less]": "both"}
    wanted = [*needed, *(f'{name}; extra == "{extra}"' for name, extra in besides.items())]
    monkeypatch.setattr(doctor, "requires", lambda name: wanted)
    extras = {"Provides-Extra": ["more", "less", "both"]}
    monkeypatch.setattr(doctor, "metadata", lambda name: type("Of", (), {"get_all": lambda self, key: extras[key]})())
    ran = ptx("doctor", "--json")
    found = states(ran.lines)
    assert found["torch"][0] == "ok"
    assert found["rich"][0] == "broken"
    assert found["rich"][1].endswith("is installed: pip install 'rich>=900'")
    assert found["no-such-package"] == ("broken", "not installed: pip install 'no-such-package>=1'")
    assert found["extra more"] == ("missing", "pip install nor-this")
    assert found["extra less"][0] == found["extra both"][0] == "ok"
    assert ran.code == 1
    assert ran.err.splitlines()[-2:] == [
        "error: broken: rich, no-such-package",
        "hint: the lines above say how, and what to do",
    ]


def test_the_cache_is_looked_at(quick, ptx, tiny, suite) -> None:
    assert states(ptx("doctor", "--json").lines)["cache"][1].endswith("cache: empty; 0.0 MB")
    assert not Path("cache").exists()
    made = ptx("anchors", "--models", tiny["a"], "--json").lines[0]
    with held(Path("cache/locks/tune-x.lock"), lambda: None):
        ran = ptx("doctor", "--json")
    found = states(ran.lines)
    assert ran.code == 0
    assert "1 anchors" in found["cache"][1]
    assert found["artifacts"] == ("ok", "1 of 1 checked, all intact")
    assert found["runs"] == ("ok", "0 at work in it; locked: tune-x")
    (Path(made["path"]) / "words.txt").write_text("junk")
    ran = ptx("doctor")
    assert ran.code == 1
    assert "1 of 1 damaged" in ran.out
    assert "error: broken: artifacts" in ran.err


def test_a_look_that_fails_is_a_finding(monkeypatch, tmp_path) -> None:
    def fails(*args) -> None:
        raise PtxError("no such device", "choose another")

    for name in ("versions", "extras", "devices", "cache", "transfer"):
        monkeypatch.setattr(doctor, name, fails)
    found = [*doctor.examined(Store(tmp_path), "cpu")]
    assert {(one.state, one.how) for one in found} == {("broken", "no such device (choose another)")}
    assert [one.what for one in found] == ["versions", "extras", "devices", "cache", "self-test"]


def completions(words: str, folder: Path) -> list[str]:
    """What bash is given for the last word."""
    code = "import sys; sys.argv = ['ptx']; from ptx.__main__ import main; main()"
    more = {"_PTX_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, env=os.environ | more, check=False
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_names_are_completed(ptx, tiny, tmp_path) -> None:
    made = ptx("anchors", "--models", tiny["a"], "--json").lines[0]["key"]
    for words, wanted in (
        ("ptx ta", ["table"]),
        ("ptx tune --model bert-m", ["bert-micro", "bert-mini"]),
        ("ptx eval --sources bert-micro,albert-mi", ["bert-micro,albert-micro", "bert-micro,albert-mini"]),
        ("ptx tune --suite to", ["topics"]),
        ("ptx tune --tasks P17,P10", [f"P17,P{n}" for n in (101, 103, 106, 108)]),
        ("ptx run figure", ["figure2", "figure3", "figure4"]),
        ("ptx cache show ", [made[:12]]),
        ("ptx eval --anchors ", [made[:12]]),
        ("ptx eval --method pro", ["procrustes", "projector"]),
        ("ptx tune --suite nowhere --tasks x", [""]),
    ):
        assert completions(words, tmp_path) == wanted, words


def test_completion_is_offered_for_each_shell(ptx) -> None:
    shown = ptx("--help").out
    assert "--install-completion" in shown
    assert "--show-completion" in shown
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv = ['ptx']; from ptx.__main__ import main; main()"],
        capture_output=True, text=True, check=True, env=os.environ | {"_PTX_COMPLETE": "source_bash"},
    )  # fmt: skip
    assert "_PTX_COMPLETE=complete_bash" in done.stdout
