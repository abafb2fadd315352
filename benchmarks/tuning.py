"""Tuning: our step against OptiPrompt's, one step at BERT-base size and an epoch of the `facts` suite.

Ours is ptx/transfer/tuning.py: no gradients on weights, scores at the answer only, Adam over m x d numbers, 8 tasks a
pass. Theirs is optiprompt.py. The floor of a step at BERT-base size is the arithmetic of its encoder, at the rate at
which this machine multiplies by the encoder's own matrices, which it has to read from memory: 4 x encoder weights x
tokens operations, since each weight and token costs 2 operations (a multiplication and an addition) forward and 2
backward, to the inputs only. These products are timed in turn with the steps. Attention, layer norms and the head come
on top.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import optiprompt
from benchmarks.measure import medians
from benchmarks.report import Row
from benchmarks.synthetic import SPECIAL, save_bert
from ptx.config.tune import TuneConfig
from ptx.lms.inputs import Row as Input
from ptx.lms.lm import LanguageModel, load_model
from ptx.lms.models import resolve
from ptx.lms.template import LAYOUTS
from ptx.stages.tune import TASKS_TOGETHER
from ptx.suites import load_suite
from ptx.transfer.examples import Examples, examples
from ptx.transfer.tuning import tune_prompts

BATCH, TOKENS, VECTORS = 16, 14, 5
STEP_WHY = (
    "The step at BERT-base size is 88% matrix products in a profile. On top of the encoder's come the head's 30,000 "
    "rows, read twice for 16 answers (7%), and GELU, attention and layer norms (12%)."
)
FACTS_WHY = (
    "Tuning on bert-micro: half of a profile is matrix products at the machine's rate, the rest what is done to each "
    "number (GELU, attention, copies); 29% of the tokens are padding, since the order of the facts is not to change. "
    "docs/performance/ideas.md has what was tried."
)


def rows(quick: bool) -> list[Row]:
    return [*_bert_base(quick), *_facts(quick)]


def _bert_base(quick: bool) -> list[Row]:
    """One gradient step on random weights of BERT-base's size, without and with OptiPrompt's habits."""
    layers = 3 if quick else 12
    with tempfile.TemporaryDirectory() as folder:
        model = LanguageModel(resolve(str(save_bert(Path(folder), layers=layers))))
    network: Any = model.network  # transformers is typed in parts only
    frame = 4 + VECTORS  # [CLS], the mask, the full stop, [SEP], and the prompt
    subjects = [" ".join(f"w{BATCH * i + j}" for i in range(TOKENS - frame)) for j in range(BATCH)]
    inputs = model.rows(LAYOUTS["postfix"], subjects, prompt_length=VECTORS)
    assert {len(row.ids) for row in inputs} == {TOKENS}
    answers = [len(SPECIAL) + i for i in range(BATCH)]
    frozen, released = optiprompt.prober(model, frozen=True), optiprompt.prober(model, frozen=False)
    ours, field, as_released, floor = medians(
        _our_step(model, inputs, answers),
        lambda: optiprompt.step(frozen, inputs, answers, VECTORS),
        lambda: optiprompt.step(released, inputs, answers, VECTORS),
        _products(BATCH * TOKENS, network.bert.encoder),
        repeats=3 if quick else 9,
    )
    size = "BERT-base size" if layers == 12 else f"BERT-base width, {layers} layers"
    what = f"one tuning step at {size}, batch {BATCH}, {TOKENS} tokens"
    weights = sum(p.numel() for p in network.bert.encoder.parameters())
    rate = 4 * weights * BATCH * TOKENS / floor
    note = f"4 x {weights / 1e6:.1f} M encoder weights x {BATCH * TOKENS} tokens at {rate / 1e9:.0f} GFLOP/s"
    off = "random weights; dropout off in both"
    return [
        Row(f"{what}, OptiPrompt as released", ours, as_released, 2.5, note=off, why=STEP_WHY),
        Row(f"{what}, OptiPrompt, other weights frozen", ours, field, 2.5, note=off, why=STEP_WHY),
        Row(f"{what}, against its arithmetic", ours, floor, 1.2, at_least=False, note=note, why=STEP_WHY),
    ]


def _our_step(model: LanguageModel, inputs: Sequence[Input], answers: Sequence[int]) -> Callable[[], None]:
    """What `tune` does for one batch of one task."""
    prompt = (0.002 * torch.randn(VECTORS, model.matrix.shape[1])).requires_grad_()
    optimizer = torch.optim.Adam([prompt], lr=1e-2)

    def step() -> None:
        logits = model.logits(model.collate(inputs), prompt.expand(len(inputs), -1, -1))
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(answers))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        loss.item()

    return step


def _products(tokens: int, encoder: torch.nn.Module) -> Callable[[], None]:
    """The encoder's matrix products for so many tokens, forward and backward to the inputs."""
    weights = [module.weight for module in encoder.modules() if isinstance(module, torch.nn.Linear)]
    inputs = {width: torch.randn(tokens, width) for weight in weights for width in weight.shape}

    def multiply() -> None:
        for weight in weights:
            torch.mm(inputs[weight.shape[1]], weight.T)
        for weight in reversed(weights):
            torch.mm(inputs[weight.shape[0]], weight)

    return multiply


def _facts(quick: bool) -> list[Row]:
    """Some epochs over the train facts of tasks of `facts` on bert-micro, and a look at their dev facts after each."""
    model = load_model(resolve("bert-micro"), "cpu")
    config = TuneConfig(epochs=2 if quick else 10, patience=0)  # as many as theirs
    tasks = [examples(model, task, config) for task in load_suite("facts").tasks]
    tasks = tasks[:4] if quick else tasks
    together, alone, field, as_released = medians(
        lambda: ours(model, tasks, config, together=TASKS_TOGETHER),
        lambda: ours(model, tasks, config, together=1),
        lambda: theirs(model, tasks, config.epochs, frozen=True),
        lambda: theirs(model, tasks, config.epochs, frozen=False),
        repeats=1,
        warm_up=False,
    )
    facts = sum(len(task.train) for task in tasks)
    what = f"tuning bert-micro on {len(tasks)} tasks of `facts`, {config.epochs} epochs"
    note = f"{facts:,} train facts, a dev evaluation each epoch (ours 5 more in the first); theirs one task at a time"
    return [
        Row(f"{what}, OptiPrompt as released", together, as_released, 5, note=note, why=FACTS_WHY),
        Row(f"{what}, OptiPrompt, other weights frozen", together, field, 5, note=note, why=FACTS_WHY),
        Row(f"{what}, ptx without batching tasks", together, alone, note=f"ours: {TASKS_TOGETHER} tasks a pass"),
    ]


def ours(model: LanguageModel, tasks: Sequence[Examples], config: TuneConfig, *, together: int) -> None:
    for start in range(0, len(tasks), together):
        tune_prompts(model, tasks[start : start + together], config)


def theirs(model: LanguageModel, tasks: Sequence[Examples], epochs: int, *, frozen: bool) -> None:
    """OptiPrompt on each task; a copy of the model serves all, which saves theirs some loading."""
    of = optiprompt.prober(model, frozen=frozen)
    for task in tasks:
        optiprompt.put(of, 0.02 * torch.randn(VECTORS, model.matrix.shape[1]))
        for _ in range(epochs):
            for start in range(0, len(task.train), optiprompt.BATCH):
                batch = task.train[start : start + optiprompt.BATCH]
                optiprompt.step(of, [row for row, _ in batch], [answer for _, answer in batch], VECTORS)
            optiprompt.predictions(of, task.dev.rows, VECTORS)
