"""Which artifacts a cell (method, sources, target) needs. All keys are known before anything is built.

anchors      tune
   |  \\      /  |
   |  encode     |         what belongs to the source never names the target
   |      \\     |  \\
portable - search  answers   from encodings, prompts, texts, a portable prompt of all sources, or none of these: as the
             |     /         method needs (stages/methods); `auto` from other searches, and what the sources answer to
             |    /          unlabelled inputs
            |
          eval             also of tuned prompts and of manual templates
"""

from collections.abc import Iterable, Iterator, Sequence

from ptx.engine.step import Step
from ptx.lms.models import Model, resolve
from ptx.stages.aims import ensemble_step
from ptx.stages.anchors import shared_words
from ptx.stages.choice import prompt_step
from ptx.stages.eval import eval_step
from ptx.stages.methods import method_named
from ptx.stages.methods.method import Method
from ptx.stages.portable import portable_step
from ptx.stages.settings import Settings
from ptx.stages.tune import tune_step
from ptx.suites import Task

Cell = tuple[str, Sequence[str], str]  # method, sources, target


def searches(cells: Iterable[Cell], settings: Settings, anchors: Step) -> Iterator[Step]:
    """The searched prompts of every cell, for every task that can be tuned on."""
    for name, sources, target in cells:
        models, model = [resolve(source) for source in sources], resolve(target)
        for task in settings.chosen_tasks("train", "dev"):
            tuned = _tuned(method_named(name), models, task, anchors, settings)
            yield prompt_step(name, tuned, model, task, anchors, settings)


def evaluations(cells: Iterable[Cell], settings: Settings, anchors: Step) -> Iterator[Step]:
    """The evaluations of every cell, for every task."""
    for name, sources, target_name in cells:
        method, target = method_named(name), resolve(target_name)
        models = [resolve(source) for source in sources]
        for task, scored in _tasks(settings, method):
            tuned = _tuned(method, models, task, anchors, settings)
            if name == "ensemble":
                yield ensemble_step(tuned, target, task, scored, anchors, settings)
                continue
            if method.own is not None:
                prompt = method.own(target, task, settings)
            else:
                prompt = prompt_step(name, tuned, target, task, anchors, settings)
            yield eval_step(name, prompt, target, scored, shared_words(anchors), settings)


def _tuned(method: Method, models: Sequence[Model], task: Task, anchors: Step, settings: Settings) -> list[Step]:
    """A prompt of each source, or the one that they learned together."""
    if "portable" in method.needs:
        return [portable_step([*models], task, anchors, settings)]
    return [tune_step(model, task, settings) for model in models]


def _tasks(settings: Settings, method: Method) -> list[tuple[Task, Task]]:
    """The tasks of a suite that can be tuned on, whatever the method, so that methods compare; of a suite that is a
    test set only (LAMA's files), all tasks for a method without training."""
    found = _usable(settings, method)
    if method is method_named("manual") and not settings.tasks:  # LAMA's Google_RE has no templates in relations.jsonl
        found = [tasks for tasks in found if tasks[1].template] or found
    return found


def _usable(settings: Settings, method: Method) -> list[tuple[Task, Task]]:
    if not method.needs and not any(task.splits["train"] for task in settings.read(settings.suite).tasks):
        return settings.scored_tasks()
    return settings.scored_tasks("train", "dev")
