"""The gradient by forward passes against the true one, and against a loop."""

from __future__ import annotations

import torch

from ptx.transfer.evolution import PAIRS, estimated_gradient


def quadratic(prompts: torch.Tensor) -> torch.Tensor:
    weights = torch.arange(1.0, 7.0, dtype=prompts.dtype).view(2, 3)
    return (weights * prompts.square()).sum((1, 2)) / 2


def test_it_is_the_mean_of_mirrored_differences() -> None:
    prompt = torch.randn(2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = estimated_gradient(quadratic, prompt, 0.2, torch.Generator().manual_seed(5))
    steps = torch.randn(PAIRS, 2, 3, generator=torch.Generator().manual_seed(5))
    wanted = torch.zeros(2, 3, dtype=torch.float64)
    for step in steps.double():
        ends = [quadratic((prompt + sign * 0.2 * step)[None]).item() for sign in (1, -1)]
        wanted += (ends[0] - ends[1]) / (2 * 0.2) * step / PAIRS
    torch.testing.assert_close(found, wanted)


def test_many_of_them_are_the_gradient() -> None:
    """Of a quadratic the mirrored difference along a step is exactly the gradient along it."""
    prompt = torch.randn(2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    random = torch.Generator().manual_seed(0)
    mean = torch.stack([estimated_gradient(quadratic, prompt, 0.5, random) for _ in range(5000)]).mean(0)
    torch.testing.assert_close(mean, torch.arange(1.0, 7.0).view(2, 3).double() * prompt, rtol=0.1, atol=0.2)


def test_it_asks_for_pairs_about_the_prompt_and_leaves_it_alone() -> None:
    asked: list[torch.Tensor] = []

    def losses(prompts: torch.Tensor) -> torch.Tensor:
        asked.append(prompts)
        return prompts.sum((1, 2))

    prompt = torch.ones(2, 3)
    estimated_gradient(losses, prompt, 0.1, torch.Generator().manual_seed(0))
    (ends,) = asked
    assert ends.shape == (2 * PAIRS, 2, 3)
    torch.testing.assert_close((ends[:PAIRS] + ends[PAIRS:]) / 2, prompt.expand(PAIRS, 2, 3))
    assert torch.equal(prompt, torch.ones(2, 3))
