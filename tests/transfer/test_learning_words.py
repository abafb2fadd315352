"""Portable prompts against a slow loop in float64: forward passes, numerical gradients and Adam written out."""

from __future__ import annotations

import itertools
import math
import random
from pathlib import Path

import pytest
import torch
from conftest import make_causal_model, make_model
from plain import WORDS, PlainModel
from scipy.optimize import nnls
from torch import Tensor

from ptx.errors import PtxError
from ptx.formats.words import Mixture, mixture
from ptx.lms.embeddings import load_embeddings, load_tokenizer
from ptx.lms.inputs import Row
from ptx.lms.lm import load_model
from ptx.lms.models import resolve
from ptx.transfer.examples import Examples
from ptx.transfer.mixtures import embedded, mixed, nearest_mixtures
from ptx.transfer.portable import learn_words, trimmed, vectors
from ptx.transfer.scoring import Questions
from ptx.transfer.starts import generator

SETTINGS = {"epochs": 3, "batch_size": 2, "prompt_length": 2, "lr": 1.0, "scale_lr": 0.02, "seed": 3}


def facts(name: str, count: int, dev: int = 9) -> Examples:
    rng = random.Random(name)
    train = [(Row(tuple(rng.choices(range(90), k=1 + i % 3)), 0, 0), rng.randrange(len(WORDS))) for i in range(count)]
    rows = [Row((rng.randrange(90),), 0, 0) for _ in range(dev)]
    return Examples(name, train, Questions(rows, None, [rng.randrange(len(WORDS)) for _ in rows]))


def slow_vectors(z: list[list[float]], s: list[float], x: Tensor) -> Tensor:
    prompt = []
    for row, scale in zip(z, s, strict=True):
        total = sum(math.exp(value) for value in row)
        weights = [math.exp(value) / total for value in row]
        prompt.append([math.exp(scale) * sum(w * float(x[j, c]) for j, w in enumerate(weights)) for c in range(3)])
    return torch.tensor(prompt, dtype=torch.float64)


def slow_loss(models, z, s, batches) -> float:
    total = 0.0
    for model, batch in zip(models, batches, strict=True):
        if batch:
            prompt = slow_vectors(z, s, model.matrix)
            each = [-model.plainly(row, prompt).log_softmax(-1)[answer].item() for row, answer in batch]
            total += sum(each) / len(each)
    return total


def slow_learning(models, of, settings) -> list[tuple[list[Mixture], list[float]]]:
    """The trimmed prompt and its dev accuracies after each epoch."""
    m, k, seed, size = settings["prompt_length"], len(WORDS), settings["seed"], settings["batch_size"]
    noise = generator(seed, of[0].name)
    z = (0.01 * torch.randn(m, k, generator=noise)).double().tolist()
    numbers = [*itertools.chain(*z), *[0.0] * m]
    rates = [settings["lr"]] * (m * k) + [settings["scale_lr"]] * m
    mean, square = [0.0] * len(numbers), [0.0] * len(numbers)
    orders = [random.Random(f"{seed} {of[0].name} order") for _ in of]
    taken, found = 0, []

    def loss(values: list[float], batches) -> float:
        return slow_loss(models, [values[i * k : (i + 1) * k] for i in range(m)], values[m * k :], batches)

    for _ in range(settings["epochs"]):
        shuffled = [order.sample(own.train, len(own.train)) for order, own in zip(orders, of, strict=True)]
        for first in range(0, max(map(len, shuffled)), size):
            batches = [own[first : first + size] for own in shuffled]
            gradient = []
            for i in range(len(numbers)):
                up, down = [*numbers], [*numbers]
                up[i], down[i] = up[i] + 1e-5, down[i] - 1e-5
                gradient.append((loss(up, batches) - loss(down, batches)) / 2e-5)
            taken += 1
            for i, g in enumerate(gradient):
                mean[i] = 0.9 * mean[i] + 0.1 * g
                square[i] = 0.999 * square[i] + 0.001 * g * g
                step = mean[i] / (1 - 0.9**taken) / (math.sqrt(square[i] / (1 - 0.999**taken)) + 1e-8)
                numbers[i] -= rates[i] * step
        prompt = trimmed(torch.tensor(numbers[: m * k]).view(m, k), torch.tensor(numbers[m * k :]), WORDS)
        scores = []
        for model, own in zip(models, of, strict=True):
            rows = [sum(w * model.matrix[WORDS.index(word)].double() for word, w in v.words.items()) * v.scale
                    for v in prompt]  # fmt: skip
            right = [
                int(model.plainly(row, torch.stack(rows)).argmax()) == answer
                for row, answer in zip(own.dev.rows, own.dev.objects, strict=True)
            ]
            scores.append(sum(right) / len(right))
        found.append((prompt, scores))
    return found


def close(got: list[Mixture], wanted: list[Mixture]) -> None:
    assert [[*of.words] for of in got] == [[*of.words] for of in wanted]
    for one, other in zip(got, wanted, strict=True):
        assert one.scale == pytest.approx(other.scale, rel=2e-3)
        assert [*one.words.values()] == pytest.approx([*other.words.values()], abs=2e-3)


def test_learning_is_the_slow_loop() -> None:
    """Two models that know different facts, so that one of them rests in the last steps."""
    models = [PlainModel(1), PlainModel(2)]
    of = [facts("R1", 7), facts("R1", 4)]
    (learned,) = learn_words(models, WORDS, [of], SETTINGS)
    every = slow_learning(models, of, SETTINGS)
    means = [sum(scores) for _, scores in every]
    assert learned.epoch == means.index(max(means)) + 1
    wanted, scores = every[learned.epoch - 1]
    close(learned.prompt, wanted)
    assert learned.dev_accuracies == scores


def test_tasks_do_not_depend_on_those_beside_them() -> None:
    models = [PlainModel(1), PlainModel(2)]
    tasks = [[facts(name, count), facts(name, count)] for name, count in (("R1", 7), ("R2", 12), ("R3", 1))]
    epochs: list[int] = []
    together = learn_words(models, WORDS, tasks, SETTINGS, after=epochs.append)
    for task, learned in zip(tasks, together, strict=True):
        (alone,) = learn_words(models, WORDS, [task], SETTINGS)
        close(alone.prompt, learned.prompt)
        assert (alone.epoch, alone.dev_accuracies) == (learned.epoch, learned.dev_accuracies)
    assert epochs == [1, 2, 3]


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    model = PlainModel(1)
    model.readout = model.readout * float("inf")
    with pytest.raises(PtxError, match="learning R1 as words on plain diverged: the loss or weights of epoch 1"):
        learn_words([model], WORDS, [[facts("R1", 3)]], SETTINGS)


def test_vectors_are_scaled_means_of_words() -> None:
    noise = torch.Generator().manual_seed(0)
    z, s, x = (torch.randn(*shape, generator=noise) for shape in ((2, 7), (2,), (7, 3)))
    wanted = slow_vectors(z.double().tolist(), s.double().tolist(), x)
    torch.testing.assert_close(vectors(z, s, x).double(), wanted, rtol=1e-5, atol=1e-6)


def test_trimming_keeps_the_heaviest_words_and_the_scale() -> None:
    words = [f"w{i}" for i in range(20)]
    shares = torch.tensor([[float(i) for i in range(1, 21)], [1e-9] * 19 + [1.0]])
    of, one = trimmed(shares.log(), torch.tensor([0.5, -0.5]), words)
    assert [*of.words] == [f"w{i}" for i in range(19, 11, -1)]
    total = sum(range(13, 21))
    assert [*of.words.values()] == [round(i / total, 4) for i in range(20, 12, -1)]
    assert one.words == {"w19": 1.0}  # what rounds to nothing is left out
    assert (of.scale, one.scale) == (float(f"{math.exp(0.5):.4g}"), float(f"{math.exp(-0.5):.4g}"))


def test_what_is_trimmed_is_what_is_scored() -> None:
    """The dev accuracies are those of the words that are kept, not of all that have weight."""
    model = PlainModel(1)
    task = facts("R1", 12, dev=40)
    (learned,) = learn_words([model], WORDS, [[task]], SETTINGS)
    prompt = mixed(learned.prompt, model.matrix, {word: i for i, word in enumerate(WORDS)})
    assert task.dev.objects is not None
    right = [int(model.plainly(r, prompt).argmax()) == a for r, a in zip(task.dev.rows, task.dev.objects, strict=True)]
    assert learned.dev_accuracies == [sum(right) / 40]


@pytest.mark.parametrize("make", [make_model, make_causal_model])
def test_words_on_a_model_are_weighted_means_of_their_tokens(tmp_path: Path, make) -> None:
    model = load_model(resolve(str(make(tmp_path / "model"))), "cpu")
    ids = load_tokenizer(str(tmp_path / "model")).get_vocab()
    prompt = [Mixture(2.0, {"France": 0.75, "word1": 0.25}), Mixture(0.5, {"Franco": 0.6, "§": 0.2, "Japan": 0.2})]
    got = embedded(model, prompt)
    pieces = [model.matrix[ids[token]] for token in model.tokenizer.tokenize("Franco")]
    franco = sum(pieces) / len(pieces)
    first = 2 * (0.75 * model.matrix[ids["France"]] + 0.25 * model.matrix[ids["word1"]])
    second = 0.5 * (0.75 * franco + 0.25 * model.matrix[ids["Japan"]])
    torch.testing.assert_close(got.prompt, torch.stack([first, second]))
    assert (len(pieces) > 1, got.several, got.unknown) == (True, ["Franco"], ["§"])
    said = "words that are several tokens, whose mean they become: 1 (Franco); "
    assert str(got) == said + "words that are unknown and left out: 1 (§)"
    with pytest.raises(PtxError, match=r"knows none of the words of vector 2 \(§\)"):
        embedded(model, [prompt[0], Mixture(1.0, {"§": 1.0})])


def test_a_word_of_the_cache_is_one_row_to_the_bit(tiny) -> None:
    """What was scored while learning is what a file gives."""
    model = load_embeddings(resolve(tiny["a"]), "cpu")
    words = ["France", "Peru", "word7"]
    prompt = [mixture(1.3, {"France": 0.5, "word7": 0.3}), mixture(0.7, {"Peru": 1.0})]
    while_learning = mixed(prompt, model.word_embeddings(words), {word: i for i, word in enumerate(words)})
    assert torch.equal(embedded(model, prompt).prompt, while_learning)


def test_nearest_mixtures_find_what_was_mixed_and_never_subtract() -> None:
    noise = torch.Generator().manual_seed(0)
    embeddings = torch.randn(300, 64, generator=noise)
    words = [f"w{i}" for i in range(300)]
    wanted = [{"w3": 0.5, "w30": 0.3, "w200": 0.2}, {"w7": 0.6, "w8": 0.4}]
    rows = [2.5 * torch.tensor([*of.values()]) @ embeddings[[int(word[1:]) for word in of]] for of in wanted]
    for of, found in zip(wanted, nearest_mixtures(torch.stack(rows), embeddings=embeddings, words=words), strict=True):
        assert found.words == pytest.approx(of)
        assert found.scale == pytest.approx(2.5, rel=1e-3)
    (far,) = nearest_mixtures(torch.randn(1, 64, generator=noise), embeddings=embeddings, words=words)
    assert 1 <= len(far.words) <= 8
    assert min(far.words.values()) > 0
    with pytest.raises(PtxError, match="vector 1 is near to no word"):
        nearest_mixtures(torch.zeros(1, 64), embeddings=embeddings, words=words)


def test_nearest_mixtures_are_the_best_weights_of_their_words() -> None:
    noise = torch.Generator().manual_seed(1)
    embeddings, vector = torch.randn(40, 12, generator=noise), torch.randn(1, 12, generator=noise)
    (found,) = nearest_mixtures(vector, embeddings=embeddings, words=[str(i) for i in range(40)])
    chosen = [int(word) for word in found.words]
    best, _ = nnls(embeddings[chosen].double().T.numpy(), vector[0].double().numpy())
    assert [found.scale * weight for weight in found.words.values()] == pytest.approx(best, abs=1e-3)
