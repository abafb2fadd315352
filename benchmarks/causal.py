"""Would a cache of the subject's keys and values pay when a causal LM is tuned? A prototype, measured, not in ptx.

With the postfix layout a causal LM reads the subject before the prompt, so the subject's keys and values never change
while the prompt is tuned. Ours recomputes them in every step. The prototype computes them once per fact,
without gradients, and each step runs the m prompt vectors alone on top of them. Rows are padded on the left, where the
attention mask hides the padding; positions count from each fact's first token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from benchmarks.measure import medians, once
from benchmarks.report import Row
from ptx.config import TuneConfig
from ptx.lms import inputs
from ptx.lms.lm import LanguageModel, load_model
from ptx.lms.models import resolve
from ptx.suites import load_suite
from ptx.transfer.tuning import Examples, examples

BATCH, LR = 16, 1e-2
TOLERANCE = 1e-4

Scores = Callable[[Sequence[int], Tensor], Tensor]  # places of facts [b] and prompts [b, m, d] -> logits [b, v]


@dataclass(frozen=True)
class Subjects:
    """Keys and values of the subjects' tokens, [layers, 2, facts, heads, n, width], and which of the n are padding."""

    states: Tensor
    attention: Tensor  # [facts, n]


@torch.no_grad()
def read_subjects(model: LanguageModel, rows: Sequence[inputs.Row], *, size: int = 256) -> Subjects:
    """One pass over what stands before the prompt, `size` facts at a time, padded on the left to one width."""
    widest = max(row.prompt_at or 0 for row in rows)
    states, masks = [], []
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        ids = torch.full((len(part), widest), model.pad_id)
        attention = torch.zeros_like(ids)
        for i, row in enumerate(part):
            ids[i, widest - (row.prompt_at or 0) :] = torch.tensor(row.ids[: row.prompt_at])
            attention[i, widest - (row.prompt_at or 0) :] = 1
        cache = DynamicCache()
        positions = (attention.cumsum(-1) - 1).clamp_min(0)
        model.network.base_model(
            input_ids=ids, attention_mask=attention, position_ids=positions, past_key_values=cache, use_cache=True
        )
        layers: list[Any] = cache.layers
        states.append(torch.stack([torch.stack([layer.keys, layer.values]) for layer in layers]))
        masks.append(attention)
    return Subjects(torch.cat(states, 2), torch.cat(masks))


def recomputed(model: LanguageModel, rows: Sequence[inputs.Row]) -> Scores:
    """ptx's way: the whole input in every step."""
    return lambda places, prompts: model.logits(model.collate([rows[i] for i in places]), prompts)


def cached(model: LanguageModel, subjects: Subjects) -> Scores:
    """The prototype: only the prompt's vectors go through the model."""

    def scores(places: Sequence[int], prompts: Tensor) -> Tensor:
        chosen = torch.tensor(places)
        attention = subjects.attention[chosen]
        width = int(attention.sum(-1).max())
        attention = attention[:, attention.shape[1] - width :]
        states = subjects.states[:, :, chosen, :, subjects.states.shape[4] - width :]
        cache = DynamicCache()
        for number, (keys, values) in enumerate(states):
            cache.update(keys, values, number)
        m = prompts.shape[1]
        hidden = model.network.base_model(
            inputs_embeds=prompts,
            attention_mask=torch.cat([attention, torch.ones(len(places), m, dtype=attention.dtype)], 1),
            position_ids=attention.sum(-1, keepdim=True) + torch.arange(m),
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        return model.network.lm_head(hidden[:, -1])

    return scores


def epoch(scores: Scores, of: Examples, prompt: Tensor, *, batch: int = BATCH) -> list[float]:
    """Losses of the gradient steps of one pass over a task's train facts, in their order."""
    prompt = prompt.clone().requires_grad_()
    optimizer = torch.optim.Adam([prompt], lr=LR)
    losses = []
    for start in range(0, len(of.train), batch):
        places = range(start, min(start + batch, len(of.train)))
        answers = torch.tensor([of.train[i][1] for i in places])
        logits = scores(places, prompt.expand(len(places), -1, -1))
        loss = torch.nn.functional.cross_entropy(logits, answers)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def epochs(scores: Sequence[Scores], tasks: Sequence[Examples], prompt: Tensor, *, batch: int) -> None:
    """One epoch of each task."""
    for scores_of, task in zip(scores, tasks, strict=True):
        epoch(scores_of, task, prompt, batch=batch)


def largest_difference(model: LanguageModel, tasks: Sequence[Examples], prompt: Tensor, *, batch: int = BATCH) -> float:
    """Between the losses of all steps of an epoch, the one way and the other."""
    differences = []
    for task in tasks:
        made = [row for row, _ in task.train]
        ours = epoch(recomputed(model, made), task, prompt, batch=batch)
        other = epoch(cached(model, read_subjects(model, made)), task, prompt, batch=batch)
        differences += [abs(a - b) for a, b in zip(ours, other, strict=True)]
    return max(differences)


def rows(quick: bool) -> list[Row]:
    """Batches of one task, and of the size that eight tasks a pass make."""
    model = load_model(resolve("gpt2-micro"), "cpu")
    config = TuneConfig(epochs=1)
    tasks = [examples(model, task, config) for task in load_suite("facts").tasks[: 2 if quick else 8]]
    random = torch.Generator().manual_seed(0)
    prompt = 0.1 * model.statistics[1] * torch.randn(config.prompt_length, model.embeddings.shape[1], generator=random)
    worst = largest_difference(model, tasks, prompt)
    if worst > TOLERANCE:
        raise RuntimeError(f"with and without a cache, losses differ by {worst:.2g}")
    whole = [recomputed(model, [row for row, _ in task.train]) for task in tasks]
    making = once(lambda: [read_subjects(model, [row for row, _ in task.train]) for task in tasks])
    parts = [cached(model, read_subjects(model, [row for row, _ in task.train])) for task in tasks]
    made = []
    for batch in (BATCH, 8 * BATCH):
        recompute, reuse = medians(
            partial(epochs, whole, tasks, prompt, batch=batch),
            partial(epochs, parts, tasks, prompt, batch=batch),
            repeats=2 if quick else 5,
        )
        note = f"a prototype in place of theirs; losses agree to {worst:.0e}; its cache took {quantity(making)}, once"
        what = f"tuning gpt2-micro on {len(tasks)} tasks, one epoch, batch {batch}: subjects read again or kept"
        made.append(Row(what, recompute, reuse, note=note))
    return made


def quantity(seconds: float) -> str:
    return f"{seconds:.2f} s"
