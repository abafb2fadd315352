"""Tune a soft prompt on one model (Eq. 2): only its m x d numbers learn, the model is frozen.

Adam on the loss over the full vocabulary, at the rates of rates.py, no dropout; the epoch with the best accuracy on
the source's own dev split is kept. Several tasks share each forward pass: their prompts do not interact, so this only
saves time.
"""

import itertools
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ptx.config import TuneConfig
from ptx.errors import PtxError
from ptx.lms.inputs import Row
from ptx.lms.lm import LanguageModel, fact_rows
from ptx.lms.template import LAYOUTS
from ptx.suites import Task
from ptx.suites.strict import refuse_unknown
from ptx.transfer.rates import rate
from ptx.transfer.scoring import DevChoice, Questions
from ptx.transfer.starts import generator, initial_prompt


@dataclass(frozen=True)
class Examples:
    """The facts of one task: train inputs with answers (token ids), dev questions, and the prompt to start from (None:
    draw one)."""

    name: str
    train: Sequence[tuple[Row, int]]
    dev: Questions
    start: Float[Tensor, "m d"] | None = None


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


def examples(model: LanguageModel, task: Task, config: TuneConfig) -> Examples:
    """The facts of a task whose object is one token in the model; of several right ones, the first that is. Dev
    answers are any token, or for a task with label words these. Raises PtxError if a split has no such fact."""
    both = [fact for split in ("train", "dev") for fact in task.splits[split]]
    known = model.label_ids(task) if task.labels else model.words({answer for fact in both for answer in fact.answers})

    def of(split: str) -> tuple[list[Row], list[list[str]]]:
        facts = [fact for fact in task.splits[split] if fact.known(known)]
        rows = fact_rows(model, task, facts, LAYOUTS[config.layout], prompt_length=config.prompt_length)
        return rows, [fact.known(known) for fact in facts]

    refuse_unknown(task, known, model.name)
    for split in ("train", "dev"):
        if not any(fact.known(known) for fact in task.splits[split]):
            raise PtxError(
                f"task {task.name}: none of its {len(task.splits[split])} {split} objects is one token in {model.name}",
                "choose other --tasks, or a model whose vocabulary has these words",
            )
    train = [(row, known[first]) for row, (first, *_) in zip(*of("train"), strict=True)]
    rows, dev = of("dev")
    labels = tuple(known) if task.labels else None
    places = known if labels is None else {word: i for i, word in enumerate(labels)}
    right = [[places[word] for word in words] for words in dev]
    others = [tuple(more) for _, *more in right]
    return Examples(task.name, train, Questions(rows, labels, [of for of, *_ in right], others if any(others) else ()))


def tune_prompts(
    model: LanguageModel,
    tasks: Sequence[Examples],
    config: TuneConfig,
    *,
    seed: int = 0,
    tick: Callable[[], None] = lambda: None,
) -> list[Tuned]:
    """One prompt per task. `tick` is called after each epoch of all tasks.

    A prompt to start from is kept if no epoch is better on dev; a drawn one never is. Raises PtxError when a loss
    stops being finite.
    """
    embeddings = model.embeddings.cpu()
    prompts = []
    for task in tasks:
        noise = generator(seed, task.name)
        start = initial_prompt(embeddings, config, noise) if task.start is None else task.start.clone()
        prompts.append(start.to(model.device).requires_grad_())
    optimizer = torch.optim.Adam([{"params": [prompt]} for prompt in prompts])  # each at a rate of its own
    orders = [random.Random(f"{seed} {task.name} order") for task in tasks]
    choice = DevChoice(model, [task.dev for task in tasks])
    histories: list[list[dict[str, Any]]] = [[] for _ in tasks]
    each = [math.ceil(len(task.train) / config.batch_size) for task in tasks]  # steps of an epoch

    def look_early(step: int) -> None:
        if step & (step - 1) or step >= max(each):  # powers of two
            return
        for i, score in enumerate(choice.score([prompt.detach() for prompt in prompts])):
            if step < each[i]:
                histories[i].append({"epoch": 0, "steps": step, "train_loss": None, "dev_accuracy": score})

    look_early(0)
    for i, task in enumerate(tasks):
        if task.start is not None:
            choice.offer(i, 0, histories[i][0]["dev_accuracy"], task.start)
    for epoch in range(1, config.epochs + 1):
        watch = look_early if epoch == 1 else None
        losses = _one_epoch(model, tasks, prompts, optimizer, config, orders, epoch, watch)
        for task, prompt, loss in zip(tasks, prompts, losses, strict=True):
            if not (math.isfinite(loss) and torch.isfinite(prompt).all()):
                raise PtxError(
                    f"tuning {task.name} on {model.name} diverged: the loss or prompt of epoch {epoch} is not finite",
                    f"try --lr {config.lr / 10:g}, and --dtype float32 if it is another",
                )
        scores = choice.score([prompt.detach() for prompt in prompts])
        for i, (loss, score) in enumerate(zip(losses, scores, strict=True)):
            choice.offer(i, epoch, score, prompts[i])
            histories[i].append({"epoch": epoch, "steps": epoch * each[i], "train_loss": loss, "dev_accuracy": score})
        tick()
    kept = zip(choice.chosen(), histories, strict=True)
    return [Tuned(prompt.cpu(), score, epoch, history) for (score, epoch, prompt), history in kept]


def _one_epoch(
    model: LanguageModel,
    tasks: Sequence[Examples],
    prompts: Sequence[Tensor],
    optimizer: torch.optim.Optimizer,
    config: TuneConfig,
    orders: Sequence[random.Random],
    epoch: int,
    after: Callable[[int], None] | None = None,
) -> list[float]:
    """Mean train loss of each task. A task with fewer facts takes fewer steps; its Adam state then rests."""
    losses: list[tuple[list[tuple[int, int]], Tensor]] = []  # of each step: tasks with their numbers of facts, means
    shuffled = [_batches(task.train, config.batch_size, order) for task, order in zip(tasks, orders, strict=True)]
    lengths = [math.ceil(len(task.train) / config.batch_size) for task in tasks]
    for number, step in enumerate(itertools.zip_longest(*shuffled), start=1):
        present = [(i, batch) for i, batch in enumerate(step) if batch is not None]
        rows = [row for _, batch in present for row, _ in batch]
        answers = torch.tensor([answer for _, batch in present for _, answer in batch], device=model.device)
        stacked = torch.cat([prompts[i].expand(len(batch), -1, -1) for i, batch in present])
        logits = model.scores(rows, stacked)
        each = torch.nn.functional.cross_entropy(logits, answers, reduction="none")
        means = torch.stack([part.mean() for part in each.split([len(batch) for _, batch in present])])
        optimizer.zero_grad(set_to_none=True)
        means.sum().backward()
        for i, _ in present:
            taken, whole = (epoch - 1) * lengths[i] + number - 1, config.epochs * lengths[i]
            optimizer.param_groups[i].update(rate(config, taken, whole))
        optimizer.step()
        losses.append(([(i, len(batch)) for i, batch in present], means.detach()))
        if after is not None:
            after(number)
    totals = [0.0] * len(tasks)
    for counts, means in losses:  # read at the end: a GPU would have to be waited for after each step
        for (i, count), mean in zip(counts, means.tolist(), strict=True):
            totals[i] += mean * count / len(tasks[i].train)
    return totals


def _batches(examples: Sequence[Any], size: int, order: random.Random) -> Iterator[list[Any]]:
    shuffled = order.sample(examples, len(examples))
    return iter([shuffled[i : i + size] for i in range(0, len(shuffled), size)])
