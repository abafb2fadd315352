"""Learning rates of gradient steps, against the schedulers that transformers and torch have."""

from __future__ import annotations

import pytest
import torch
from transformers import get_linear_schedule_with_warmup

from ptx.config.tune import TuneConfig
from ptx.errors import UsageError
from ptx.transfer.rates import rate

STD = 0.7  # of some model's word embeddings


@pytest.mark.parametrize("steps", [1, 7, 10, 63, 640])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.33, 1.0])
def test_the_linear_schedule_is_that_of_transformers(steps: int, warmup: float) -> None:
    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.Adam([weight], lr=3e-3)
    scheduler = get_linear_schedule_with_warmup(optimizer, int(steps * warmup), steps)
    config = TuneConfig(lr=3e-3, schedule="linear", warmup=warmup)
    for step in range(steps):
        assert rate(config, step, steps, STD)["lr"] == pytest.approx(scheduler.get_last_lr()[0], rel=1e-12, abs=1e-15)
        weight.grad = torch.ones(1)
        optimizer.step()
        scheduler.step()


def test_a_constant_rate_is_adams_own() -> None:
    own = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=1e-2).param_groups[0]
    config = TuneConfig(lr=1e-2, schedule="constant")
    assert {rate(config, step, 9, STD)["lr"] for step in range(9)} == {own["lr"]}
    assert {rate(config, step, 9, STD)["eps"] for step in range(9)} == {own["eps"]}


def test_a_scale_is_a_multiple_of_the_embeddings_std() -> None:
    scaled, plain = TuneConfig(lr_scale=0.2), TuneConfig(lr=0.2 * STD)
    for step in range(9):
        assert rate(scaled, step, 9, STD) == pytest.approx(rate(plain, step, 9, 1.0))
    assert rate(scaled, 5, 9, 2 * STD)["lr"] == pytest.approx(2 * rate(scaled, 5, 9, STD)["lr"])


@pytest.mark.parametrize("schedule", [{}, {"schedule": "linear", "warmup": 0.1}])
def test_optiprompts_optimizer_has_no_bias_correction(schedule: dict) -> None:
    """torch's Adam at these rates takes the steps of the update written out: lr m / (sqrt(v) + 1e-6), in a second round
    of the schedule too, where its means no longer begin at 0."""
    config = TuneConfig(lr=3e-3, optimizer="optiprompt", **(schedule or {"schedule": "constant"}))
    generator = torch.Generator().manual_seed(0)
    found = torch.randn(4, 3, generator=generator, dtype=torch.float64).requires_grad_()
    plain = found.detach().clone()
    mean, square = torch.zeros_like(plain), torch.zeros_like(plain)
    optimizer = torch.optim.Adam([found], lr=1.0)
    for step in range(80):
        found.grad = torch.randn(4, 3, generator=generator, dtype=torch.float64) * 10.0 ** (step % 7 - 6)
        mean = 0.9 * mean + 0.1 * found.grad
        square = 0.999 * square + 0.001 * found.grad**2
        at = step % 40
        lr = 3e-3 * (1 if not schedule else at / 4 if at < 4 else (40 - at) / 36)
        plain = plain - lr * mean / (square.sqrt() + 1e-6)
        optimizer.param_groups[0].update(rate(config, step, 40, STD))
        optimizer.step()
        torch.testing.assert_close(found.detach(), plain, rtol=1e-9, atol=1e-12)


def test_a_warm_up_is_a_share_of_all_steps() -> None:
    for wrong in (-0.1, 1.5, float("nan")):
        with pytest.raises(UsageError, match=r"--warmup .* is not between 0 and 1"):
            TuneConfig(schedule="linear", warmup=wrong)
