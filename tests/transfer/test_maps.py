"""The projector against a plain training loop, the closed forms against scipy's and numpy's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes
from torch import Tensor

from ptx.errors import PtxError
from ptx.transfer import maps
from ptx.transfer.equations import relative_representation, unit_rows
from ptx.transfer.maps import averaged, linear, procrustes, train_projector
from ptx.transfer.solvers import exact
from ptx.transfer.target import TargetAnchors

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


def spaces(ds: int, dt: int, k: int = 50) -> tuple[Tensor, Tensor, Tensor]:
    """Words off the origin in two spaces that have something in common, and a prompt in the first."""
    generator = torch.Generator().manual_seed(ds * 100 + dt)
    source = 0.1 * torch.randn(k, ds, generator=generator) + 0.3
    target = source @ torch.randn(ds, dt, generator=generator) + torch.randn(k, dt, generator=generator) - 2
    return source, target, torch.randn(3, ds, generator=generator)


@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize(("ds", "dt"), [(6, 6), (6, 9), (9, 6)])
def test_procrustes_is_scipys(ds: int, dt: int, centre: bool) -> None:
    """scipy wants equal widths; the narrower space is given numbers that are nought, which no rotation can use."""
    source, target, prompt = spaces(ds, dt)
    x, y, v = (rows.double().numpy() for rows in (source, target, prompt))
    origin, middle = (x.mean(0), y.mean(0)) if centre else (np.zeros(ds), np.zeros(dt))
    wide = max(ds, dt)
    padded = [np.pad(rows, ((0, 0), (0, wide - rows.shape[1]))) for rows in (x - origin, y - middle)]
    rotation = orthogonal_procrustes(*padded)[0][:ds, :dt]
    scale = np.sqrt(((y - middle) ** 2).sum() / ((x - origin) ** 2).sum())
    found = procrustes(source, target, centre=centre)(prompt)
    np.testing.assert_allclose(found.numpy(), scale * (v - origin) @ rotation + middle, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("centre", [True, False])
def test_procrustes_finds_a_rotation_again(centre: bool) -> None:
    """Into a wider space, elsewhere, in other units: every vector arrives, not only those among the words."""
    source, _, prompt = spaces(5, 5)
    turned = torch.linalg.qr(torch.randn(8, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).Q.T
    there = lambda v: 7 * v.double() @ turned + 4 * centre  # noqa: E731
    found = procrustes(source, there(source), centre=centre)(prompt)
    torch.testing.assert_close(found, there(prompt), rtol=1e-9, atol=1e-9)


def test_procrustes_leaves_out_what_no_word_shows() -> None:
    """Four words, less their mean, span three of six directions; the fourth, fifth and sixth go nowhere."""
    source, target, prompt = spaces(6, 6, k=4)
    found = procrustes(source, target, centre=True)
    seen = torch.linalg.svd(source.double() - source.double().mean(0), full_matrices=False).Vh[:3]
    v = prompt.double() - source.double().mean(0)
    torch.testing.assert_close(found(prompt), found((v @ seen.T @ seen) + source.double().mean(0)))


@pytest.mark.parametrize(("ds", "dt", "k"), [(6, 6, 50), (6, 9, 50), (9, 6, 50), (9, 6, 5)])
def test_linear_is_numpys_least_squares(ds: int, dt: int, k: int) -> None:
    """With fewer words than numbers, too: numpy takes the shortest."""
    source, target, prompt = spaces(ds, dt, k)
    w = np.linalg.lstsq(source.double().numpy(), target.double().numpy(), rcond=None)[0]
    found = linear(source, target, ridge=0.0)(prompt)
    np.testing.assert_allclose(found.numpy(), prompt.double().numpy() @ w, rtol=1e-7, atol=1e-7)


def test_ridge_is_least_squares_with_rows_that_ask_for_nought() -> None:
    """sqrt(penalty) I below X, and zeros below Y; the penalty in units of the mean eigenvalue of X'X."""
    source, target, prompt = spaces(6, 9)
    x, y = source.double().numpy(), target.double().numpy()
    penalty = 0.3 * np.linalg.eigvalsh(x.T @ x).mean()
    w = np.linalg.lstsq(np.vstack([x, np.sqrt(penalty) * np.eye(6)]), np.vstack([y, np.zeros((6, 9))]), rcond=None)[0]
    found = linear(source, target, ridge=0.3)(prompt)
    np.testing.assert_allclose(found.numpy(), prompt.double().numpy() @ w, rtol=1e-9, atol=1e-9)


def test_gcv_takes_the_best_ridge_for_every_column() -> None:
    """Scores by brute force, with the whole hat matrix, over every penalty of the grid."""
    source, target, prompt = spaces(6, 4, k=12)
    x, y = source.double().numpy(), target.double().numpy()
    unit = np.linalg.eigvalsh(x.T @ x).mean()
    wanted = []
    for column in y.T:
        scores = []
        for power in np.arange(-6, 3, 0.25):
            inverse = np.linalg.inv(x.T @ x + 10**power * unit * np.eye(6))
            hat = x @ inverse @ x.T
            misfit = ((column - hat @ column) ** 2).sum() / (1 - np.trace(hat) / 12) ** 2
            scores.append((misfit, tuple(inverse @ x.T @ column)))
        wanted.append(min(scores)[1])
    found = linear(source, target, ridge="gcv")(prompt)
    np.testing.assert_allclose(found.numpy(), prompt.double().numpy() @ np.array(wanted).T, rtol=1e-7, atol=1e-7)


def test_the_shortest_combination_of_words_is_the_linear_map() -> None:
    """Recycling's lin-comb: of all combinations of source words that are v, the shortest, of the target's words."""
    source, target, prompt = spaces(6, 9)
    shares = np.linalg.lstsq(source.double().numpy().T, prompt.double().numpy().T, rcond=None)[0]  # [k, m]
    np.testing.assert_allclose(shares.T @ source.double().numpy(), prompt.numpy(), rtol=1e-6, atol=1e-6)  # it is v
    found = linear(source, target, ridge=0.0)(prompt)
    np.testing.assert_allclose(found.numpy(), shares.T @ target.double().numpy(), rtol=1e-7, atol=1e-7)


def test_the_inverse_relative_projection_is_the_search_without_masks() -> None:
    """pinv(B) r, of which `relative --mask source --top-k all` has all but the length."""
    source, target, prompt = spaces(6, 9)
    r = relative_representation(prompt, anchors=unit_rows(source))
    rows = target.double().numpy()
    inverse = np.linalg.pinv(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    found = exact(r, anchors=TargetAnchors(target))
    np.testing.assert_allclose(found.numpy(), r.numpy() @ inverse.T, rtol=1e-7, atol=1e-7)


def test_several_sources_are_averaged() -> None:
    one, two = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(averaged([one, two], [0.75, 0.25]), 0.75 * one + 0.25 * two)
    with pytest.raises(PtxError, match="prompts differ in length: 2 and 3 vectors") as raised:
        averaged([one, two[:2]], [0.5, 0.5])
    assert raised.value.hint == "tune all sources with the same --prompt-length"
