"""`--schedule`, `--warmup` and `--optimizer`: keys, tables, and the curve."""

from __future__ import annotations

import json
from pathlib import Path

from conftest import PAPER_TUNING

SCHEDULED = ["--schedule", "linear", "--warmup", "0.1", "--optimizer", "optiprompt"]


def settings_of(line: dict) -> dict:
    return json.loads((Path(line["path"]) / "meta.json").read_text())["config"]["tune"]


def test_a_schedule_is_in_keys_and_apart_in_tables(ptx, tiny, suite) -> None:
    args = ["eval", "--target", tiny["a"], "--suite", suite, *PAPER_TUNING, "--epochs", "2", "--json"]
    plain, other = ptx(*args), ptx(*args, *SCHEDULED)
    assert (plain.code, other.code) == (0, 0), other.err
    assert not {"schedule", "warmup", "optimizer"} & settings_of(plain.at("tune")[0]).keys()
    own = settings_of(other.at("tune")[0])
    assert (own["schedule"], own["warmup"], own["optimizer"]) == ("linear", 0.1, "optiprompt")
    table = ptx("table").out
    assert table.count("test split") == 2
    assert "optimizer optiprompt" in table
    assert "schedule linear" in table
    assert "schedule constant" in table  # beside another
    rows = ptx("table", "--json").lines
    assert {"schedule" in row["settings"] for row in rows} == {True, False}


def test_where_a_schedule_ends_shapes_the_curve(ptx, tiny, suite) -> None:
    for more, pages in ((PAPER_TUNING, 1), ([*PAPER_TUNING, "--schedule", "linear"], 3)):
        for epochs in ("1", "2"):
            made = ptx("tune", "--model", tiny["a"], "--suite", suite, "--tasks", "R1", "--epochs", epochs, *more)
            assert made.code == 0, made.err
        assert ptx("table", "--curve").out.count("tuning on") == pages
