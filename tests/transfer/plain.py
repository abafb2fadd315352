"""A model without a network, whose scores plain loops can compute too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from ptx.lms.batches import Sizes
from ptx.lms.inputs import Batch, Row, collate
from ptx.lms.lm import LanguageModel
from ptx.lms.template import IN_A_SENTENCE, Context
from ptx.suites import Fact, Task

WORDS = ("Peru", "Kenya", "Japan", "France", "Norway", "Chad", "Cuba")
WIDTH = 3


class PlainModel(LanguageModel):
    """Of an input only the sum of its tokens counts, of a prompt the sum of its vectors, weighted by their places."""

    def __init__(self, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.name, self.kind, self.device = "plain", "masked", torch.device("cpu")
        self.matrix = torch.randn(len(WORDS), WIDTH, generator=generator)
        self.sizes = Sizes(len(WORDS), WIDTH, WIDTH, 1, 4)
        self.table = torch.randn(97, len(WORDS), generator=generator)
        self.readout = torch.randn(WIDTH, len(WORDS), generator=generator)
        self.asked: list[tuple[str, dict[str, Any]]] = []  # templates of rows, and what was said about them
        self.batches: list[tuple[int, ...]] = []  # shapes of what was put in

    def words(self, words: Iterable[str], context: Context = IN_A_SENTENCE) -> dict[str, int]:
        """At the start of a text (which is no context of its own elsewhere) Peru is several tokens, and others are the
        token before their own."""
        first = context == ("", "")
        return {w: (WORDS.index(w) - first) % len(WORDS) for w in words if w in WORDS and not (first and w == "Peru")}

    def rows(self, template: str, subjects: Sequence[str], **more: Any) -> list[Row]:
        self.asked.append((template, more))
        return [Row(tuple(map(ord, subject)), 0, 0, self.context(template)) for subject in subjects]

    def collate(self, batch: Sequence[Row]) -> Batch:
        return collate(batch, 0)

    def logits(self, batch: Batch, prompts: Tensor | None = None, tokens: Tensor | None = None) -> Tensor:
        self.batches.append(tuple(batch.ids.shape))
        scores = self.table[batch.ids.sum(-1) % 97]
        if prompts is not None:
            places = torch.arange(1.0, prompts.shape[1] + 1)[:, None]
            scores = scores + (prompts * places).sum(1) @ self.readout
        return scores if tokens is None else scores[:, tokens]

    def plainly(self, row: Row, prompt: Tensor | None) -> Tensor:
        """Those of one input, in float64."""
        scores = self.table[sum(row.ids) % 97].double()
        for place, vector in enumerate([] if prompt is None else prompt.double(), start=1):
            scores = scores + place * vector @ self.readout.double()
        return scores


def task(**splits: str) -> Task:
    """Each split is written "subject:object subject:object"."""
    facts = {split: tuple(Fact(*pair.partition(":")[::2]) for pair in splits.get(split, "").split()) for split in
             ("train", "dev", "test")}  # fmt: skip
    return Task("R1", "a relation", None, facts)
