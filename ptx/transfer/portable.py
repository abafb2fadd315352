"""Portable prompts: one set of word weights for several models at once.

    V_n = diag(exp s) softmax(Z) X_n

are the vectors on source n, with X_n [k, d_n] the embeddings of the k words that all sources share. Z [m, k] and s [m]
are learned by Adam on the sum of the sources' losses (Eq. 2 of each); of each vector the heaviest words are kept. On
any other model their embeddings take the place of X_n (mixtures.py): no search, and no anchors but these words.
"""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ptx.errors import PtxError
from ptx.formats.words import MOST, Mixture, mixture
from ptx.lms.inputs import Row
from ptx.lms.lm import LanguageModel
from ptx.transfer.examples import Examples
from ptx.transfer.gradients import add_gradients
from ptx.transfer.mixtures import mixed
from ptx.transfer.scoring import DevChoice
from ptx.transfer.starts import generator

START = 0.01  # the std of Z at first

Batch = Sequence[tuple[Row, int]]


@dataclass(frozen=True)
class Learned:
    """A prompt as it is kept, its dev accuracy on each source, and the epoch that it is of."""

    prompt: list[Mixture]
    dev_accuracies: list[float]
    epoch: int


def vectors(z: Float[Tensor, "m k"], s: Float[Tensor, " m"], words: Float[Tensor, "k d"]) -> Float[Tensor, "m d"]:
    """diag(exp s) softmax(Z) X."""
    return s.exp()[:, None] * (z.softmax(-1) @ words)


def trimmed(z: Float[Tensor, "m k"], s: Float[Tensor, " m"], words: Sequence[str]) -> list[Mixture]:
    """The heaviest words of each vector, whose weights sum to one again; its scale stays."""
    best = z.detach().softmax(-1).topk(min(MOST, len(words)))
    return [
        mixture(scale, {words[place]: weight for place, weight in zip(*of, strict=True)})
        for scale, *of in zip(s.detach().exp().tolist(), best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def learn_words(
    models: Sequence[LanguageModel],
    words: Sequence[str],
    tasks: Sequence[Sequence[Examples]],
    settings: Mapping[str, Any],
    *,
    after: Callable[[int], None] = lambda epoch: None,
) -> list[Learned]:
    """A prompt for each task, of which every model has its own examples: of all epochs the one whose mean dev accuracy
    over the models is best, as it is trimmed. `after` is told of each epoch.

    `settings`: prompt_length, epochs, batch_size, lr of Z, scale_lr of s, seed. Raises PtxError when a loss stops being
    finite.
    """
    rows, places = [model.word_embeddings(words) for model in models], {word: i for i, word in enumerate(words)}
    blank = rows[0].new_zeros(settings["prompt_length"], len(words))
    learners = [_Learner(of, settings, blank) for of in tasks]
    adam = torch.optim.Adam([group for learner in learners for group in learner.groups])
    choices = [DevChoice(model, [of[n].dev for of in tasks]) for n, model in enumerate(models)]
    for n, model in enumerate(models):
        model.keep([row for of in tasks for row in of[n].rows])
    best: list[Learned | None] = [None] * len(tasks)
    for epoch in range(1, settings["epochs"] + 1):
        for step in itertools.zip_longest(*(learner.batches() for learner in learners)):
            adam.zero_grad(set_to_none=True)
            present = [(learner, batches) for learner, batches in zip(learners, step, strict=True) if batches]
            for n, (model, own) in enumerate(zip(models, rows, strict=True)):
                _backward(model, own, [(learner, batch) for learner, batches in present if (batch := batches[n])])
            adam.step()
        for learner in learners:
            if not learner.finite():
                raise PtxError(
                    f"learning {learner.name} as words on {' and '.join(model.name for model in models)} diverged: the "
                    f"loss or weights of epoch {epoch} are not finite",
                    "use --dtype float32 if it is another; else the weights of a model are damaged",
                )
        candidates = [trimmed(learner.z, learner.s, words) for learner in learners]
        scores = [
            choice.score([mixed(candidate, own, places) for candidate in candidates])
            for choice, own in zip(choices, rows, strict=True)
        ]
        for i, (candidate, *each) in enumerate(zip(candidates, *scores, strict=True)):
            before = best[i]
            if before is None or sum(each) > sum(before.dev_accuracies):
                best[i] = Learned(candidate, each, epoch)
        after(epoch)
    for model in models:
        model.keep([])
    return [learned for learned in best if learned is not None]


class _Learner:
    """What is learned for one task, and the order of each model's train facts: one order where they know the same."""

    def __init__(self, task: Sequence[Examples], settings: Mapping[str, Any], blank: Float[Tensor, "m k"]) -> None:
        self.name, self.size, seed = task[0].name, settings["batch_size"], settings["seed"]
        noise = torch.randn(*blank.shape, generator=generator(seed, self.name))
        self.z = (START * noise).to(blank).requires_grad_()
        self.s = blank.new_zeros(len(blank)).requires_grad_()
        self.groups = [{"params": [self.z], "lr": settings["lr"]}, {"params": [self.s], "lr": settings["scale_lr"]}]
        self.facts = [(of.train, random.Random(f"{seed} {self.name} order")) for of in task]
        self.loss = blank.new_zeros(())  # the sum of all so far

    def batches(self) -> Iterator[tuple[Batch | None, ...]]:
        """The batches of an epoch, of each model one a step: None where it knows fewer facts than others."""
        shuffled = [order.sample(facts, len(facts)) for facts, order in self.facts]
        return itertools.zip_longest(
            *([facts[i : i + self.size] for i in range(0, len(facts), self.size)] for facts in shuffled)
        )

    def finite(self) -> bool:
        return all(bool(torch.isfinite(part).all()) for part in (self.loss, self.z, self.s))


def _backward(model: LanguageModel, words: Float[Tensor, "k d"], present: Sequence[tuple[_Learner, Batch]]) -> None:
    """Add the gradients of one model's losses: first those of the vectors, as in tuning, then those of the weights."""
    if not present:
        return
    whole = [vectors(learner.z, learner.s, words) for learner, _ in present]
    leaves = [part.detach().requires_grad_() for part in whole]
    losses = add_gradients(model, [(i, batch) for i, (_, batch) in enumerate(present)], leaves)
    torch.autograd.backward(whole, [leaf.grad for leaf in leaves])
    for (learner, _), loss in zip(present, losses, strict=True):
        learner.loss += loss
