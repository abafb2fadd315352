from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from plain import WIDTH, WORDS, PlainModel
from torch import Tensor

from ptx.config.tune import TuneConfig
from ptx.errors import PtxError
from ptx.lms.inputs import Batch, Row
from ptx.lms.lm import load_model
from ptx.lms.models import resolve
from ptx.suites import load_suite
from ptx.transfer.examples import Examples, examples
from ptx.transfer.scoring import Questions, thinned
from ptx.transfer.starts import generator, initial_prompt
from ptx.transfer.tuning import tune_prompts

CONFIG = TuneConfig(epochs=3, batch_size=8, init="random", patience=0)


def test_a_task_does_not_depend_on_those_tuned_beside_it(tiny, suite) -> None:
    """To 1e-4 of the prompt's scale: sharing a forward pass changes the padding, so the last bits differ."""
    model = load_model(resolve(tiny["a"]), "cpu")
    tasks = [examples(model, task, CONFIG) for task in load_suite(suite).tasks]
    together = tune_prompts(model, tasks, CONFIG)
    for task, tuned in zip(tasks, together, strict=True):
        (alone,) = tune_prompts(model, [task], CONFIG)
        torch.testing.assert_close(tuned.prompt, alone.prompt, rtol=1e-4, atol=1e-4)
        assert tuned.dev_accuracy == alone.dev_accuracy


def test_tuning_lowers_the_loss_and_leaves_the_model_alone(tiny, suite) -> None:
    model = load_model(resolve(tiny["a"]), "cpu")
    before = {name: p.clone() for name, p in model.network.named_parameters()}
    task = examples(model, load_suite(suite).tasks[0], CONFIG)
    (tuned,) = tune_prompts(
        model, [task], TuneConfig(epochs=15, lr=0.1, init="random", schedule="constant", patience=0)
    )
    assert tuned.history[-1]["train_loss"] < tuned.history[2]["train_loss"]
    assert tuned.dev_accuracy == max(point["dev_accuracy"] for point in tuned.history if point["epoch"])
    steps = [(point["epoch"], point["steps"]) for point in tuned.history]
    assert steps == [(0, 0), (0, 1), *((epoch, 2 * epoch) for epoch in range(1, 16))]
    assert all(torch.equal(p, before[name]) for name, p in model.network.named_parameters())


@pytest.mark.parametrize(("scale", "std"), [("0.1", 0.1), ("2", 2.0), ("paper", 0.02)])
def test_initial_prompt_has_the_scale_asked_for(scale: str, std: float) -> None:
    embeddings = torch.randn(500, 64, generator=torch.Generator().manual_seed(0))
    prompt = initial_prompt(
        embeddings, TuneConfig(prompt_length=400, init_scale=scale), torch.Generator().manual_seed(0)
    )
    assert prompt.shape == (400, 64)
    assert prompt.std().item() == pytest.approx(std, rel=0.02)


def test_initial_words_are_rows_of_the_embeddings() -> None:
    embeddings = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    prompt = initial_prompt(embeddings, TuneConfig(init="words"), torch.Generator().manual_seed(0))
    assert all(any(torch.equal(v, row) for row in embeddings) for v in prompt)


FAST = TuneConfig(epochs=3, batch_size=2, lr=0.3, prompt_length=2, init="random", schedule="constant", patience=0)


def plain_examples(name: str, count: int, dev: int, start: Tensor | None = None) -> Examples:
    rng = random.Random(name)
    train = [(Row(tuple(rng.choices(range(90), k=1 + i % 3)), 0, 0), rng.randrange(len(WORDS))) for i in range(count)]
    rows = [Row((rng.randrange(90),), 0, 0) for _ in range(dev)]
    return Examples(name, train, Questions(rows, None, [rng.randrange(len(WORDS)) for _ in rows]), start)


def by_hand(model: PlainModel, task: Examples, config: TuneConfig, seed: int) -> tuple[list[Tensor], list[dict]]:
    """The prompt before epochs and after each, and the history: one task, one fact at a time, Adam written out."""
    drawn = initial_prompt(model.matrix, config, generator(seed, task.name))
    prompt = (drawn if task.start is None else task.start).double()
    mean, square = torch.zeros_like(prompt), torch.zeros_like(prompt)
    order = random.Random(f"{seed} {task.name} order")
    each = math.ceil(len(task.train) / config.batch_size)

    n, looks = len(task.dev.rows), 2**30  # with patience, a look costs a third of a step, and all a tenth of the time
    places = [*range(n)]
    if config.patience:
        most = max(1, int(0.3 * len(task.train)))
        places = [i * n // most for i in range(most)] if n > most else places
        looks = max(1, int(0.3 * len(task.train) * config.epochs / len(places) - config.epochs))

    def accuracy() -> float:
        return accuracy_by_hand(model, task, prompt, places)

    history = [{"epoch": 0, "steps": 0, "train_loss": None, "dev_accuracy": accuracy()}]
    prompts, steps, epoch, planned = [prompt], 0, 0, config.epochs
    while epoch < planned:
        epoch += 1
        facts, losses = order.sample(task.train, len(task.train)), []
        for first in range(0, len(facts), config.batch_size):
            batch = facts[first : first + config.batch_size]
            leaf = prompt.clone().requires_grad_()
            each_loss = [-model.plainly(row, leaf).log_softmax(0)[answer] for row, answer in batch]
            torch.stack(each_loss).mean().backward()
            losses += [loss.item() for loss in each_loss]
            steps += 1
            assert leaf.grad is not None
            mean = 0.9 * mean + 0.1 * leaf.grad
            square = 0.999 * square + 0.001 * leaf.grad**2
            std = model.matrix.double().std(correction=0).item()
            lr = config.lr_scale * std if config.lr is None else config.lr
            whole = each * config.epochs
            done = (steps - 1) % whole
            if config.schedule == "linear":
                rising = math.floor(whole * config.warmup)
                lr *= done / rising if done < rising else (whole - done) / (whole - rising)
            if config.optimizer == "adam":
                prompt = prompt - lr * (mean / (1 - 0.9**steps)) / ((square / (1 - 0.999**steps)).sqrt() + 1e-8)
            else:
                prompt = prompt - lr * mean / (square.sqrt() + 1e-6)
            if epoch == 1 and steps in (1, 2, 4, 8, 16) and steps < each and len(history) < looks:
                history.append({"epoch": 0, "steps": steps, "train_loss": None, "dev_accuracy": accuracy()})
        loss = sum(losses) / len(losses)
        history.append({"epoch": epoch, "steps": steps, "train_loss": loss, "dev_accuracy": accuracy()})
        prompts.append(prompt)
        if config.patience:
            epochs = [history[0], *(point for point in history if point["epoch"])]
            planned = planned_by_hand(epochs, config, planned)
    return prompts, history


def accuracy_by_hand(model: PlainModel, task: Examples, prompt: Tensor, places: Iterable[int]) -> float:
    assert task.dev.objects is not None
    right = [model.plainly(task.dev.rows[i], prompt).argmax().item() == task.dev.objects[i] for i in places]
    return sum(right) / len(right)


def planned_by_hand(epochs: list[dict], config: TuneConfig, planned: int) -> int:
    """How many epochs there will be after the start and these: each looked at beside all that were before it."""
    start, *accuracies = (point["dev_accuracy"] for point in epochs)
    losses = [point["train_loss"] for point in epochs[1:]]
    rose = [now > start and all(now > before for before in accuracies[:i]) for i, now in enumerate(accuracies)]
    fell = [all(now < 0.99 * before for before in losses[:i]) for i, now in enumerate(losses)]
    if not any((rose + fell)[i + n] for n in (0, len(rose)) for i in range(len(rose))[-config.patience :]):
        return len(losses)
    if len(losses) == planned and rose[-1]:
        return min(planned + config.epochs, 3 * config.epochs)
    return planned


OPTIPROMPT = dataclasses.replace(FAST, schedule="linear", warmup=0.3, optimizer="optiprompt", lr=0.03)


TODAY = TuneConfig(epochs=4, batch_size=2, lr_scale=0.5, prompt_length=2, init="random", patience=2)
BOTH = dataclasses.replace(TODAY, optimizer="optiprompt")


@pytest.mark.parametrize(
    ("seed", "config"), [(0, FAST), (4, FAST), (1, OPTIPROMPT), (3, TODAY), (13, TODAY), (11, BOTH)]
)
def test_every_epoch_is_that_of_a_plain_loop(seed: int, config: TuneConfig) -> None:
    """Tasks of 1 to 9 steps an epoch side by side, each on a schedule of its own, one from a prompt that is given. With
    patience some end earlier, and some go on."""
    model = PlainModel()
    start = torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(9))
    before = start.clone()
    tasks = [plain_examples("R1", 7, 9), plain_examples("R2", 18, 8), plain_examples("R3", 2, 5, start)]
    tasks.append(plain_examples("R4", 5, 6))
    tuned = tune_prompts(model, tasks, config, seed=seed)
    ends = [of.history[-1]["epoch"] for of in tuned]
    assert (set(ends) == {config.epochs}) == (config.patience == 0)
    assert torch.equal(start, before)
    for task, found in zip(tasks, tuned, strict=True):
        prompts, history = by_hand(model, task, config, seed)
        assert len(found.history) == len(history)
        for point, wanted in zip(found.history, history, strict=True):
            if wanted["train_loss"] is not None:
                wanted["train_loss"] = pytest.approx(wanted["train_loss"], rel=1e-4)
            assert point == wanted
        epochs = [history[0], *(point for point in history if point["epoch"])]
        choices = epochs if task.start is not None else epochs[1:]
        best = max(choices, key=lambda point: point["dev_accuracy"])  # the first of equals
        assert found.epoch == best["epoch"]
        every = range(len(task.dev.rows))
        assert found.dev_accuracy == accuracy_by_hand(model, task, prompts[best["epoch"]], every)
        torch.testing.assert_close(found.prompt.double(), prompts[best["epoch"]], rtol=1e-3, atol=1e-3)
        assert not found.prompt.requires_grad


def test_a_given_start_is_kept_unless_an_epoch_is_better() -> None:
    model, start = PlainModel(), torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(9))
    slow = dataclasses.replace(FAST, lr=1e-9)  # no accuracy changes
    (kept,) = tune_prompts(model, [plain_examples("R1", 6, 9, start)], slow)
    assert kept.epoch == 0
    assert torch.equal(kept.prompt, start)
    (drawn,) = tune_prompts(model, [plain_examples("R1", 6, 9)], slow)
    assert drawn.epoch == 1


def test_another_seed_is_another_prompt() -> None:
    more_arguments: list[dict[str, Any]] = [{"seed": 0}, {"seed": 1}, {}]
    one, other, default = (
        tune_prompts(PlainModel(), [plain_examples("R1", 6, 9)], FAST, **more)[0].prompt for more in more_arguments
    )
    assert torch.equal(one, default)
    assert not torch.allclose(one, other)


class Sharp(PlainModel):
    """The loss is finite, its gradient in one number of the prompt is not."""

    def logits(self, batch: Batch, prompts: Tensor | None = None, tokens: Tensor | None = None) -> Tensor:
        assert prompts is not None
        return super().logits(batch, prompts, tokens) + 0 * (0 * prompts[:, :1, 0]).sqrt()


def test_a_loss_or_a_prompt_that_is_not_finite_ends_tuning() -> None:
    endless = PlainModel()
    task = plain_examples("R1", 2, 3)
    endless.table[:, task.train[0][1]] = -math.inf  # its gradient is finite
    for model in (endless, Sharp()):
        with pytest.raises(
            PtxError, match="tuning R1 on plain diverged: the loss or prompt of epoch 1 is not finite"
        ) as e:
            tune_prompts(model, [plain_examples("R0", 3, 3), task][model is not endless :], FAST)
        assert e.value.hint == "try --lr 0.03, and --dtype float32 if it is another"


@pytest.mark.parametrize(("n", "most", "places"), [(5, 5, [0, 1, 2, 3, 4]), (5, 9, [0, 1, 2, 3, 4]), (7, 3, [0, 2, 4])])
def test_of_many_dev_facts_some_are_looked_at(n: int, most: int, places: list[int]) -> None:
    rows = [Row((i,), 0, 0) for i in range(n)]
    found = thinned(Questions(rows, None, [*range(n)], [(i, i) for i in range(n)]), most)
    assert found.rows == [rows[i] for i in places]
    assert (found.objects, found.others) == (places, [(i, i) for i in places])
    assert thinned(Questions(rows, None, None), most).others == ()
