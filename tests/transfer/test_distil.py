"""Distilling against loops in float64: the product of distributions, the loss, the steps; and which trust is chosen."""

from __future__ import annotations

import math
import random

import pytest
import torch

from ptx.lms.inputs import Row
from ptx.lms.lm import LanguageModel, load_model
from ptx.lms.models import resolve
from ptx.transfer.distil import EVERY, cross_entropies, distil, held_back, product, statistics, word_logs

WORDS = ("France", "Japan", "Peru", "Kenya", "word3")


def drawn(n: int, k: int, seed: int) -> torch.Tensor:
    return torch.randn(n, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).mul(3).softmax(-1)


@pytest.mark.parametrize("trust", [0.0, 0.3, 1.0, 2.0])
def test_the_product_leaves_out_what_the_target_always_says(trust: float) -> None:
    source, own = drawn(4, 7, 1), drawn(4, 7, 2)
    source[0, 3] = 0.0  # a word that a source's float32 rest leaves nothing
    wanted = []
    always = [math.fsum(column) / 4 for column in zip(*own.tolist(), strict=True)]
    for p, q in zip(source.tolist(), own.tolist(), strict=True):
        raw = [a * (b / c) ** trust for a, b, c in zip(p, q, always, strict=True)]
        wanted.append([value / math.fsum(raw) for value in raw])
    torch.testing.assert_close(product(source, own.log(), trust), torch.tensor(wanted, dtype=torch.float64))


def test_the_loss_is_the_mean_surprise_under_the_aim() -> None:
    aim, own = drawn(3, 5, 1), drawn(3, 5, 2)
    wanted = [
        -math.fsum(a * math.log(q) for a, q in zip(x, y, strict=True))
        for x, y in zip(aim.tolist(), own.tolist(), strict=True)
    ]
    assert cross_entropies(aim, own.log()).tolist() == pytest.approx(wanted)
    assert (cross_entropies(aim, own.log()) > cross_entropies(aim, aim.log())).all()


def test_figures_of_two_distributions() -> None:
    source = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]], dtype=torch.float64)
    own = torch.tensor([[0.5, 0.5, 0.0], [0.6, 0.2, 0.2]], dtype=torch.float64)
    found = statistics(source, own)
    assert found == {
        "source_confidence": pytest.approx(0.65),
        "target_confidence": pytest.approx(0.55),
        "source_entropy": pytest.approx((1.5 * math.log(2) - 0.2 * math.log(0.1) - 0.8 * math.log(0.8)) / 2),
        "target_entropy": pytest.approx((math.log(2) - 0.6 * math.log(0.6) - 0.4 * math.log(0.2)) / 2),
        "text_agreement": 0.5,
    }


def test_what_two_models_that_err_independently_say_together() -> None:
    """Bayes' rule over every world: a right answer drawn from a prior, and two reports of it. The product of what each
    report alone tells, the second one's divided by what it tells on average, is what both tell."""
    prior = [0.5, 0.3, 0.2]
    first = [[0.7, 0.2, 0.1], [0.3, 0.5, 0.2], [0.1, 0.1, 0.8]]  # P(report | right answer)
    second = [[0.6, 0.3, 0.1], [0.2, 0.6, 0.2], [0.4, 0.2, 0.4]]
    k = range(3)

    def told(joint: list[float]) -> list[float]:
        return [value / math.fsum(joint) for value in joint]

    alone_1 = [told([prior[y] * first[y][s] for y in k]) for s in k]
    alone_2 = [told([prior[y] * second[y][t] for y in k]) for t in k]
    both = [[told([prior[y] * first[y][s] * second[y][t] for y in k]) for t in k] for s in k]
    often = [round(1000 * math.fsum(prior[y] * second[y][t] for y in k)) for t in k]  # so often is each reported
    asked = [t for t in k for _ in range(often[t])]
    for s in k:
        source = torch.tensor([alone_1[s]] * len(asked), dtype=torch.float64)
        own = torch.tensor([alone_2[t] for t in asked], dtype=torch.float64).log()
        wanted = torch.tensor([both[s][t] for t in asked], dtype=torch.float64)
        torch.testing.assert_close(product(source, own, 1.0), wanted)


def test_a_quarter_is_held_back() -> None:
    assert held_back(10) == ([0, 1, 2, 4, 5, 6, 8, 9], [3, 7])
    assert held_back(3) == ([0, 1, 2], [])


@pytest.fixture(params=["a", "next"])
def model(request: pytest.FixtureRequest, tiny: dict[str, str]) -> LanguageModel:
    return load_model(resolve(tiny[request.param]), "cpu")


def rows(model: LanguageModel, n: int, m: int) -> list[Row]:
    return model.rows("[X] [V] [Y] .", [f"name{i}" + " word5" * (i % 3) for i in range(n)], prompt_length=m)


def one_by_one(model: LanguageModel, asked: list[Row], prompt: torch.Tensor) -> torch.Tensor:
    ids = model.word_ids(WORDS)
    scores = [model.logits(model.collate([row]), prompt[None])[0, ids] for row in asked]
    return torch.stack(scores).double().log_softmax(-1)


def test_log_probabilities_are_those_of_one_input_at_a_time(model: LanguageModel) -> None:
    prompt = model.matrix[[7, 8]].clone()
    asked = rows(model, 9, 2)
    with torch.no_grad():
        wanted = one_by_one(model, asked, prompt)
    torch.testing.assert_close(word_logs(model, asked, prompt, WORDS), wanted, rtol=1e-5, atol=1e-5)


def by_hand(
    model: LanguageModel, asked: list[Row], aim: torch.Tensor, start: torch.Tensor, steps: int, seed: int,
    forward: bool,
) -> list[tuple[float, torch.Tensor]]:  # fmt: skip
    """The held-back loss and the prompt before all steps and after each: single inputs, all at one rate's schedule.
    By forward passes the gradient is the mean of those along four random steps of each input."""
    learned = [i for i in range(len(asked)) if i % 4 != 3]
    held = [i for i in range(len(asked)) if i % 4 == 3]
    prompt = start.clone().requires_grad_()
    adam = torch.optim.Adam([prompt], lr=0.0)
    order, noise = random.Random(seed), torch.Generator().manual_seed(random.Random(seed).getrandbits(63))
    waiting: list[list[int]] = []
    found: list[tuple[float, torch.Tensor]] = []

    def look() -> None:
        with torch.no_grad():
            of = [-(aim[i] * one_by_one(model, [asked[i]], prompt)[0]).sum().item() for i in held]
        found.append((math.fsum(of) / len(of), prompt.detach().clone()))

    look()
    for step in range(steps):
        if not waiting:
            shuffled = order.sample(learned, len(learned))
            waiting = [shuffled[i : i + 16] for i in range(0, len(shuffled), 16)]
        batch = waiting.pop(0)
        rising = int(0.1 * steps)
        share = step / rising if step < rising else (steps - step) / (steps - rising)
        adam.param_groups[0]["lr"] = 0.07 * model.statistics[1] * share
        adam.zero_grad()

        def loss(prompt: torch.Tensor, batch: list[int] = batch) -> torch.Tensor:
            return torch.stack([-(aim[i] * one_by_one(model, [asked[i]], prompt)[0]).sum() for i in batch]).mean()

        if forward:
            far = 0.3 * model.statistics[1]
            prompt.grad = torch.zeros_like(prompt)
            for every in torch.randn(4, len(batch), *prompt.shape, generator=noise):
                for i, to in zip(batch, every, strict=True):
                    with torch.no_grad():
                        along = (loss(prompt + far * to, [i]) - loss(prompt - far * to, [i])) / (2 * far)
                    prompt.grad += along.float() * to / (4 * len(batch))
        else:
            loss(prompt).backward()
        adam.step()
        look()
    return found


@pytest.mark.parametrize("forward", [False, True])
def test_steps_are_those_of_a_plain_loop(model: LanguageModel, forward: bool) -> None:
    """The held-back inputs are the fourth, eighth and so on; the look with the least loss stays."""
    asked, start, steps = rows(model, 30, 2), model.matrix[[7, 8]].clone(), 2 * EVERY + 1
    aim = drawn(30, len(WORDS), 3)
    found = distil(model, asked, aim, start, words=WORDS, steps=steps, seed=5, forward=forward)
    wanted = by_hand(model, asked, aim, start, steps, 5, forward)
    looks = [0, EVERY, 2 * EVERY, steps]
    assert [point["steps"] for point in found.history] == looks
    assert [point["loss"] for point in found.history] == pytest.approx([wanted[i][0] for i in looks], rel=1e-4)
    best = min(looks, key=lambda i: wanted[i][0])
    assert found.step == best > 0
    torch.testing.assert_close(found.prompt, wanted[best][1], rtol=1e-3, atol=1e-4)
    again = distil(model, asked, aim, start, words=WORDS, steps=steps, seed=5, forward=forward)
    assert torch.equal(found.prompt, again.prompt)
    other = distil(model, asked, aim, start, words=WORDS, steps=steps, seed=6, forward=forward)
    assert not torch.equal(found.prompt, other.prompt)
    assert model.kept is None or not model.kept.starts


def test_a_start_that_nothing_betters_is_kept(model: LanguageModel) -> None:
    """What is held back asks for what the start says, what is learned from for the opposite."""
    asked, start = rows(model, 24, 2), model.matrix[[7, 8]].clone()
    says = word_logs(model, asked, start, WORDS)
    aim = (-3 * says).softmax(-1)
    _, held = held_back(24)
    aim[held] = says[held].exp()
    found = distil(model, asked, aim, start, words=WORDS, steps=12, seed=0)
    assert found.step == 0
    assert torch.equal(found.prompt, start)
    entropy = -(aim[held] * says[held]).sum(-1).mean().item()
    assert found.history[0]["loss"] == pytest.approx(entropy, rel=1e-5)  # kept states change the last digits
