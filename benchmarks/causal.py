"""What it saves that a causal LM reads what stands before the prompt once (ptx/lms/kept.py).

With the postfix layout the keys and values of the subject never change while the prompt is tuned. Ours computes them
once per fact, and each step runs the m prompt vectors on top of them; the other side reads the whole input in every
step, and so does PEFT, which in addition computes all scores of all positions.

`python -m benchmarks.causal --model FOLDER --facts FILE` takes processor seconds of a step of each in turn,
on a real model and the facts of a file in LAMA's format (one JSON object a line, with `sub_label` and `obj_label`);
`--dtype` is what all of them compute in.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.measure import medians, once
from benchmarks.report import Row
from ptx.config.dtypes import FLOAT32, TYPES
from ptx.config.tune import TuneConfig
from ptx.lms import inputs
from ptx.lms.lm import LanguageModel, load_model
from ptx.lms.models import resolve
from ptx.suites import Fact, Task, load_suite
from ptx.transfer.examples import Examples, examples

BATCH, LR = 16, 1e-2
TOLERANCE = 1e-4

Example = tuple[inputs.Row, int]


def rows_of(tasks: Sequence[Examples]) -> list[inputs.Row]:
    return [row for task in tasks for row, _ in task.train]


def prompt_for(model: LanguageModel, m: int) -> Tensor:
    """Vectors to start from, without a task."""
    random = torch.Generator().manual_seed(0)
    return model.statistics[1] * torch.randn(m, model.matrix.shape[1], generator=random)


def step(model: LanguageModel, batch: Sequence[Example], prompt: Tensor, optimizer: torch.optim.Optimizer) -> float:
    """One gradient step on a batch, as `tune` takes it; its loss."""
    scores = model.scores([row for row, _ in batch], prompt.expand(len(batch), -1, -1))
    loss = torch.nn.functional.cross_entropy(scores, torch.tensor([answer for _, answer in batch]))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.item()


def epoch(model: LanguageModel, of: Examples, start: Tensor, *, batch: int = BATCH) -> list[float]:
    """Losses of the gradient steps of one pass over a task's train facts, in their order."""
    prompt = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([prompt], lr=LR)
    return [step(model, of.train[i : i + batch], prompt, optimizer) for i in range(0, len(of.train), batch)]


def epochs(model: LanguageModel, kept: Any, tasks: Sequence[Examples], start: Tensor, *, batch: int) -> None:
    """One epoch of each task, with what is kept (None: nothing)."""
    model.kept = kept
    for task in tasks:
        epoch(model, task, start, batch=batch)


def largest_difference(model: LanguageModel, tasks: Sequence[Examples], start: Tensor, *, batch: int = BATCH) -> float:
    """Between the losses of all steps of an epoch, with and without keeping."""
    model.keep([])
    whole = [epoch(model, task, start, batch=batch) for task in tasks]
    model.keep(rows_of(tasks))
    if model.kept is None:
        raise RuntimeError(f"{model.name} keeps nothing")
    ours = [epoch(model, task, start, batch=batch) for task in tasks]
    return max(abs(a - b) for pair in zip(whole, ours, strict=True) for a, b in zip(*pair, strict=True))


def rows(quick: bool) -> list[Row]:
    """Batches of one task, and of the size that eight tasks a pass make."""
    model = load_model(resolve("gpt2-micro"), "cpu")
    config = TuneConfig(epochs=1)
    tasks = [examples(model, task, config) for task in load_suite("facts").tasks[: 2 if quick else 8]]
    start = prompt_for(model, config.prompt_length)
    worst = largest_difference(model, tasks, start)
    if worst > TOLERANCE:
        raise RuntimeError(f"with and without what is kept, losses differ by {worst:.2g}")
    making = once(partial(model.keep, rows_of(tasks)))
    kept = model.kept
    made = []
    for batch in (BATCH, 8 * BATCH):
        ours, whole = medians(
            partial(epochs, model, kept, tasks, start, batch=batch),
            partial(epochs, model, None, tasks, start, batch=batch),
            repeats=2 if quick else 5,
        )
        note = f"theirs reads the subjects in every step; losses agree to {worst:.0e}; ours read them in {making:.2f} s"
        what = f"tuning gpt2-micro on {len(tasks)} tasks, one epoch, batch {batch}, what stands before the prompt kept"
        made.append(Row(what, ours, whole, note=note))
    model.keep([])
    return made


def peft_step(model: LanguageModel, path: str, m: int, dtype: str) -> Callable[[Sequence[Example]], None]:
    """PEFT's prompt tuning as its documentation has it: labels for the answer alone, a loss from the model's own
    forward pass, vectors before the text."""
    import peft
    from transformers import AutoModelForCausalLM

    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=m)
    network = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype)), config)
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=LR)

    def take(batch: Sequence[Example]) -> None:
        texts = [[*row.ids[: row.prompt_at], answer] for row, answer in batch]
        n = max(map(len, texts))
        ids = torch.tensor([text + [model.pad_id] * (n - len(text)) for text in texts])
        attention = torch.tensor([[1] * len(text) + [0] * (n - len(text)) for text in texts])
        labels = torch.full_like(ids, -100)
        for i, text in enumerate(texts):
            labels[i, len(text) - 1] = text[-1]
        loss = network(input_ids=ids, attention_mask=attention, labels=labels).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return take


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.causal", description=__doc__)
    parser.add_argument("--model", required=True, help="a causal LM: a folder or a hub id")
    parser.add_argument("--facts", required=True, type=Path, help="a file of train facts in LAMA's format")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--dtype", choices=TYPES, default=FLOAT32)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    resolved = resolve(args.model)
    model = load_model(resolved, "cpu", args.dtype)
    config = TuneConfig()
    lines = [json.loads(line) for line in args.facts.read_text("utf-8").splitlines()]
    facts = tuple(Fact(line["sub_label"], line["obj_label"]) for line in lines)
    of = examples(model, Task(args.facts.parent.name, "", None, {"train": facts, "dev": facts[:1], "test": ()}), config)
    batches = [of.train[i * BATCH : (i + 1) * BATCH] for i in range(args.steps)]
    start = prompt_for(model, config.prompt_length)
    model.keep([row for batch in batches for row, _ in batch])
    kept, theirs = model.kept, peft_step(model, resolved.path, config.prompt_length, args.dtype)
    prompt = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([prompt], lr=LR)
    taken: dict[str, list[float]] = {"kept": [], "whole": [], "PEFT": []}
    for number, batch in enumerate([batches[0], *batches]):
        for name, seconds in taken.items():
            model.kept = kept if name == "kept" else None
            began = time.process_time()
            theirs(batch) if name == "PEFT" else step(model, batch, prompt, optimizer)
            if number:  # the first is to warm up
                seconds.append(time.process_time() - began)
    ours = statistics.median(taken["kept"])
    for name, seconds in taken.items():
        each = statistics.median(seconds)
        print(f"{name:6} {each:.3f} s a step of {BATCH} facts; kept is {ours / each:.2f} of it")


if __name__ == "__main__":
    main()
