"""What a command was asked for, and the tasks that this means."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptx.config import AnchorsConfig, EncodeConfig, EvalConfig
from ptx.config.dtypes import AUTO, FLOAT32, Role, dtypes
from ptx.config.search import SearchConfig
from ptx.config.tune import TuneConfig
from ptx.engine.step import Step
from ptx.errors import PtxError
from ptx.lms import weights
from ptx.lms.models import Model
from ptx.lms.places import located
from ptx.suites import SPLIT, Suite, Task, load_suite, together

# The prompt from which a tuning on a model starts, its vectors, and the labels that name it; of a task among so many.
Initial = Callable[[Model, Task, int], tuple[Step, int, Mapping[str, Any]]]


def _unsaid(text: str) -> None:
    pass


@dataclass(frozen=True)
class Settings:
    """What a command was asked for, beyond the names of its models."""

    suite: str = "facts"
    tasks: tuple[str, ...] = ()
    tune: TuneConfig = TuneConfig()
    anchors: AnchorsConfig = AnchorsConfig()
    encode: EncodeConfig = EncodeConfig()
    search: SearchConfig = SearchConfig()
    eval: EvalConfig = EvalConfig()
    seed: int = 0
    truncate: bool = False
    strict: bool = False
    dtype: str = "float32"
    initial: Initial | None = None  # what `tune.init` names, if that is finished prompts (prompts/given.py)
    tell: Callable[[str], None] = _unsaid  # who hears what was assumed or left out in reading a suite

    def computed(self, model: Model, role: Role) -> dict[str, str]:
        """The dtype as a setting of a stage that runs a model, left out if it is the default. "auto" is the type that
        the model's files say."""
        said = dtypes(self.dtype)
        own = {located(who): kind for who, kind in said.of.items()}
        asked = own.get(model.name, said.asked("", role))
        kind = weights.own_type(Path(model.path)) if asked == AUTO else asked
        return {} if kind == FLOAT32 else {"dtype": kind}

    def read(self, name: str) -> Suite:
        """A suite, as remembered; what its readers remark is told all the same."""
        suite = load_suite(name)
        for text in together(suite.remarks):
            self.tell(text)
        return suite

    def chosen_tasks(self, *splits: str) -> list[Task]:
        """Tasks with facts in every split that the command uses. Asking for a task without them is an error."""
        chosen = self.read(self.suite).choose(self.tasks)
        if self.truncate or self.strict:  # otherwise the very same tasks, which remember their digests
            chosen = [dataclasses.replace(task, truncate=self.truncate, strict=self.strict) for task in chosen]
        usable = [task for task in chosen if all(task.splits[split] for split in splits)]
        missing = [task.name for task in chosen if task not in usable]
        if missing and (self.tasks or not usable):
            hint = "choose other --tasks or another --split"
            if {*splits} - {self.eval.split}:
                hint += (
                    ", or give some facts those splits; without a column split, a hash of the subject gives all three"
                )
            if not any(task.splits["train"] for task in chosen):
                hint = f"tune on a suite with train facts and add --on {self.suite}, or use {SPLIT}{self.suite}"
            raise PtxError(f"{some(missing)} of suite {self.suite}: no facts in {' or '.join(splits)}", hint)
        return usable

    def scored_tasks(self, *splits: str) -> list[tuple[Task, Task]]:
        """Tasks as `chosen_tasks`, each with the task whose facts are scored: itself, or that of the suite `--on`."""
        if not self.eval.on:
            return [(task, task) for task in self.chosen_tasks(*splits, self.eval.split)]
        chosen = self.chosen_tasks(*splits)
        there = {task.name: task for task in self.read(self.eval.on).tasks if task.splits[self.eval.split]}
        missing = [task.name for task in chosen if task.name not in there]
        if missing and (self.tasks or len(missing) == len(chosen)):
            raise PtxError(
                f"{some(missing)} of suite {self.eval.on}: no facts in {self.eval.split}", "choose other --tasks"
            )
        return [(task, self.moved(there[task.name], task)) for task in chosen if task.name in there]

    def moved(self, task: Task, home: Task) -> Task:
        """A task to score prompts of `home` on; the floor is that of home's train facts if it has none itself."""
        if not task.splits["train"]:
            task = dataclasses.replace(task, splits={**task.splits, "train": home.splits["train"]})
        return dataclasses.replace(
            task, template=task.template or home.template, truncate=self.truncate, strict=self.strict
        )


def some(names: Sequence[str]) -> str:
    """A list of names, not too long."""
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
