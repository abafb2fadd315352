"""What an evaluation reports of its work, by which the time left is told."""

from __future__ import annotations

from typing import Any

from ptx.engine.meter import Meter, Part, Report
from ptx.stages import eval as stage


def test_a_few_prompts_are_prepared_before_they_are_read(ptx, tiny, suite, monkeypatch) -> None:
    """Not those of all tasks before any: the first report would say that the whole is slow."""
    order: list[str] = []
    prepared = stage._to_score

    def to_score(*args: Any) -> Any:
        order.append("prepared")
        return prepared(*args)

    def report(self: Meter, part: Part, report: Report) -> None:
        if part.kind[0] == "eval" and report.units:
            order.append("read")

    monkeypatch.setattr(stage, "TOGETHER", 1)
    monkeypatch.setattr(stage, "_to_score", to_score)
    monkeypatch.setattr(Meter, "report", report)
    assert ptx("eval", "--target", tiny["b"], "--method", "manual", "--suite", suite).code == 0
    assert order == ["prepared", "read"] * 2
