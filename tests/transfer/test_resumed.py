"""A tuning that goes on from any of its epochs ends with the same bytes as one that was never interrupted."""

from __future__ import annotations

import dataclasses
import json
import random

import pytest
import torch
from conftest import COUNTRIES, SUBJECTS
from plain import PlainModel
from test_tuning import BOTH, FAST, OPTIPROMPT, TODAY, plain_examples

from ptx.config.tune import A_STEP, TuneConfig
from ptx.lms.lm import LanguageModel, load_model
from ptx.lms.models import resolve
from ptx.lms.template import LAYOUTS
from ptx.transfer.examples import Examples
from ptx.transfer.scoring import Questions
from ptx.transfer.tuning import Standing, Tuned, tunings


def same(one: Tuned, other: Tuned) -> bool:
    return torch.equal(one.prompt, other.prompt) and json.dumps(one.history) == json.dumps(other.history)


def stands(model: LanguageModel, tasks: list[Examples], config: TuneConfig) -> tuple[list[Standing], dict[int, Tuned]]:
    every: list[Standing] = []
    return every, dict(tunings(model, tasks, config, seed=3, after=every.append))


def check_every_epoch(model: LanguageModel, tasks: list[Examples], config: TuneConfig) -> None:
    every, whole = stands(model, tasks, config)
    assert sorted(whole) == [*range(len(tasks))]
    for standing in every:
        left = sorted(standing.states)
        states = {n: standing.states[i] for n, i in enumerate(left)}
        on = dict(tunings(model, [tasks[i] for i in left], config, seed=3, before=Standing(states, standing.kept)))
        for n, i in enumerate(left):
            assert same(on[n], whole[i])
            assert (on[n].epoch, on[n].dev_accuracy) == (whole[i].epoch, whole[i].dev_accuracy)


@pytest.mark.parametrize("config", [FAST, OPTIPROMPT, TODAY, BOTH])
def test_from_every_epoch_of_tasks_that_end_at_different_times(config: TuneConfig) -> None:
    start = torch.randn(2, 3, generator=torch.Generator().manual_seed(9))
    tasks = [plain_examples("R1", 7, 9), plain_examples("R2", 18, 8), plain_examples("R3", 2, 5, start)]
    check_every_epoch(PlainModel(), tasks, config)


def test_each_task_is_handed_out_when_it_ends() -> None:
    tasks = [plain_examples(name, 7, 9) for name in ("R1", "R2", "R3", "R4", "R5")]
    told: list[str] = []
    lengths = []
    for i, tuned in tunings(
        PlainModel(), tasks, dataclasses.replace(TODAY, patience=1), seed=3, after=lambda of: told.append("epoch")
    ):
        lengths.append(tuned.history[-1]["epoch"])
        assert len(told) == lengths[-1], i
    assert lengths == sorted(lengths)
    assert len({*lengths}) > 1


@pytest.mark.parametrize("most", [10**9, 2000])
def test_of_a_model_that_keeps_what_it_has_read(tiny, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Of which only a part, if there is little room: the same part again, though a task has ended."""
    model = load_model(resolve(tiny["next"]), "cpu")
    monkeypatch.setattr("ptx.lms.lm.bound", lambda network: most)
    draw = random.Random(1)
    tasks = []
    for name, count in (("R1", 9), ("R2", 14), ("R3", 5)):
        subjects = [" ".join(draw.sample(SUBJECTS, draw.randint(1, 3))) for _ in range(count)]
        rows = model.rows(LAYOUTS["postfix"], subjects, prompt_length=5)
        ids = [model.words([draw.choice(COUNTRIES)]) for _ in rows]
        answers = [next(iter(of.values())) for of in ids]
        tasks.append(Examples(name, [*zip(rows, answers, strict=True)], Questions(rows[:4], None, answers[:4])))
    config = TuneConfig(epochs=6, batch_size=4, patience=1, init="random", lr_scale=2.0)
    every, _ = stands(model, tasks, config)
    (kept,) = {len(standing.kept) for standing in every}
    there = len({row.ids for task in tasks for row, _ in task.train})
    assert kept == there if most > 2000 else 0 < kept < there
    assert len({len(standing.states) for standing in every}) > 1
    check_every_epoch(model, tasks, config)


def test_what_was_read_is_told() -> None:
    inputs: list[float] = []
    tasks = [plain_examples("R1", 7, 9), plain_examples("R2", 18, 8)]
    list(tunings(PlainModel(), tasks, FAST, tick=lambda count, now: inputs.append(count)))
    early = 9 * len({0, 1, 2}) + 8 * len({0, 1, 2, 4, 8})  # looks at dev within the first epoch
    assert sum(inputs) == FAST.epochs * (A_STEP * (7 + 18) + 9 + 8) + early
