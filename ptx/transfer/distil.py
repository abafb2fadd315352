"""Distil: a few steps on the target towards what is said of unlabelled inputs, by the sources and by itself.

The aim is a product of experts (Hinton, "Training products of experts by minimizing contrastive divergence", 2002)
over the words that may answer, and a soft one (Hinton, Vinyals and Dean, "Distilling the knowledge in a neural
network", 2015): what the sources say times what the input changes in the target's answers to its own text, to the
power of a *trust*. Of two models whose errors, given the right answer, have nothing to do with each other, both
together say p_s(y | x) p_t(y | x) / p(y) (Bayes' rule); what the target says whatever it is asked stands for p(y), and
would pull the sources away. Dividing by it is what makes answers to a text comparable (Zhao and others, "Calibrate
before use", 2021; Holtzman and others, "Surface form competition", 2021). Steps follow the gradient, or what forward
passes alone tell of it (evolution.py). n inputs, k words.
"""

import functools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ptx.config.search import BATCH
from ptx.lms.batches import BYTES, batches
from ptx.lms.inputs import Row
from ptx.lms.lm import LanguageModel
from ptx.transfer.agreement import agreement, first_choice
from ptx.transfer.evolution import DEVIATION, estimated_gradient
from ptx.transfer.gradients import WITH_GRADIENTS
from ptx.transfer.rates import linear
from ptx.transfer.scoring import word_scores

RATE = 0.07  # Adam's, in units of the word embeddings' std
WARMUP = 0.1  # the share of steps in which the rate rises
EVERY = 6  # steps between two looks at what is held back, each of which takes about a step's time
HELD_BACK = 4  # one input of so many


def product(source: Float[Tensor, "n k"], own: Float[Tensor, "n k"], trust: float) -> Float[Tensor, "n k"]:
    """The source's probabilities times the ratio of the target's to their mean over all inputs to the power of `trust`,
    normalised. `own` are the target's logarithms."""
    always = own.logsumexp(0) - math.log(len(own))
    return (source.log() + trust * (own - always)).softmax(-1)


def cross_entropies(aim: Float[Tensor, "n k"], logs: Float[Tensor, "n k"]) -> Float[Tensor, " n"]:
    """How far answers are from the aim, in nats; of the aim itself its entropy, which no answers go below."""
    return -(aim * logs).sum(-1)


def statistics(source: Float[Tensor, "n k"], own: Float[Tensor, "n k"] | None) -> dict[str, float]:
    """What can be known without labels of two models' probabilities: how sure each is of its first choice, and over
    all words (entropy in nats), and how often both have the same first choice."""
    figures: dict[str, float] = {}
    said = {"source": source} if own is None else {"source": source, "target": own}
    figures |= {f"{name}_confidence": of.amax(-1).mean().item() for name, of in said.items()}
    figures |= {f"{name}_entropy": torch.special.entr(of).sum(-1).mean().item() for name, of in said.items()}
    if own is not None:
        figures["text_agreement"] = agreement(first_choice(own).tolist(), first_choice(source).tolist())
    return figures


def held_back(n: int) -> tuple[list[int], list[int]]:
    """Of n inputs the places of those to learn from, and of every fourth, to look at."""
    held = range(HELD_BACK - 1, n, HELD_BACK)
    return [i for i in range(n) if i not in held], [*held]


@torch.no_grad()
def word_logs(
    model: LanguageModel, rows: Sequence[Row], prompt: Float[Tensor, "m d"], words: tuple[str, ...]
) -> Float[Tensor, "n k"]:
    """The log-probabilities of all words as answers to each input, among these words, in float64 on the CPU."""
    found = torch.empty(len(rows), len(words), dtype=torch.float64)
    prompt = prompt.to(model.device)
    for part in _parts(model, rows, range(len(rows)), BYTES):
        scores = word_scores(model, [rows[i] for i in part], prompt.expand(len(part), -1, -1), words)
        found[part] = scores.double().log_softmax(-1).cpu()
    return found


@dataclass(frozen=True)
class Distilled:
    """The prompt of the best look, after how many steps it was, and every look: the steps so far, the mean
    cross-entropy and the agreement with the aim's first choice."""

    prompt: Float[Tensor, "m d"]
    step: int
    history: list[dict[str, Any]]


def distil(
    model: LanguageModel, rows: Sequence[Row], aim: Float[Tensor, "n k"], start: Float[Tensor, "m d"],
    *, words: tuple[str, ...], steps: int, seed: int | str, forward: bool = False,
) -> Distilled:  # fmt: skip
    """Adam from `start` towards the aim, at a rate that rises and falls linearly, with gradients or by `forward` passes
    alone. Looks are at inputs held back, the first before any step; the one with the least cross-entropy is kept, the
    first of equals."""
    learned, held = held_back(len(rows))
    prompt = start.to(model.device, torch.float32, copy=True).requires_grad_()
    adam = torch.optim.Adam([prompt])
    std, noise = model.statistics[1], torch.Generator().manual_seed(random.Random(seed).getrandbits(63))
    wanted, choices = aim[held], first_choice(aim[held]).tolist()
    aims = aim.to(model.device, torch.float32)
    best: tuple[float, Distilled] | None = None
    history: list[dict[str, Any]] = []
    model.keep(rows)
    for step, batch in enumerate(_orders(learned, steps, random.Random(seed))):
        if step % EVERY == 0 or step == steps:
            logs = word_logs(model, [rows[i] for i in held], prompt.detach(), words)
            loss = cross_entropies(wanted, logs).mean().item()
            agreed = agreement(first_choice(logs).tolist(), choices)
            history.append({"steps": step, "loss": loss, "agreement": agreed})
            if best is None or loss < best[0]:
                best = loss, Distilled(prompt.detach().cpu().clone(), step, history)
        if step < steps:
            adam.zero_grad()
            asked, wanted_of = [rows[i] for i in batch], aims[batch]
            if forward:
                losses = functools.partial(_losses, model, asked, wanted_of, words)
                prompt.grad = estimated_gradient(losses, prompt.detach(), len(batch), DEVIATION * std, noise)
            else:
                _add_gradient(model, asked, wanted_of, words, prompt)
            adam.param_groups[0]["lr"] = RATE * std * linear(step, steps, WARMUP)
            adam.step()
    model.keep([])
    assert best is not None
    return best[1]


def _add_gradient(
    model: LanguageModel, rows: Sequence[Row], aim: Float[Tensor, "b k"], words: tuple[str, ...],
    prompt: Float[Tensor, "m d"],
) -> None:  # fmt: skip
    for part in _parts(model, rows, range(len(rows)), BYTES // WITH_GRADIENTS):
        scores = word_scores(model, [rows[i] for i in part], prompt.expand(len(part), -1, -1), words)
        (cross_entropies(aim[part], scores.log_softmax(-1)).sum() / len(rows)).backward()


@torch.no_grad()
def _losses(
    model: LanguageModel, rows: Sequence[Row], aim: Float[Tensor, "b k"], words: tuple[str, ...],
    prompts: Float[Tensor, "p b m d"],
) -> Float[Tensor, "p b"]:  # fmt: skip
    """The cross-entropy of each input with each of its prompts, which all go through the network together."""
    every, aims, flat = [*rows] * len(prompts), aim.repeat(len(prompts), 1), prompts.flatten(0, 1)
    found = torch.empty(len(every), device=model.device)
    for part in _parts(model, every, range(len(every)), BYTES):
        scores = word_scores(model, [every[i] for i in part], flat[part], words)
        found[part] = cross_entropies(aims[part], scores.log_softmax(-1))
    return found.view(prompts.shape[:2])


def _orders(places: Sequence[int], steps: int, order: random.Random) -> Iterator[list[int]]:
    """A batch for each step, all places in a new order again and again; then an empty one, for the last look."""
    waiting: list[list[int]] = []
    for _ in range(steps):
        if not waiting:
            shuffled = order.sample(places, len(places))
            waiting = [shuffled[i : i + BATCH] for i in range(0, len(shuffled), BATCH)]
        yield waiting.pop(0)
    yield []


def _parts(model: LanguageModel, rows: Sequence[Row], places: Sequence[int], limit: int) -> Iterator[list[int]]:
    """Inputs of like length together, as many as fit into memory."""
    ordered = sorted(places, key=lambda i: len(rows[i].ids))
    for part in batches([len(rows[i].ids) for i in ordered], model.sizes, limit=limit):
        yield ordered[part]
