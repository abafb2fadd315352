"""`tuned`: what labels on the target would give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ptx.stages.methods.method import Method

if TYPE_CHECKING:
    from ptx.engine.step import Step
    from ptx.lms.models import Model
    from ptx.stages.settings import Settings
    from ptx.suites import Task


def own(target: Model, task: Task, settings: Settings) -> Step:
    from ptx.stages.tune import tune_step

    return tune_step(target, task, settings, "target")


METHOD = Method("tuned", title="tuned on target", needs=("prompts",), own=own)
