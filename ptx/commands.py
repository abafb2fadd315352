"""What all commands share: they plan steps, run the pipeline, and report what was built, reused and where."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptx import plan, sources
from ptx.cache import Artifact, Store
from ptx.config import CommonConfig, SuiteConfig, listed
from ptx.errors import PtxError, UsageError
from ptx.files import write_whole
from ptx.lms.models import resolve
from ptx.output import Output
from ptx.pipeline import Outcome, Pipeline
from ptx.reporting import COLUMNS, as_json, averages, cell, figures_of, name_of, report, summary
from ptx.settings import Settings
from ptx.stages.strict import strictly
from ptx.step import Step, is_file, made_for, shared_words, stored_step
from ptx.suites import load_suite
from ptx.warm import find_initial

if TYPE_CHECKING:
    from ptx.stages.results import Result
    from ptx.stages.table import Table

# Who is told: the terminal, unless a Python function collects what the command would print (api.py).
LISTENER: ContextVar[Callable[..., Output]] = ContextVar("listener", default=Output)


class Command:
    """One run of a command: its settings, store and output."""

    def __init__(self, common: CommonConfig, suite: SuiteConfig | None = None, **configs: Any) -> None:
        self.common = common
        if common.quiet:
            os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
        self.out = LISTENER.get()(as_json=common.json, quiet=common.quiet, verbose=common.verbose)
        self.store = Store(Path(common.cache_dir), self.out.warn)
        suite = suite or SuiteConfig()
        tasks = tuple(listed(suite.tasks))
        more: dict[str, Any] = {"seed": common.seed, "dtype": common.dtype, **configs}
        if "tune" in configs:
            more["initial"] = find_initial(configs["tune"].init, self.store)
        self.settings = Settings(suite.suite, tasks, truncate=suite.truncate, strict=suite.strict, **more)

    def anchors(self, text: str, models: Sequence[str]) -> Step:
        """The anchors that `--anchors` names, or the default ones of a command that names `models`."""
        if not text:
            shared, description = plan.default_anchors(models, self.settings)
            self.out.message(f"anchors: words shared by {description}")
            return shared
        if Path(text).is_file():
            return plan.word_file_step(Path(text), models, self.settings)
        return plan.stored_anchors(self.store.find(text, ("anchors",)), self.store)

    def run(self, stage: str, goals: Sequence[Step], *, force: str = "") -> list[Outcome]:
        """Build the goals and what they need, and report. Raises the (last) error if a step failed."""
        outcomes = self.build(stage, goals, force=force)
        errors = {str(o.error): o.error for o in outcomes if o.error is not None}
        for error in list(errors.values())[:-1]:
            self.out.error(error)
        if errors:
            raise list(errors.values())[-1]
        return outcomes

    def build(self, stage: str, goals: Sequence[Step], *, jobs: int = 1, force: str = "") -> list[Outcome]:
        """Build the goals and what they need, and report, failures included.

        `force` is the stage that --force rebuilds, if it is not the one that the command is named after.
        """
        began = time.monotonic()
        if not self.settings.tasks and (used := {goal.task.name for goal in goals if goal.task}):
            suites = {goal.labels["suite"] for goal in goals}
            skipped = [task.name for suite in suites for task in load_suite(suite).tasks if task.name not in used]
            if skipped:
                self.out.warn(f"skipped {', '.join(skipped)}: without facts in a split that is needed")
        pipeline = Pipeline(self.store, self.out, device=self.common.device, jobs=jobs)
        forced = (force or stage) if self.common.force else None
        outcomes = pipeline.run(goals, force=forced, dry_run=self.common.dry_run)
        if self.settings.strict and not self.common.dry_run:
            outcomes = [strictly(outcome, self.store) for outcome in outcomes]
        self._report(stage, goals, outcomes)
        sources.warn_of_imported([o.artifact for o in outcomes if o.artifact is not None], self.out.warn)
        if not self.common.dry_run:
            self.out.message(f"{summary(outcomes)} in {time.monotonic() - began:.1f} s; cache: {self.store.root}")
        return outcomes

    def _report(self, stage: str, goals: Sequence[Step], outcomes: Sequence[Outcome]) -> None:
        if self.common.json:
            for outcome in outcomes:
                self.out.json(as_json(outcome, self.store, dry_run=self.common.dry_run))
            return
        if self.common.dry_run:
            rows = [[o.step.stage, o.step.key[:12], name_of(o.step), "hit" if o.reused else "miss"] for o in outcomes]
            self.out.columns(["stage", "key", "what", "cache"], rows)
            return
        wanted = {goal.key for goal in goals}
        done = [o.artifact for o in outcomes if o.step.key in wanted and o.artifact is not None]
        if self.common.quiet:
            for artifact in done:
                self.out.data(str(artifact.path))
        elif done and stage in COLUMNS:
            rows = [[cell(figures_of(a).get(name)) for name in COLUMNS[stage]] + [a.key[:12]] for a in done]
            self.out.columns([*COLUMNS[stage], "key"], rows)
            if stage == "eval":
                self.out.data(averages(done))

    def given(self, text: str) -> list[Step]:
        """The prompts of `--prompt KEY[,KEY...]` as sources; no other tasks are of interest then."""
        steps = sources.source_steps(text, self.store)
        self.keep_to(steps)
        return steps

    def keep_to(self, steps: Sequence[Step]) -> None:
        """The tasks of these steps are the ones asked for. Raises UsageError if --tasks names others."""
        tasks = tuple(dict.fromkeys(step.labels["task"] for step in steps))
        if unasked := [task for task in tasks if self.settings.tasks and task not in self.settings.tasks]:
            raise UsageError(
                f"the prompts are for {', '.join(unasked)} too", "leave --tasks out, or give fewer prompts"
            )
        self.settings = dataclasses.replace(self.settings, tasks=tasks)

    def evaluations_of(self, text: str, target_name: str, shared: Step, *, on: str = "") -> list[Step]:
        """The evaluations of finished prompts, by keys or files, on their own tasks or those of the suite `on`."""
        target = resolve(target_name)
        steps = [
            self._from_file(Path(part), target_name) if is_file(part) else self._finished(part, target_name)
            for part in sources.keys(text)
        ]
        self.keep_to(steps)
        made = []
        for step in steps:
            settings = sources.settings_for(step, self.settings)
            if on:
                settings = dataclasses.replace(settings, eval=dataclasses.replace(settings.eval, on=on))
            ((_, scored),) = settings.scored_tasks()
            method = step.labels.get("method", "tuned")
            made.append(plan.eval_step(method, step, target, scored, shared_words(shared), settings))
        return made

    def _finished(self, key: str, target_name: str) -> Step:
        artifact = self.store.find(key, ("search", "tune"))
        _check_target(artifact, target_name)
        return stored_step(artifact)

    def _from_file(self, path: Path, target_name: str) -> Step:
        """A prompt file as `ptx import` would store it, with the layout and task of its card if none is asked for."""
        from ptx import formats, imports

        found = formats.read(path)
        if len(self.settings.tasks) != 1 and (self.settings.tasks or found.record is None):
            raise UsageError("a prompt file does not say which task it is for", "add --tasks with one task")
        suite, task = (self.settings.suite, self.settings.tasks[0]) if self.settings.tasks else ("", "")
        layout = None if self.settings.tune.layout == "postfix" else self.settings.tune.layout  # the default
        said = imports.origin(found, model=target_name, suite=suite, task=task, layout=layout)
        self.out.message(f"{found}; layout {said.layout}")
        return imports.import_step(found, said)

    def predict(
        self, target_name: str, prompt: str, subjects: Sequence[str], *, top: int, layout: str | None, anchors: str
    ) -> None:
        """Print the likeliest answers for each subject, or labels for each text, with a prompt of a classification."""
        from ptx.stages.predict import predict

        labels: Sequence[str] = ()
        if is_file(prompt):
            from ptx import formats

            path = Path(prompt)
            found = formats.read(path)
            layout = layout or found.layout or "postfix"
            self.out.message(f"{found}; layout {layout}")
        else:
            artifact = self.store.find(prompt, ("search", "tune"))
            _check_target(artifact, target_name)
            layout = sources.layout_of(artifact) or layout or "postfix"
            path = artifact.path / "prompt.safetensors"
            (task,) = load_suite(artifact.meta["labels"]["suite"]).choose([artifact.meta["labels"]["task"]])
            labels = task.labels
        allowed = labels or self._shared_words(anchors, target_name)
        where = {"device": self.common.device, "dtype": self.common.dtype}
        rows = predict(resolve(target_name), path, subjects, allowed, top=top, layout=layout, **where)
        report(self.out, rows)

    def _shared_words(self, anchors: str, target_name: str) -> list[str]:
        from ptx.stages.anchors import read_words

        shared = shared_words(self.anchors(anchors, [target_name]))
        found = Pipeline(self.store, self.out, device=self.common.device).run([shared])
        if error := next((o.error for o in found if o.error), None):
            raise error
        return read_words(shared, self.store)

    def show_tables(self, results: Sequence[Result], *, by: str, format: str, output: Path | None) -> None:
        """Group results into tables, keep them as an artifact, and print or write them."""
        from ptx.stages.table import keep, tables

        made = tables(results, by=by, warn=self.out.warn)
        self._show(made, *keep(made, results, by, self.store), format=format, output=output)

    def show_curves(self, *, format: str, output: Path | None) -> None:
        """Dev accuracy against gradient steps, of the tuned prompts in the cache."""
        from ptx.stages.curve import collect, curves
        from ptx.stages.table import keep

        results = collect(self.store)
        if not results:
            hint = "run `ptx tune --model bert-micro --tasks P17,P30`"
            raise PtxError(f"no tuned prompts in {self.store.root}", hint)
        made = curves(results, warn=self.out.warn)
        self._show(made, *keep(made, results, "curve", self.store), format=format, output=output)

    def _show(
        self, made: Sequence[Table], artifact: Artifact, reused: bool, *, format: str, output: Path | None
    ) -> None:
        from ptx.stages.table import render

        if self.common.quiet:
            self.out.data(str(artifact.path))
            return
        if self.common.json:
            head = {"stage": "table", "key": artifact.key, "path": str(artifact.path), "reused": reused}
            for table in made:
                for row in table.records:
                    self.out.json({**head, "seconds": artifact.meta["seconds"], **row})
            return
        if format == "text" and output is None:
            for number, table in enumerate(made):
                if number:
                    self.out.data("")
                table.print(self.out)
            return
        self.write(render(made, format), output)

    def write(self, text: str, output: Path | None) -> None:
        """Text as data, or into the user's file."""
        if output is None:
            self.out.data(text)
            return
        try:
            write_whole(output, text.encode("utf-8"))
        except OSError as error:
            raise PtxError(f"cannot write {output}: {error.strerror}", "choose another --output") from None
        self.out.message(f"wrote {output}")


def _check_target(artifact: Artifact, target: str) -> None:
    name, digest = made_for(artifact)
    if digest != resolve(target).digest:
        hint = f"use --target {name}"
        if artifact.meta["stage"] == "tune":
            hint += f", or transfer it: ptx search --prompt {artifact.key[:12]} --target {target}"
        raise PtxError(f"prompt {artifact.key[:12]} was made for {name}, not for {target}", hint)
