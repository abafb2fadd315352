"""A call's session: each config takes those of the function's arguments that are its fields; what it builds is a frame,
and what warns comes with the call."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ptx.config import CONFIGS, CommonConfig, SuiteConfig
from ptx.config.lists import text_of
from ptx.errors import PtxError, raise_last
from ptx.media import one_line
from ptx.notebooks.calls import CALL, WARNED
from ptx.notebooks.frames import frame

if TYPE_CHECKING:
    import pandas as pd

    from ptx.engine.build import Built
    from ptx.session import Session


def built(values: Mapping[str, Any], act: Callable[["Session"], "Built"]) -> "pd.DataFrame":
    """What was asked for of a session as rows, and what it needs if that is asked for too; a failure is raised, the
    last of several."""
    from ptx.engine.build import row_of

    session = session_of(values)
    made = act(session)
    session.tell.message(made.summary)
    raise_last(made.errors, warn)
    goals = {goal.key for goal in made.goals}
    shown = [outcome for outcome in made.outcomes if outcome.step.key in goals]
    if values["upstream"] or values["dry_run"]:
        shown += [outcome for outcome in made.outcomes if outcome.step.key not in goals]
    rows = [row_of(outcome, session.store, dry_run=session.common.dry_run) for outcome in shown]
    return frame(rows, made.goals[0].stage.columns)


def warn(error: PtxError) -> None:
    WARNED.get().append(f"{error.message} ({error.hint})")


def session_of(values: Mapping[str, Any]) -> "Session":
    """A session from a function's arguments."""
    from ptx.cli.output import Output
    from ptx.session import Session

    class Listener(Output):
        def warn(self, text: str) -> None:
            WARNED.get().append(one_line(text))

    def config(kind: Any) -> Any:
        texts = {field.name for field in fields(kind) if field.type is str}
        own = {field.name: values[field.name] for field in fields(kind) if field.name in values}
        return kind(**{name: text_of(value) if name in texts else value for name, value in own.items()})

    stages = {name: config(kind) for name, kind in CONFIGS.items() if all(f.name in values for f in fields(kind))}
    listener = Listener(quiet=not values["progress"])
    seeds, made_by = text_of(values.get("seeds", "")), {"command": CALL.get()}
    return Session(config(CommonConfig), listener, config(SuiteConfig), seeds=seeds, made_by=made_by, **stages)
