"""The gradient by forward passes against the true one, and against a loop."""

from __future__ import annotations

import torch

from ptx.config.search import PAIRS
from ptx.transfer.evolution import estimated_gradient

INPUTS = 3


def quadratic(prompts: torch.Tensor) -> torch.Tensor:
    """Of each input another one: half, once and one and a half times the mean of them."""
    weights = torch.arange(1.0, 7.0, dtype=prompts.dtype).view(2, 3)
    return (weights * prompts.square()).sum((-2, -1)) / 2 * torch.arange(1.0, INPUTS + 1, dtype=prompts.dtype) / 2


def test_it_is_the_mean_of_mirrored_differences_each_along_a_step_of_its_own() -> None:
    prompt = torch.randn(2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = estimated_gradient(quadratic, prompt, INPUTS, 0.2, torch.Generator().manual_seed(5))
    steps = torch.randn(PAIRS, INPUTS, 2, 3, generator=torch.Generator().manual_seed(5))
    wanted = torch.zeros(2, 3, dtype=torch.float64)
    for of_pair in steps.double():
        for i, step in enumerate(of_pair):
            there, back = (quadratic((prompt + sign * 0.2 * step).expand(INPUTS, 2, 3))[i].item() for sign in (1, -1))
            wanted += (there - back) / (2 * 0.2) * step / (PAIRS * INPUTS)
    torch.testing.assert_close(found, wanted)


def test_many_of_them_are_the_gradient_of_the_mean() -> None:
    """Of a quadratic the mirrored difference along a step is exactly the gradient along it."""
    prompt = torch.randn(2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    random = torch.Generator().manual_seed(0)
    mean = torch.stack([estimated_gradient(quadratic, prompt, INPUTS, 0.5, random) for _ in range(5000)]).mean(0)
    torch.testing.assert_close(mean, torch.arange(1.0, 7.0).view(2, 3).double() * prompt, rtol=0.1, atol=0.2)


def test_steps_of_their_own_for_inputs_leave_less_to_chance() -> None:
    """With as many passes as the same ones for all."""
    prompt, random = torch.ones(2, 3, dtype=torch.float64), torch.Generator().manual_seed(0)
    wanted = torch.arange(1.0, 7.0).view(2, 3).double()

    def off(losses, inputs: int) -> torch.Tensor:
        made = [estimated_gradient(losses, prompt, inputs, 0.2, random) for _ in range(2000)]
        return torch.stack([(of - wanted).square().sum() for of in made]).mean()

    own = off(quadratic, INPUTS)
    same = off(lambda prompts: quadratic(prompts.expand(-1, INPUTS, 2, 3)).mean(1, keepdim=True), 1)
    assert own < 0.6 * same


def test_it_asks_for_pairs_about_the_prompt_and_leaves_it_alone() -> None:
    asked: list[torch.Tensor] = []

    def losses(prompts: torch.Tensor) -> torch.Tensor:
        asked.append(prompts)
        return prompts.sum((-2, -1))

    prompt = torch.ones(2, 3)
    estimated_gradient(losses, prompt, INPUTS, 0.1, torch.Generator().manual_seed(0))
    (ends,) = asked
    assert ends.shape == (2 * PAIRS, INPUTS, 2, 3)
    torch.testing.assert_close((ends[:PAIRS] + ends[PAIRS:]) / 2, prompt.expand(PAIRS, INPUTS, 2, 3))
    assert torch.equal(prompt, torch.ones(2, 3))
