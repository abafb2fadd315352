"""Tune a soft prompt on one model (Eq. 2): only its m x d numbers learn, the model is frozen.

Adam on the loss over the full vocabulary, at the rates of rates.py, no dropout; the epoch with the best accuracy on
the source's own dev split is kept, and course.py says how many there are. Several tasks share each forward pass: their
prompts do not interact, so this only saves time.
"""

import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ptx.config.tune import A_STEP, TuneConfig
from ptx.errors import PtxError
from ptx.lms.inputs import PLACEHOLDER, Row
from ptx.lms.lm import LanguageModel
from ptx.transfer.course import Course
from ptx.transfer.examples import Examples
from ptx.transfer.gradients import add_gradients
from ptx.transfer.scoring import DevChoice, thinned
from ptx.transfer.starts import generator, initial_prompt

LOOKING = 0.1  # the share of the time that goes into looks at dev
BACKWARD = 3  # times as long as a look at as many facts is a gradient step taken for, where looks are rationed


@dataclass(frozen=True)
class Tuned:
    """The best prompt and how it was found.

    `history` has the gradient steps so far, the complete epochs and the dev accuracy: before any step, after 1, 2, 4, 8
    and so on within the first epoch (most is learned there), and after each epoch, then with the mean train loss too.
    """

    prompt: Float[Tensor, "m d"]
    dev_accuracy: float
    epoch: int
    history: list[dict[str, Any]]


@dataclass(frozen=True)
class State:
    """Where a task's tuning stands after an epoch: beside settings and examples all that the next ones depend on.

    `mean` and `square` are Adam's; `best` is the prompt of `epoch`, with its dev accuracy, so far the best.
    """

    prompt: Float[Tensor, "m d"]
    mean: Float[Tensor, "m d"]
    square: Float[Tensor, "m d"]
    best: Float[Tensor, "m d"]
    score: float
    epoch: int
    planned: int
    history: list[dict[str, Any]]


@dataclass(frozen=True)
class Standing:
    """Where all tasks that are not handed out yet stand, by their numbers, and the prefixes that the model keeps
    (lms/kept.py): what is kept changes last digits."""

    states: Mapping[int, State]
    kept: Sequence[Sequence[int]] = ()


Tick = Callable[[float, str], None]


def tune_prompts(model: LanguageModel, tasks: Sequence[Examples], config: TuneConfig, *, seed: int = 0) -> list[Tuned]:
    """One prompt per task, as `tunings` finds them."""
    found = dict(tunings(model, tasks, config, seed=seed))
    return [found[i] for i in range(len(tasks))]


def tunings(
    model: LanguageModel,
    tasks: Sequence[Examples],
    config: TuneConfig,
    *,
    seed: int = 0,
    before: Standing | None = None,
    tick: Tick = lambda inputs, now: None,
    after: Callable[[Standing], None] = lambda standing: None,
) -> Iterator[tuple[int, Tuned]]:
    """One prompt per task, with the task's number, each as soon as its tuning ends.

    A prompt to start from is kept if no epoch is better on dev; a drawn one never is. `after` is told after each epoch
    where all stand, and `before` goes on from there, to the same bytes. `tick` is told how many inputs were read, those
    of a gradient step counting A_STEP times, and what is being done. Raises PtxError when a loss stops being finite.
    """
    std = model.statistics[1]
    resumed = before.states if before else {}
    prompts, courses = [], []
    for i, task in enumerate(tasks):
        course = Course(config, len(task.train), std, random.Random(f"{seed} {task.name} order"))
        if i in resumed:
            course.resume(resumed[i].history)
            start = resumed[i].prompt.clone()
        elif task.start is None:
            start = initial_prompt(model.matrix.cpu(), config, generator(seed, task.name))
        else:
            start = task.start.clone()
        prompts.append(start.to(model.device).requires_grad_())
        courses.append(course)
    optimizer = torch.optim.Adam([{"params": [prompt]} for prompt in prompts])  # each at a rate of its own
    looked_at = [thinned(task.dev, _most(task)) if config.patience else task.dev for task in tasks]
    choice = DevChoice(model, looked_at)
    for i, state in resumed.items():
        means = {"exp_avg": state.mean, "exp_avg_sq": state.square}
        optimizer.state[prompts[i]] = {name: mean.to(model.device, copy=True) for name, mean in means.items()}
        optimizer.state[prompts[i]]["step"] = torch.tensor(float(courses[i].taken))
        choice.offer(i, state.epoch, state.score, state.best.to(model.device))
    if before:
        m = config.prompt_length
        model.keep([Row((*ids, *[PLACEHOLDER] * m), len(ids), len(ids) + m - 1) for ids in before.kept])
    else:
        model.keep([row for task in tasks for row, _ in task.train] + [row for task in tasks for row in task.dev.rows])
    kept = [*model.kept.starts] if model.kept else []
    early = [_early_looks(config, course, len(dev.rows)) for course, dev in zip(courses, looked_at, strict=True)]

    def look(among: Sequence[int], now: str) -> dict[int, float]:
        scores = choice.score([prompt.detach() if i in among else None for i, prompt in enumerate(prompts)])
        tick(sum(len(looked_at[i].rows) for i in among), now)
        return {i: scores[i] for i in among}

    def look_early(step: int) -> None:
        first = [i for i, course in enumerate(courses) if course.epoch == 0 and step in early[i]]
        for i, score in (look(first, "") if first else {}).items():
            courses[i].saw(score)

    def stepped(number: int, facts: int) -> None:
        course = max((courses[i] for i in going), key=lambda course: course.each)
        tick(A_STEP * facts, f"epoch {course.epoch + 1} of {course.planned}, step {number} of {course.each}")
        look_early(number)

    look_early(0)
    for i, task in enumerate(tasks):
        if task.start is not None and i not in resumed:
            choice.offer(i, 0, courses[i].history[0]["dev_accuracy"], task.start)
    waiting = [*range(len(tasks))]
    while waiting:
        going = [i for i in waiting if courses[i].going]
        if ended := [i for i in waiting if not courses[i].going]:
            found = _finished(model, tasks, ended, choice, courses)
            tick(sum(len(tasks[i].dev.rows) for i in ended if choice.dev[i] is not tasks[i].dev), "all dev facts")
            yield from zip(ended, found, strict=True)
            waiting = going
            continue
        losses = _one_epoch(model, {i: tasks[i] for i in going}, prompts, optimizer, courses, stepped)
        for i, loss in losses.items():
            if not (math.isfinite(loss) and torch.isfinite(prompts[i]).all()):
                raise PtxError(
                    f"tuning {tasks[i].name} on {model.name} diverged: the loss or prompt of epoch "
                    f"{courses[i].epoch + 1} is not finite",
                    f"try {config.smaller}, and --dtype float32 if it is another",
                )
        for i, score in look(going, "").items():
            courses[i].finish_epoch(losses[i], score)
            choice.offer(i, courses[i].epoch, score, prompts[i])
        after(Standing({i: _state(prompts[i], optimizer, choice.best[i], courses[i]) for i in going}, kept))
    model.keep([])


def _state(
    prompt: Tensor, optimizer: torch.optim.Optimizer, best: tuple[float, int, Tensor] | None, course: Course
) -> State:
    assert best is not None
    adam, (score, epoch, kept) = optimizer.state[prompt], best
    tensors = [of.cpu().clone() for of in (prompt.detach(), adam["exp_avg"], adam["exp_avg_sq"], kept)]
    rest: dict[str, Any] = {"epoch": epoch, "planned": course.planned, "history": [*course.history]}
    return State(tensors[0], tensors[1], tensors[2], tensors[3], score, **rest)


def _finished(
    model: LanguageModel, tasks: Sequence[Examples], ended: Sequence[int], choice: DevChoice, courses: Sequence[Course]
) -> list[Tuned]:
    """The best prompts, whose accuracy is that on all dev facts, where tuning has looked at some."""
    best = [of for i in ended if (of := choice.best[i]) is not None]
    some = [choice.dev[i] is not tasks[i].dev for i in ended]
    asked = [prompt if part else None for (_, _, prompt), part in zip(best, some, strict=True)]
    of_all = DevChoice(model, [tasks[i].dev for i in ended]).score(asked)
    return [
        Tuned(prompt.cpu(), of_all[n] if some[n] else score, epoch, courses[i].history)
        for n, (i, (score, epoch, prompt)) in enumerate(zip(ended, best, strict=True))
    ]


def _most(task: Examples) -> int:
    """How many dev facts are looked at after an epoch: a look at one costs a third of a step with it."""
    return max(1, int(LOOKING * BACKWARD * len(task.train)))


def _early_looks(config: TuneConfig, course: Course, dev: int) -> set[int]:
    """The steps of the first epoch after which `dev` facts are looked at: 0, 1, 2, 4, 8 and so on; but for the paper's
    tuning, whose curves are compared, as many of these as leave nine tenths of the time to steps."""
    steps = [0, *(2**n for n in range(course.each.bit_length()) if 2**n < course.each)]
    left = LOOKING * BACKWARD * course.facts * config.epochs / max(dev, 1) - config.epochs
    return {*steps[: max(1, int(left))]} if config.patience else {*steps}


def _one_epoch(
    model: LanguageModel,
    tasks: Mapping[int, Examples],
    prompts: Sequence[Tensor],
    optimizer: torch.optim.Optimizer,
    courses: Sequence[Course],
    after: Callable[[int, int], None],
) -> dict[int, float]:
    """Mean train loss of each task. A task with fewer facts takes fewer steps; its Adam state then rests. `after` is
    told of each step its number and how many facts were in it."""
    steps: list[tuple[list[tuple[int, int]], Tensor]] = []  # of each step: tasks with their numbers of facts, means
    shuffled = [courses[i].batches(task.train) for i, task in tasks.items()]
    for number, step in enumerate(itertools.zip_longest(*shuffled), start=1):
        present = [(i, batch) for i, batch in zip(tasks, step, strict=True) if batch is not None]
        optimizer.zero_grad(set_to_none=True)
        means = add_gradients(model, present, prompts)
        for i, _ in present:
            optimizer.param_groups[i].update(courses[i].step())
        optimizer.step()
        steps.append(([(i, len(batch)) for i, batch in present], means))
        after(number, sum(len(batch) for _, batch in present))
    totals = dict.fromkeys(tasks, 0.0)
    for counts, means in steps:  # read at the end: a GPU would have to be waited for after each step
        for (i, count), mean in zip(counts, means.tolist(), strict=True):
            totals[i] += mean * count / len(tasks[i].train)
    return totals
