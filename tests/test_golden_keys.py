"""Keys are promises to every cache out there: those of the command lines in golden/keys.py are what they were."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from golden import keys

RECORDED = json.loads(keys.FILE.read_text("utf-8"))
LINES = list(keys.lines())
RUN = "run `python tests/golden/keys.py`"
BUILDING = ("tune", "anchors", "encode", "search", "eval")
NEUTRAL = {"--force", "--dry-run", "--json", "--quiet", "--verbose", "--list"}  # whether to build, and what to print


def test_keys_are_what_they_were() -> None:
    """All at once, in one process: most of the time goes into starting it and into the few lines that build."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, keys.__file__, "--show"], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    found, versions = json.loads(done.stdout)
    changed = keys.differences(RECORDED["keys"], found)
    raised = {stage for stage, version in versions.items() if version != RECORDED["versions"][stage]}
    hint = "undo the change, or raise a stage's version"
    if keys.embedded() != RECORDED["embedded"]:
        hint = f"embedded models or suites were made anew: {RUN}"
    if raised:
        hint = f"the version of {', '.join(sorted(raised))} was raised: {RUN}"
    assert not changed, "\n".join([*changed, f"{len(changed)} command lines have other keys: {hint}"])
    new = [line.like for line in LINES if line.like not in RECORDED["keys"]]
    assert not new, f"command lines that are not recorded yet, {RUN}: {new}"
    pairs = [(line.text, line.like) for line in LINES if found[line.text] != found[line.like]]
    unequal = [f"ptx {text}\nhas other keys than\nptx {like}" for text, like in pairs]
    assert not unequal, "\n".join(unequal)


def test_no_two_lines_have_the_same_keys() -> None:
    """So each of them stands for something that keys depend on; what they do not depend on is marked with "="."""
    lines: dict[str, str] = {}
    for text, pairs in RECORDED["keys"].items():
        assert pairs
        assert text == lines.setdefault(json.dumps(pairs), text)


def test_every_option_is_in_a_line() -> None:
    """A new one needs lines of its own, with "=" if keys do not depend on it."""
    used = {word for line in LINES for word in line.text.split()}
    for name in BUILDING:
        for parameter in keys.command().commands[name].whole.params:
            spellings = {*parameter.opts, *parameter.secondary_opts}
            assert spellings & (used | NEUTRAL), f"add a line with {parameter.opts[0]} to tests/golden/keys.py"


def test_what_has_changed_is_named() -> None:
    recorded = {"a": ["tune 1", "eval 2"], "b": ["tune 1"], "c": ["tune 3"], "d": ["tune 4"]}
    found = {"a": ["tune 1", "eval 5"], "b": ["tune 1"], "c": ["tune 3", "eval 6"], "e": ["tune 7"]}
    assert keys.differences(recorded, found) == [
        "ptx a: eval 2 is now eval 5",
        "ptx c: 1 keys are now 2",
        "ptx d: no longer among the command lines",
    ]
