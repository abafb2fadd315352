"""What a search reports of its work, by which the time left is told."""

from __future__ import annotations

import pytest

from ptx.engine.meter import Meter, Part, Report


@pytest.mark.parametrize("method", ["relative", "projector"])
def test_what_is_found_at_once_is_shared_out(ptx, tiny, suite, method: str, monkeypatch) -> None:
    """The first prompt of several that are found together took no longer than the others; to read the model took what
    it took before that."""
    heard: list[Report] = []

    def report(self: Meter, part: Part, report: Report) -> None:
        if part.kind[0] == "search":
            heard.append(report)

    monkeypatch.setattr(Meter, "report", report)
    names = ["--sources", tiny["a"], "--target", tiny["b"], "--method", method]
    assert ptx("search", *names, "--suite", suite, "--epochs", "1", "--json").code == 0
    begun, read, first, second = heard
    assert (begun.units, read.units) == (0, 0)
    assert read.now
    assert first.units == second.units > 0
    assert first.seconds == second.seconds > 0
