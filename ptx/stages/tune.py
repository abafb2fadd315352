"""Tune a soft prompt on one model (Eq. 2): only its m x d numbers learn, the model is frozen.

Adam on the loss over the full vocabulary, no dropout; the epoch with the best accuracy on the source's own dev split
is kept. Several tasks share each forward pass: their prompts do not interact, so this only saves time.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ptx import imports
from ptx import prompts as prompt_files
from ptx.cache import Store
from ptx.config import TuneConfig
from ptx.errors import PtxError
from ptx.lms.inputs import LAYOUTS, Row, fact_rows
from ptx.lms.lm import FLOAT32, LanguageModel, load_model
from ptx.pipeline import Payload, Stopwatch, Tick, payload_of
from ptx.stages.strict import refuse_unknown
from ptx.step import IMPORTED, Step
from ptx.suites import Fact, Task
from ptx.warm import DRAWN

if TYPE_CHECKING:
    from jaxtyping import Float

EVAL_BATCH = 256
TASKS_TOGETHER = 8  # finished tasks are in the cache before the next ones begin
OPTIPROMPT_STD = 0.02


@dataclass(frozen=True)
class Examples:
    """The facts of one task as inputs and answers (token ids), the answers allowed on dev (None: any token), and the
    prompt to start from (None: draw one)."""

    name: str
    train: Sequence[tuple[Row, int]]
    dev: Sequence[tuple[Row, int]]
    allowed: Sequence[int] | None = None
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


def initial_prompt(embeddings: Float[Tensor, "v d"], config: TuneConfig, generator: torch.Generator) -> Tensor:
    """[m, d]: normal noise of a small scale (what tuning never moves is noise, and noise is carried over), or words."""
    m, d = config.prompt_length, embeddings.shape[1]
    if config.init == "words":
        return embeddings[torch.randint(len(embeddings), (m,), generator=generator)].clone()
    std = OPTIPROMPT_STD if config.init_scale == "paper" else float(config.init_scale) * embeddings.std().item()
    return std * torch.randn(m, d, generator=generator)


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
        noise = prompt_files.generator(seed, task.name)
        start = initial_prompt(embeddings, config, noise) if task.start is None else task.start.clone()
        prompts.append(start.to(model.device).requires_grad_())
    optimizer = torch.optim.Adam(prompts, lr=config.lr)
    orders = [random.Random(f"{seed} {task.name} order") for task in tasks]
    best: list[Tuned | None] = [None] * len(tasks)
    histories: list[list[dict[str, Any]]] = [[] for _ in tasks]
    each = [steps_per_epoch(len(task.train), config.batch_size) for task in tasks]

    def look_early(step: int) -> None:
        if step & (step - 1) or step >= max(each):  # powers of two
            return
        for i, score in enumerate(accuracy(model, tasks, [prompt.detach() for prompt in prompts])):
            if step < each[i]:
                histories[i].append({"epoch": 0, "steps": step, "train_loss": None, "dev_accuracy": score})

    look_early(0)
    for i, task in enumerate(tasks):
        if task.start is not None:
            best[i] = Tuned(task.start.clone(), histories[i][0]["dev_accuracy"], 0, histories[i])
    for epoch in range(1, config.epochs + 1):
        watch = look_early if epoch == 1 else None
        losses = _one_epoch(model, tasks, prompts, optimizer, config, orders, watch)
        accuracies = accuracy(model, tasks, [prompt.detach() for prompt in prompts])
        for i, (task, loss, score) in enumerate(zip(tasks, losses, accuracies, strict=True)):
            if not (math.isfinite(loss) and torch.isfinite(prompts[i]).all()):
                raise PtxError(
                    f"tuning {task.name} on {model.name} diverged: the loss or prompt of epoch {epoch} is not finite",
                    f"try --lr {config.lr / 10:g}, and --dtype float32 if it is another",
                )
            histories[i].append({"epoch": epoch, "steps": epoch * each[i], "train_loss": loss, "dev_accuracy": score})
            previous = best[i]
            if previous is None or score > previous.dev_accuracy:
                best[i] = Tuned(prompts[i].detach().cpu().clone(), score, epoch, histories[i])
        tick()
    return [tuned for tuned in best if tuned is not None]


def steps_per_epoch(facts: int, batch_size: int) -> int:
    return -(-facts // batch_size)


def _one_epoch(
    model: LanguageModel,
    tasks: Sequence[Examples],
    prompts: Sequence[Tensor],
    optimizer: torch.optim.Optimizer,
    config: TuneConfig,
    orders: Sequence[random.Random],
    after: Callable[[int], None] | None = None,
) -> list[float]:
    """Mean train loss of each task. A task with fewer facts takes fewer steps; its Adam state then rests."""
    losses: list[tuple[list[tuple[int, int]], Tensor]] = []  # of each step: tasks with their numbers of facts, means
    shuffled = [_batches(task.train, config.batch_size, order) for task, order in zip(tasks, orders, strict=True)]
    for number, step in enumerate(itertools.zip_longest(*shuffled), start=1):
        present = [(i, batch) for i, batch in enumerate(step) if batch is not None]
        rows = [row for _, batch in present for row, _ in batch]
        answers = torch.tensor([answer for _, batch in present for _, answer in batch], device=model.device)
        stacked = torch.cat([prompts[i].expand(len(batch), -1, -1) for i, batch in present])
        logits = model.logits(model.collate(rows), stacked)
        each = torch.nn.functional.cross_entropy(logits, answers, reduction="none")
        means = torch.stack([part.mean() for part in each.split([len(batch) for _, batch in present])])
        optimizer.zero_grad(set_to_none=True)
        means.sum().backward()
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


@torch.inference_mode()
def accuracy(model: LanguageModel, tasks: Sequence[Examples], prompts: Sequence[Float[Tensor, "m d"]]) -> list[float]:
    """P@1 of each task's prompt on its dev split; nan where that is empty."""
    flat = [(i, row, answer) for i, task in enumerate(tasks) for row, answer in task.dev]
    flat.sort(key=lambda item: len(item[1].ids))
    right = [0] * len(tasks)
    barred = {i: _all_but(task.allowed, model) for i, task in enumerate(tasks) if task.allowed is not None}
    for start in range(0, len(flat), EVAL_BATCH):
        batch = flat[start : start + EVAL_BATCH]
        stacked = torch.stack([prompts[i] for i, _, _ in batch])
        logits = model.logits(model.collate([row for _, row, _ in batch]), stacked)
        for number, (i, _, _) in enumerate(batch):
            if i in barred:
                logits[number] += barred[i]
        for (i, _, answer), guess in zip(batch, logits.argmax(-1).tolist(), strict=True):
            right[i] += guess == answer
    return [n / len(task.dev) if task.dev else float("nan") for n, task in zip(right, tasks, strict=True)]


def _all_but(allowed: Sequence[int], model: LanguageModel) -> Float[Tensor, " vocabulary"]:
    """Minus infinity everywhere but at the allowed tokens."""
    barred = torch.full((len(model.embeddings),), -torch.inf, device=model.device)
    barred[list(allowed)] = 0.0
    return barred


def examples(model: LanguageModel, task: Task, config: TuneConfig) -> Examples:
    """The facts of a task whose object is one token in the model. Raises PtxError if a split has none."""
    known = (
        model.label_ids(task)
        if task.labels
        else model.words({fact.object for split in ("train", "dev") for fact in task.splits[split]})
    )

    def of(facts: Sequence[Fact]) -> list[tuple[Row, int]]:
        facts = [fact for fact in facts if fact.object in known]
        made = fact_rows(model, task, facts, LAYOUTS[config.layout], prompt_length=config.prompt_length)
        return [(row, known[fact.object]) for row, fact in zip(made, facts, strict=True)]

    refuse_unknown(task, known, model.name)
    for split in ("train", "dev"):
        if not any(fact.object in known for fact in task.splits[split]):
            raise PtxError(
                f"task {task.name}: none of its {len(task.splits[split])} {split} objects is one token in {model.name}",
                "choose other --tasks, or a model whose vocabulary has these words",
            )
    allowed = list(known.values()) if task.labels else None
    return Examples(task.name, of(task.splits["train"]), of(task.splits["dev"]), allowed)


def build(steps: Sequence[Step], store: Store, device: str, tick: Tick) -> Iterator[tuple[Step, Payload | PtxError]]:
    """See pipeline.BUILDERS."""
    if not steps:
        return
    if steps[0].settings["init"] == IMPORTED:
        yield from imports.build(steps, store, device, tick)
        return
    watch = Stopwatch()
    model = load_model(steps[0].models[0], device, steps[0].settings.get("dtype", FLOAT32))
    names = {field.name for field in dataclasses.fields(TuneConfig)}
    config = TuneConfig(**{name: value for name, value in steps[0].settings.items() if name in names})
    ready: list[tuple[Step, Examples]] = []
    for step in steps:
        assert step.task is not None
        try:
            made = examples(model, step.task, config)
            ready.append((step, dataclasses.replace(made, start=_start(step, store))))
        except PtxError as error:
            tick(1)
            yield step, error
    for start in range(0, len(ready), TASKS_TOGETHER):
        part = ready[start : start + TASKS_TOGETHER]
        found = tune_prompts(
            model,
            [e for _, e in part],
            config,
            seed=part[0][0].settings["seed"],
            tick=functools.partial(tick, len(part) / config.epochs),
        )
        seconds = watch.lap() / len(part)
        for (step, made), tuned in zip(part, found, strict=True):
            assert step.task is not None
            metrics = {
                "dev_accuracy": tuned.dev_accuracy,
                "epoch": tuned.epoch,
                "facts": len(made.train),
                "dropped": len(step.task.splits["train"]) - len(made.train),
                "history": tuned.history,
            }
            yield step, Payload({prompt_files.FILE: prompt_files.to_bytes(tuned.prompt)}, metrics, seconds)


def _start(step: Step, store: Store) -> Tensor | None:
    """The prompt that a step starts from; None if it draws one. Raises PtxError if it has another length."""
    if step.settings["init"] in DRAWN:
        return None
    prompt = prompt_files.read_prompt(payload_of(step.parents[0], store, prompt_files.FILE))
    m, wanted = len(prompt), step.settings["prompt_length"]
    if m != wanted:
        named = f"the initial prompt for {step.settings['task']}, {step.labels['init']},"
        raise PtxError(f"{named} has {m} vectors, not {wanted}", f"add --prompt-length {m}")
    return prompt
