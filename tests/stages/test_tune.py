from __future__ import annotations

import pytest
import torch

from ptx.config import TuneConfig
from ptx.lms.lm import load_model
from ptx.lms.models import resolve
from ptx.stages.tune import examples, initial_prompt, tune_prompts
from ptx.suites import load_suite

CONFIG = TuneConfig(epochs=3, batch_size=8)


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
    (tuned,) = tune_prompts(model, [task], TuneConfig(epochs=15, lr=0.1))
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
