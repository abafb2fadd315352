"""The course of one task's tuning: its batches, its rate in each step, what was seen on the way, and when it ends."""

import math
import random
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from ptx.config.tune import TuneConfig
from ptx.transfer.rates import rate

Example = TypeVar("Example")
BETTER = 0.99  # a loss that is lower by less than a hundredth stands still
LONGEST = 3  # times the epochs that were asked for


class Course:
    """Where a tuning stands. `std` is that of the model's word embeddings."""

    def __init__(self, config: TuneConfig, facts: int, std: float, order: random.Random) -> None:
        self.config, self.facts, self.std, self.order = config, facts, std, order
        self.each = math.ceil(facts / config.batch_size)  # steps of an epoch
        self.planned = config.epochs
        self.epoch = self.taken = 0
        self.history: list[dict[str, Any]] = []
        self._lowest, self._highest = math.inf, -math.inf
        self._moved = 0  # the last epoch in which anything got better

    @property
    def going(self) -> bool:
        return self.epoch < self.planned

    def batches(self, examples: Sequence[Example]) -> Iterator[Sequence[Example]]:
        """The examples in a new order."""
        shuffled, size = self.order.sample(examples, len(examples)), self.config.batch_size
        return iter([shuffled[i : i + size] for i in range(0, len(shuffled), size)])

    def step(self) -> dict[str, float]:
        """Adam's rate in the next step, and one step more. Each round of --epochs has the whole schedule."""
        self.taken += 1
        return rate(self.config, self.taken - 1, self.config.epochs * self.each, self.std)

    def saw(self, accuracy: float, loss: float | None = None) -> None:
        if self.epoch == self.taken == 0:
            self._highest = accuracy  # of the start
        self.history.append(
            {"epoch": self.epoch, "steps": self.taken, "train_loss": loss, "dev_accuracy": accuracy}
        )  # fmt: skip

    def resume(self, history: Sequence[dict[str, Any]]) -> None:
        """Come to where a course with this history was."""
        for point in history:
            self.taken = point["steps"]
            if (loss := point["train_loss"]) is None:
                self.saw(point["dev_accuracy"])
            else:
                self.order.sample(range(self.facts), self.facts)  # as `batches` has drawn
                self.finish_epoch(loss, point["dev_accuracy"])

    def finish_epoch(self, loss: float, accuracy: float) -> None:
        """Plan no more epochs where loss and accuracy stand still, and another round where accuracy still rises."""
        self.epoch += 1
        self.saw(accuracy, loss)
        rising = accuracy > self._highest
        if rising or loss < BETTER * self._lowest:
            self._moved = self.epoch
        self._highest, self._lowest = max(accuracy, self._highest), min(loss, self._lowest)
        if not (patience := self.config.patience):
            return
        if self.epoch - self._moved >= patience:
            self.planned = self.epoch
        elif not self.going and rising:
            self.planned = min(self.planned + self.config.epochs, LONGEST * self.config.epochs)
