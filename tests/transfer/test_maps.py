"""The projector against a plain training loop, the nearest words against brute force."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from ptx.transfer import maps
from ptx.transfer.maps import nearest_words, train_projector

SETTINGS = {"hidden": 7, "epochs": 3, "lr": 2e-2, "batch_size": 8, "seed": 3, "select": "none"}


def words(count: int = 34) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 6, generator=generator), torch.randn(count, 4, generator=generator)


def by_hand(source: Tensor, target: Tensor, settings: dict[str, Any], held: int) -> list[tuple[Tensor, float]]:
    """Of every epoch what the network makes of `source`, and the held-out error: plain loops, gradients written out."""
    shuffles = torch.Generator().manual_seed(settings["seed"])
    order = torch.randperm(len(source), generator=shuffles)
    with torch.random.fork_rng():
        torch.manual_seed(settings["seed"])
        first, second = torch.nn.Linear(6, settings["hidden"]), torch.nn.Linear(settings["hidden"], 4)
    weights = [w.detach().double() for w in (first.weight, first.bias, second.weight, second.bias)]
    moments = [(torch.zeros_like(w), torch.zeros_like(w)) for w in weights]
    x, y = source.double(), target.double()

    def forward(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        inner = x @ weights[0].T + weights[1]
        bent = torch.where(inner > 0, inner, 0.01 * inner)
        return inner, bent, bent @ weights[2].T + weights[3]

    steps, epochs = 0, []
    for _ in range(settings["epochs"]):
        mixed = order[held:][torch.randperm(len(source) - held, generator=shuffles)]
        for start in range(0, len(mixed), settings["batch_size"]):
            rows = mixed[start : start + settings["batch_size"]]
            inner, bent, out = forward(x[rows])
            error = 2 * (out - y[rows]) / out.numel()
            back = (error @ weights[2]) * torch.where(inner > 0, 1.0, 0.01)
            gradients = [back.T @ x[rows], back.sum(0), error.T @ bent, error.sum(0)]
            steps += 1
            for w, (mean, square), gradient in zip(weights, moments, gradients, strict=True):
                mean.mul_(0.9).add_(0.1 * gradient)
                square.mul_(0.999).add_(0.001 * gradient**2)
                w -= settings["lr"] * (mean / (1 - 0.9**steps)) / ((square / (1 - 0.999**steps)).sqrt() + 1e-8)
        made = forward(x)[2]
        errors = [(made[i, j] - y[i, j]).item() ** 2 for i in order[:held].tolist() for j in range(4)]
        epochs.append((made.float(), sum(errors) / len(errors) if errors else math.nan))
    return epochs


@pytest.mark.parametrize(
    ("select", "count", "held"), [("none", 34, 3), ("none", 36, 4), ("none", 3, 1), ("dev", 34, 0)]
)
def test_every_epoch_is_that_of_a_plain_loop(select: str, count: int, held: int) -> None:
    """A tenth of the words is held out, one at least; none where labels choose the epoch."""
    source, target = words(count)
    settings = SETTINGS | {"select": select}
    epochs = train_projector(source, target, settings)
    wanted = by_hand(source, target, settings, held)
    assert len(epochs) == 3
    for (projector, error), (made, wanted_error) in zip(epochs, wanted, strict=True):
        torch.testing.assert_close(projector(source), made, rtol=1e-6, atol=1e-6)
        assert error == pytest.approx(wanted_error, rel=1e-9, nan_ok=True)
        assert not projector(source.clone().requires_grad_()).requires_grad


def test_the_last_digits_of_another_machine_do_not_matter() -> None:
    """Rounding as another machine might: in float32 these 540 steps end up 11 apart."""
    source, target = (10 * rows for rows in words(400))
    settings = SETTINGS | {"hidden": 64, "epochs": 12, "lr": 5e-2}
    usual = train_projector(source, target, settings)
    other = train_projector(source.double() * (1 + 2**-52), target, settings)
    for (one, error), (two, other_error) in zip(usual, other, strict=True):
        torch.testing.assert_close(one(source), two(source), rtol=0, atol=1e-5)
        assert error == pytest.approx(other_error, rel=1e-6)


def test_training_leaves_random_numbers_and_its_inputs_alone() -> None:
    source, target = words()
    before = source.clone(), target.clone()
    torch.manual_seed(11)
    wanted = torch.randn(3)
    torch.manual_seed(11)
    train_projector(source, target, SETTINGS)
    assert torch.equal(torch.randn(3), wanted)
    assert torch.equal(source, before[0])
    assert torch.equal(target, before[1])


def test_a_tenth_is_held_out() -> None:
    assert maps.HELD_OUT == 0.1


@pytest.mark.parametrize("top", [1, 3, 20, 30])
def test_nearest_words_equal_brute_force(top: int) -> None:
    generator = torch.Generator().manual_seed(2)
    prompt, embeddings = torch.randn(5, 6, generator=generator), torch.randn(20, 6, generator=generator)
    embeddings *= torch.arange(1, 21)[:, None]  # lengths do not matter
    values, rows = nearest_words(prompt, embeddings=embeddings, top=top)
    for i in range(5):
        cosines = torch.tensor([torch.cosine_similarity(prompt[i], row, dim=0).item() for row in embeddings])
        order = sorted(range(20), key=lambda j: -cosines[j].item())[:top]
        assert rows[i].tolist() == order
        torch.testing.assert_close(values[i].float(), cosines[order], rtol=0, atol=1e-6)
