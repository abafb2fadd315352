"""OptiPrompt's procedure (Zhong et al., 2021), as its code has it, on any masked LM in a LanguageModel.

Tuning (code/run_optiprompt.py): ten tokens are added to the vocabulary, the prompt is rows of the word-embedding
matrix, and Adam (AdamW without decay there) is given the whole matrix; after each backward pass the gradient of the old
rows is set to zero. The loss is the model's own, from logits at every position. Evaluation (`Prober.run_batch` in
code/models.py): batches of 8, log-softmax over the full vocabulary at every position, then one fact at a time.

There, the gradients of all other weights are computed too and never used; with `frozen` they are not, which is how
anyone would write it. What is left out either way makes it faster, not slower: dropout, tokenising every batch anew,
two of three dev evaluations an epoch, and top-k lists.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ptx.lms.inputs import Row
from ptx.lms.lm import LanguageModel

NEW_TOKENS = 10  # MAX_NUM_VECTORS there
BATCH, EVAL_BATCH = 16, 8


@dataclass(frozen=True)
class Prober:
    """A copy of the model with new tokens, and the optimiser of its word embeddings; `size` is that of the old ones."""

    network: Any  # a masked LM of transformers, which is typed in parts only
    optimizer: torch.optim.Optimizer
    size: int
    pad_id: int


def prober(model: LanguageModel, *, frozen: bool, lr: float = 3e-3) -> Prober:
    network: Any = copy.deepcopy(model.network)
    size = len(network.get_input_embeddings().weight)
    network.resize_token_embeddings(size + NEW_TOKENS, mean_resizing=False)
    network.requires_grad_(not frozen)
    words = network.get_input_embeddings().weight.requires_grad_()
    return Prober(network, torch.optim.Adam([words], lr=lr), size, model.pad_id)


def put(of: Prober, prompt: Tensor) -> None:
    """The prompt [m, d] as the embeddings of the first m new tokens."""
    with torch.no_grad():
        of.network.get_input_embeddings().weight[of.size : of.size + len(prompt)] = prompt


def inputs(of: Prober, rows: Sequence[Row], vectors: int) -> dict[str, Tensor]:
    """Padded token ids, with the new tokens where the prompt stands, and the attention mask."""
    width = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), width), of.pad_id)
    attention = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = torch.tensor(row.ids)
        if row.prompt_at is not None:
            ids[i, row.prompt_at : row.prompt_at + vectors] = torch.arange(of.size, of.size + vectors)
        attention[i, : len(row.ids)] = 1
    return {"input_ids": ids, "attention_mask": attention}


def step(of: Prober, rows: Sequence[Row], answers: Sequence[int], vectors: int) -> float:
    """One gradient step on a batch of one task; returns its loss."""
    batch = inputs(of, rows, vectors)
    labels = torch.full_like(batch["input_ids"], -100)
    for i, (row, answer) in enumerate(zip(rows, answers, strict=True)):
        labels[i, row.answer_at] = answer
    loss = of.network(**batch, labels=labels).loss
    loss.backward()
    gradient = of.network.get_input_embeddings().weight.grad
    gradient[: of.size] = 0.0
    of.optimizer.step()
    of.optimizer.zero_grad()
    return loss.item()


@torch.no_grad()
def predictions(of: Prober, rows: Sequence[Row], vectors: int, allowed: Tensor | None = None) -> list[int]:
    """Per row the likeliest token, as its place among the `allowed` ids if these are given."""
    found = []
    for start in range(0, len(rows), EVAL_BATCH):
        part = rows[start : start + EVAL_BATCH]
        log_probs = of.network(**inputs(of, part, vectors)).logits.log_softmax(-1)
        for row, of_row in zip(part, log_probs, strict=True):
            scores = of_row[row.answer_at]
            found.append(int((scores if allowed is None else scores.index_select(0, allowed)).argmax()))
    return found
