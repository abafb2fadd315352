"""One run of a command at the terminal: a session, and what is said of it. `--help` imports it, but begins none."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptx.cli import plan
from ptx.cli.output import Output, shown
from ptx.config import CommonConfig, SuiteConfig
from ptx.config.nearby import settings_file
from ptx.config.said import line
from ptx.errors import PtxError, raise_last
from ptx.files import here, write_whole
from ptx.media import counted, percent
from ptx.results import layout

if TYPE_CHECKING:
    from ptx.cache import Artifact
    from ptx.engine.build import Built


LINE: ContextVar[Sequence[str]] = ContextVar("line", default=())  # the arguments of this run, as they were typed
ALIKE = ("sources", "target", "model", "models", "method")  # columns that say nothing if all rows have the same
ASKED = ("chosen", "agreement", "forecast")  # columns that only what was chosen by agreement has


class Command:
    def __init__(self, common: CommonConfig, suite: SuiteConfig | None = None, **more: Any) -> None:
        """`more`: see Session."""
        from ptx.session import Session

        self.common = common
        if common.quiet:
            os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
        self.out = Output(as_json=common.json, quiet=common.quiet, verbose=common.verbose)
        self.made_by = {"command": line(LINE.get())}
        self.session = Session(common, self.out, suite, made_by=self.made_by, **more)
        self.store = self.session.store
        if found := settings_file(here()):
            self.out.message(f"settings: {found[0]}")
        self.out.detail(f"cache: {self.store.root}")

    def finish(self, built: Built) -> None:
        """Report what was built, the goals in the columns of their stage, and raise the error if a step failed."""
        self.report(built, built.goals[0].stage.columns if built.goals else ())
        raise_last(built.errors, self.out.error)

    def report(self, built: Built, columns: Sequence[str] = ()) -> None:
        """The goals as columns, everything touched as JSON lines, or paths; then what was built and what reused."""
        from ptx.engine.build import figures_of, row_of
        from ptx.lms.names import named_in, written
        from ptx.results.sets import title

        if self.common.json:
            for outcome in built.outcomes:
                self.out.json(row_of(outcome, self.store, dry_run=self.common.dry_run))
        elif self.common.dry_run:
            lines = [row_of(outcome, self.store, dry_run=True) for outcome in built.outcomes]
            found = [(outcome.step, line["cache"]) for outcome, line in zip(built.outcomes, lines, strict=True)]
            rows = [[s.stage.name, s.key[:12] if s.is_known else "?", s.name, cache] for s, cache in found]
            if self.common.list or len(rows) <= plan.MOST:
                self.out.columns(["stage", "key", "what", "cache"], rows)
                self.out.data("")
            if built.ahead is not None:
                hits = Counter(step.stage.name for step, cache in found if cache == "hit")
                self.out.columns(*plan.totals(built.ahead, hits))
                self.out.data("\n".join(["", *plan.lines(built.ahead)]))
            if not self.common.list and len(rows) > plan.MOST:
                self.out.message(f"--list shows all {counted(len(rows), 'artifact')}")
        elif self.common.quiet:
            for artifact in built.done:
                self.out.data(str(artifact.path))
        elif built.done and columns:
            own = _words_of(built)
            goals = [{**figures_of(of), "key": of.key[:12]} for of in built.done]
            names = named_in([*goals, *own.values()])
            sets = {key: title(labels, names) for key, labels in own.items()}
            goals = [{**figures, "words": sets.get(of.key, "")} for figures, of in zip(goals, built.done, strict=True)]
            columns = [name for name in columns if name not in ASKED or any(name in figures for figures in goals)]
            for name in ("words", "seed"):
                if len({figures[name] for figures in goals if name in figures}) > 1:
                    columns.insert(columns.index("task") + 1, name)
            goals = [written(figures, names) for figures in goals]
            # What all rows have in common is said once, above them.
            same = [n for n in ALIKE if n in columns and all(of.get(n) == goals[0].get(n) for of in goals)]
            if said := [f"{name} {shown(name, value)}" for name in same if (value := goals[0].get(name))]:
                self.out.data(f"{layout.folded(', '.join(said), layout.terminal_width())}\n")
                self.out.data("")
            columns = [*(name for name in columns if name not in same), "key"]
            self.out.rows([{name: figures.get(name) for name in columns} for figures in goals])
            if "accuracy" in columns:
                width = layout.terminal_width()
                self.out.data("\n" + "\n".join(layout.folded(line, width) for line in _averages(built.done, sets)))
        if not self.common.dry_run:
            self.out.message(f"{built.summary}; cache: {self.store.root}")

    def write(self, text: str, output: Path | None) -> None:
        """Text as data, or into the user's file."""
        if output is None:
            self.out.data(text)
            return
        try:
            write_whole(output, text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            raise PtxError(f"cannot write {output}: {error.strerror}", "choose another --output") from None
        self.out.message(f"wrote {output}")


def _words_of(built: Built) -> dict[str, Mapping[str, Any]]:
    """What names the words that answer, by evaluation."""
    steps = [o.step for o in built.outcomes if o.step.stage.name == "eval"]
    return {step.key: words.labels for step in steps for words in step.parents_at("anchors")}


def _averages(done: Sequence[Artifact], sets: Mapping[str, str]) -> Iterator[str]:
    """A line for each set of words: means over tasks, then over seeds."""
    from ptx.results.collect import result_of
    from ptx.results.table import cell, record

    several = dict.fromkeys(sets.get(artifact.key, "") for artifact in done)
    for own in several:
        of = cell({}, [record(result_of(artifact), "") for artifact in done if sets.get(artifact.key, "") == own])
        micro, macro = (
            percent(of[name]) + ("" if of[f"{name}_std"] is None else f" ± {percent(of[f'{name}_std'])}")
            for name in ("micro", "macro")
        )
        whole = f"{counted(of['tasks'], 'task')}, {counted(of['facts'], 'fact')}"
        line = f"{whole}: P@1 in %: mean of tasks {micro}, pooled facts {macro}"
        line += f", majority class {percent(of['floor'])}" if of["floor"] is not None else ""
        line += f"; ± over n = {of['seeds']} seeds" if of["seeds"] > 1 else ""
        yield f"words of {own}: {line}" if len(several) > 1 else line
