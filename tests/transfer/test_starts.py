"""Where prompts begin, number for number."""

from __future__ import annotations

import dataclasses
import operator
import random

import pytest
import torch

from ptx.config.tune import TuneConfig
from ptx.errors import PtxError, UsageError
from ptx.lms.embeddings import load_embeddings
from ptx.lms.lm import load_model
from ptx.lms.models import resolve
from ptx.suites import load_suite
from ptx.transfer.examples import examples
from ptx.transfer.starts import best_text, generator, initial_prompt, random_prompt, text_prompt, xavier


def fresh(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


EMBEDDINGS = 3 * torch.randn(50, 8, generator=fresh(0)) + 2
NOISE = torch.randn(4, 8, generator=fresh())


def test_random_numbers_depend_on_the_seed_and_the_task_alone() -> None:
    """And are the same on every machine: prompts are found again by their settings."""
    assert generator(3, "P19").initial_seed() == random.Random("3 P19").getrandbits(63)
    draws = {tuple(torch.randn(4, generator=generator(s, t)).tolist()) for s in (0, 1) for t in ("P19", "P20")}
    assert len(draws) == 4
    torch.manual_seed(7)
    again = torch.randn(4, generator=generator(1, "P20"))
    assert tuple(again.tolist()) in draws


@pytest.mark.parametrize(("scale", "std"), [("0.1", 0.1 * EMBEDDINGS.std().item()), ("2", 2 * EMBEDDINGS.std().item())])
def test_noise_is_a_multiple_of_the_embeddings_scale(scale: str, std: float) -> None:
    prompt = initial_prompt(EMBEDDINGS, TuneConfig(prompt_length=4, init="random", init_scale=scale), fresh())
    torch.testing.assert_close(prompt, std * NOISE)


def test_noise_of_the_paper_has_a_scale_of_its_own() -> None:
    prompt = initial_prompt(EMBEDDINGS, TuneConfig(prompt_length=4, init="random", init_scale="paper"), fresh())
    torch.testing.assert_close(prompt, 0.02 * NOISE)


def test_words_are_rows_drawn_with_replacement() -> None:
    few = EMBEDDINGS[:3]
    before = few.clone()
    prompt = initial_prompt(few, TuneConfig(prompt_length=40, init="words"), fresh())
    rows = [next(i for i in range(3) if torch.equal(vector, few[i])) for vector in prompt]
    assert rows == torch.randint(3, (40,), generator=fresh()).tolist()
    assert set(rows) == {0, 1, 2}
    prompt.zero_()
    assert torch.equal(few, before)


def test_a_random_prompt_has_the_mean_and_std_given() -> None:
    torch.testing.assert_close(random_prompt(4, 8, (3.0, 0.5), fresh()), 3.0 + 0.5 * NOISE)
    many = random_prompt(300, 100, (3.0, 0.5), fresh())
    assert many.mean().item() == pytest.approx(3.0, abs=0.02)
    assert many.std().item() == pytest.approx(0.5, abs=0.02)


def test_xavier_has_the_variance_of_its_name() -> None:
    torch.testing.assert_close(xavier(4, 8, fresh()), NOISE * (2 / 12) ** 0.5)


@pytest.mark.parametrize("name", ["bert-micro", "roberta-micro", "albert-micro", "gpt2-micro"])
def test_a_text_ends_where_the_prompt_ends(name: str) -> None:
    """Its tokens are those that it has in a sentence; a short one comes again from its beginning."""
    model = load_embeddings(resolve(name), "cpu")
    known = model.words(["born", "in", "the", "country"])
    for text, m, wanted in (
        ("born in", 5, "in born in born in"), ("the country", 2, "the country"),
        ("born in the country", 3, "in the country"),
    ):  # fmt: skip
        assert torch.equal(text_prompt(model, text, m), model.matrix[[known[word] for word in wanted.split()]])
    prompt = text_prompt(model, "born in", 2)
    prompt += 1
    assert not torch.equal(prompt, text_prompt(model, "born in", 2))  # the model's own embeddings stay


def test_a_text_without_tokens_is_refused() -> None:
    model = load_embeddings(resolve("bert-micro"), "cpu")
    with pytest.raises(PtxError, match="the tokenizer of bert-micro finds nothing in"):
        text_prompt(model, "\u200b", 3)
    with pytest.raises(UsageError, match="--init text: is followed by no text"):
        TuneConfig(init="text: ")


def test_the_text_behind_which_most_train_facts_are_answered(tiny, suite) -> None:
    """Against sentences in plain words, read one by one: the tokens of these models are words, and what they answer
    behind some texts is taken for right."""
    model = load_model(resolve(tiny["a"]), "cpu")
    task = load_suite(suite).tasks[0]
    found = examples(model, task, TuneConfig())
    assert len(found.train) == len(task.splits["train"]) == 24
    texts = [f"word{i} word{i + 1}" for i in range(0, 40, 2)]

    def said(text: str) -> list[int]:
        ends = " ".join((text.split() * 5)[-5:])
        answers = []
        for fact in task.splits["train"]:
            ids = model.tokenizer(f"{fact.subject} {ends} {model.tokenizer.mask_token} .", return_tensors="pt")
            with torch.no_grad():
                logits = model.network(**ids).logits[0]
            answers.append(int(logits[ids["input_ids"][0] == model.tokenizer.mask_token_id].argmax()))
        return answers

    every = {text: said(text) for text in texts}
    right = [*every[texts[4]][:10], *every[texts[7]][10:]]
    asked = dataclasses.replace(found, train=[(row, a) for (row, _), a in zip(found.train, right, strict=True)])
    counts = {text: sum(map(operator.eq, of, right)) for text, of in every.items()}
    assert best_text(model, texts, 5, asked) == max(texts, key=lambda text: counts[text])
    del every[texts[7]]
    assert best_text(model, list(every), 5, asked) == max(every, key=lambda text: counts[text])


def test_texts_that_a_model_cannot_read_are_left_out(tiny, suite) -> None:
    model = load_model(resolve(tiny["a"]), "cpu")
    found = examples(model, load_suite(suite).tasks[0], TuneConfig())
    assert best_text(model, ["日", "word1", "日 word2"], 5, found) == "word1"
    assert best_text(model, ["日", "日 日"], 5, found) == "日"
