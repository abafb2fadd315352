"""Shared words, their order and their account, from vocabularies written out."""

from __future__ import annotations

import random

import pytest
from conftest import SPECIAL, make_tokenizer
from transformers import BertTokenizer

from ptx.errors import PtxError
from ptx.transfer.words import account, choose, common_words, known_words, shared_words

CASED = ["May", "Paris", "the", "The", "may", "Lima"]
UNCASED = ["the", "may", "paris", "oslo"]


def uncased() -> BertTokenizer:
    return BertTokenizer(vocab={token: i for i, token in enumerate([*SPECIAL, *UNCASED])})


def longer(words: dict[str, int]) -> dict[str, int]:
    """Words of more than one letter: every letter is a token of the cased vocabulary."""
    return {word: i for word, i in words.items() if len(word) > 1}


def test_words_that_count_for_each_tokenizer() -> None:
    """Its own, and those of others that it reads as one token."""
    cased, other = known_words([make_tokenizer(CASED), uncased()])
    assert longer(cased) == {word: len(SPECIAL) + i for i, word in enumerate(CASED)}
    numbers = {word: len(SPECIAL) + i for i, word in enumerate(UNCASED)}
    assert longer(other) == numbers | {word: numbers[word.lower()] for word in ("May", "Paris", "The")}
    assert [*other][:4] == UNCASED


def test_only_words_that_are_asked_for() -> None:
    asked = ["Paris", "paris", "Oslo", "may"]
    cased, other = known_words([make_tokenizer(CASED), uncased()], asked)
    assert cased == {"Paris": 6, "may": 9}
    assert other == {"Paris": 7, "paris": 7, "Oslo": 8, "may": 6}
    assert shared_words([make_tokenizer(CASED), uncased()], asked) == ["Paris", "may"]  # ranks 0 + 1, 1 + 0


def test_the_mean_rank_orders_words() -> None:
    """Ranks count shared words only; words of one rank stand in the alphabet's order."""
    one = {"x": 0, "a": 10, "b": 20, "c": 30, "d": 40}
    other = {"d": 1, "c": 2, "a": 3, "b": 4, "y": 5}
    # Ranks: a 0 + 2, b 1 + 3, c 2 + 1, d 3 + 0.
    assert common_words([one, other]) == ["a", "c", "d", "b"]
    assert common_words([other, one]) == ["a", "c", "d", "b"]
    assert common_words([one]) == ["x", "a", "b", "c", "d"]
    assert common_words([one, other, {"b": 0, "d": 900}]) == ["b", "d"]
    assert common_words([one, {"z": 1}]) == []


def test_of_words_with_one_token_in_any_model_the_first_stays() -> None:
    one = {"A": 0, "a": 1, "b": 2, "B": 3, "c": 4}
    other = {"A": 7, "a": 7, "b": 9, "B": 9, "c": 8}
    assert common_words([one, other]) == ["A", "b", "c"]
    assert common_words([other, one]) == ["A", "b", "c"]
    chain = {"A": 5, "a": 6, "b": 6, "B": 8, "c": 4}  # of "a" and "b" one, of "A" and "a" one
    assert common_words([other, chain]) == ["A", "c", "b"]


def test_what_is_left_out_is_accounted_for() -> None:
    """Three models; each lacks what both others share."""
    tokenizers = [make_tokenizer(words) for words in (["Peru"], ["Peru", "Chad"], ["Peru", "Chad", "Cuba"])]
    known = [
        {"A": 0, "a": 1, "b": 2, "c": 3},
        {"A": 0, "a": 0, "b": 2, "d": 3},
        {"A": 0, "a": 1, "c": 3, "d": 2, "e": 4},
    ]
    found = account(["one", "two", "three"], tokenizers, known)
    assert found == {
        "vocabularies": [
            {"model": "one", "tokens": len(tokenizers[0]), "words": 4, "lacks": 1},
            {"model": "two", "tokens": len(tokenizers[1]), "words": 3, "lacks": 1},
            {"model": "three", "tokens": len(tokenizers[2]), "words": 5, "lacks": 1},
        ],
        "pairs": [["one", "two", 2], ["one", "three", 3], ["two", "three", 2]],
        "same_token": 1,
    }
    assert len({len(tokenizer) for tokenizer in tokenizers}) == 3
    alone = account(["two"], tokenizers[1:2], known[1:2])
    assert alone["vocabularies"] == [{"model": "two", "tokens": len(tokenizers[1]), "words": 3, "lacks": 0}]
    assert (alone["pairs"], alone["same_token"]) == ([], 1)


def test_what_one_model_lacks_of_all_others() -> None:
    known = [{"a": 0}, {"a": 0, "b": 1, "c": 2, "d": 3}, {"b": 1, "c": 2, "e": 4}]
    figures = account(["one", "two", "three"], [make_tokenizer([])] * 3, known)
    assert [of["lacks"] for of in figures["vocabularies"]] == [2, 0, 1]


WORDS = [f"w{i}" for i in range(20)]


def test_anchors_are_the_first_words_or_a_draw_in_their_order() -> None:
    assert choose(WORDS, count=4, order="rank", seed=0) == ["w0", "w1", "w2", "w3"]
    assert choose(WORDS, count=20, order="rank", seed=0) == WORDS
    assert choose(WORDS, count=20, order="random", seed=0) == WORDS
    assert choose(WORDS, count=1, order="rank", seed=0) == ["w0"]
    for seed in (0, 1):
        drawn = sorted(random.Random(seed).sample(range(20), 6))
        assert choose(WORDS, count=6, order="random", seed=seed) == [f"w{i}" for i in drawn]
    assert choose(WORDS, count=6, order="random", seed=0) != choose(WORDS, count=6, order="random", seed=1)


@pytest.mark.parametrize("count", [-1, 0, 21])
@pytest.mark.parametrize("order", ["rank", "random"])
def test_more_anchors_than_words_are_refused(count: int, order: str) -> None:
    with pytest.raises(PtxError, match=f"{count} anchors of 20 shared words") as raised:
        choose(WORDS, count=count, order=order, seed=0)
    assert raised.value.hint == "choose --count between 1 and 20"
