"""Tokens of two models matched by letters, and what tuning added to a text, moved: against loops and identities."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import COUNTRIES, FILLER, SUBJECTS, make_causal_model, make_model
from hypothesis import given
from hypothesis import strategies as st

from ptx.errors import PtxError
from ptx.lms.embeddings import load_embeddings
from ptx.lms.models import resolve
from ptx.transfer.residual import matched, moved, placed, scale, shares, tokens_of
from ptx.transfer.target import TargetAnchors

TEXT = "word1 word2 word3"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model that knows the text's words as one token each."""
    return load_embeddings(resolve(str(make_model(tmp_path_factory.mktemp("whole"), seed=1))), "cpu")


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One that spells word2 in five letters."""
    words = [word for word in [*COUNTRIES, *FILLER, *SUBJECTS] if word != "word2"]
    return load_embeddings(resolve(str(make_model(tmp_path_factory.mktemp("pieces"), width=8, words=words))), "cpu")


def cuts(text: str, places: set[int]) -> list[tuple[int, int]]:
    ends = sorted({0, len(text), *places})
    return [*itertools.pairwise(ends)]


@given(st.sets(st.integers(1, 11)), st.sets(st.integers(1, 11)))
def test_shares_are_counted_letter_by_letter(one: set[int], other: set[int]) -> None:
    target, source = cuts("a" * 12, one), cuts("a" * 12, other)
    wanted = torch.zeros(len(target), len(source), dtype=torch.float64)
    for i, (start, end) in enumerate(target):
        for letter in range(start, end):
            (j,) = [j for j, (first, last) in enumerate(source) if first <= letter < last]
            wanted[i, j] += 1 / (end - start)
    torch.testing.assert_close(shares(target, source), wanted)


def test_a_token_without_letters_goes_with_the_nearest() -> None:
    assert shares([(0, 0), (0, 3), (8, 8)], [(0, 3), (3, 8)]).tolist() == [[1, 0], [1, 0], [0, 1]]


def test_spaces_do_not_count(whole: Any, pieces: Any, tmp_path: Path) -> None:
    assert tokens_of(whole.tokenizer, TEXT)[1:] == ([(0, 5), (5, 10), (10, 15)], 15)
    assert tokens_of(pieces.tokenizer, TEXT)[1] == [(0, 5), *((i, i + 1) for i in range(5, 10)), (10, 15)]
    causal = load_embeddings(resolve(str(make_causal_model(tmp_path))), "cpu")
    assert tokens_of(causal.tokenizer, " word1  word2")[1:] == ([(0, 5), (5, 10)], 10)


def test_slow_tokenizers_are_read_by_what_their_tokens_spell(whole: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = tokens_of(whole.tokenizer, TEXT)
    monkeypatch.setattr(type(whole.tokenizer), "is_fast", False)
    assert tokens_of(whole.tokenizer, TEXT) == wanted


@pytest.mark.parametrize("n", [3, 2, 1, 4, 5, 7])
def test_the_target_has_the_text_once(whole: Any, pieces: Any, n: int) -> None:
    """Of more vectors than the text has tokens the last ones count; what fewer do not reach stays text."""
    known = {word: tokens_of(pieces.tokenizer, f"word{word}")[0] for word in "123"}
    words = "123"[-n:]
    ids, (share,) = placed(TEXT, [(whole, n, TEXT)], pieces)
    assert ids == [token for word in "123" for token in known[word]]
    wanted = torch.zeros(len(ids), n, dtype=torch.float64)
    for i, word in enumerate([own for own in "123" for _ in known[own]]):
        if word in words:
            wanted[i, n - len(words) + words.index(word)] = 1
    assert torch.equal(share, wanted)


def test_tokens_that_are_one_in_the_target_are_averaged(whole: Any, pieces: Any) -> None:
    ids, (share,) = placed(TEXT, [(pieces, 7, TEXT)], whole)
    assert ids == tokens_of(whole.tokenizer, TEXT)[0]
    wanted = [[1, *[0] * 6], [0, *[1 / 5] * 5, 0], [*[0] * 6, 1]]
    torch.testing.assert_close(share, torch.tensor(wanted, dtype=torch.float64))


def test_of_several_sources_each_has_its_own_shares(whole: Any) -> None:
    _, (short, long) = placed(TEXT, [(whole, 1, TEXT), (whole, 3, TEXT)], whole)
    assert short.tolist() == [[0], [0], [1]]
    assert torch.equal(long, torch.eye(3, dtype=torch.float64))


# What of which word (the source's, below) goes into each word of the target's text.
TEXTS = {
    "word1 word2 word3": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "word1 word2": [[1, 0, 0], [0, 1, 0]],  # the source has more at the end: nobody wants it
    "word0 word1 word2 word3": [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]],  # what it lacks stays text
    "word1 word9 word3": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],  # between words of both
    "word1 word8 word9 word3": [[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]],  # one stretched over two
    "word3 word4": [[0, 0, 1], [0, 0, 0]],
    "word5": [[1 / 3, 1 / 3, 1 / 3]],  # no word in common: all of the one for all of the other
    "word6 word7": [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]],
}


@pytest.mark.parametrize("text", TEXTS)
def test_another_text_is_matched_by_its_words(whole: Any, pieces: Any, text: str) -> None:
    ids, (share,) = placed(text, [(whole, 3, TEXT)], whole)
    assert ids == tokens_of(whole.tokenizer, text)[0]
    wanted = torch.tensor(TEXTS[text], dtype=torch.float64)
    torch.testing.assert_close(share, wanted)
    _, (spelled,) = placed(text, [(pieces, 7, TEXT)], whole)  # word2 in letters
    torch.testing.assert_close(spelled[:, 1:6].sum(-1), wanted[:, 1])
    torch.testing.assert_close(spelled[:, [0, 6]], wanted[:, [0, 2]])


def test_vectors_that_began_with_a_part_of_the_text_reach_no_further(whole: Any) -> None:
    _, (share,) = placed("word1 word2 word4 word3", [(whole, 1, TEXT)], whole)
    assert share.tolist() == [[0], [0], [0], [1]]


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6), st.lists(st.sampled_from("abcdef"), max_size=6))
def test_parts_cover_both_texts(one: list[str], other: list[str]) -> None:
    """In order and without gaps, and parts of equal words are these."""
    names = {letter: letter * (i + 1) for i, letter in enumerate("abcdef")}
    source, target = (" ".join(names[letter] for letter in of) for of in (one, other))
    whole = [text.replace(" ", "") for text in (source, target)]
    parts = matched(source, target)
    assert "".join(whole[0][a:b] for a, b, _, _ in parts) == whole[0]
    assert "".join(whole[1][c:d] for _, _, c, d in parts) == whole[1]
    same = sum(b - a for a, b, c, d in parts if whole[0][a:b] == whole[1][c:d])
    assert (same == len(whole[0]) == len(whole[1])) == (one == other)


def test_a_text_of_nothing_is_refused(whole: Any, pieces: Any) -> None:
    with pytest.raises(PtxError, match="finds nothing in ' '"):
        placed(TEXT, [(pieces, 2, TEXT), (whole, 2, " ")], pieces)
    with pytest.raises(PtxError, match="finds nothing in ' '"):
        placed(" ", [(whole, 2, TEXT)], pieces)


def test_between_equal_models_a_difference_stays_what_it_is(whole: Any) -> None:
    """The relative map of a model to itself is the identity, and so is the scale."""
    words = whole.word_embeddings([*COUNTRIES, *FILLER])
    differences = torch.randn(4, 16, generator=torch.Generator().manual_seed(0))
    got = moved(differences, source=words, anchors=TargetAnchors(words))
    torch.testing.assert_close(got, differences.double())
    assert scale(words, words) == 1
    assert scale(words, -3 * words + 2) == pytest.approx(3, rel=1e-5)
    assert moved(torch.zeros(1, 16), source=words, anchors=TargetAnchors(words)).tolist() == [[0] * 16]


def test_a_rotated_model_gets_rotated_differences(whole: Any) -> None:
    """Cosines do not change when all turns; with half of the anchors masked, neither."""
    words = whole.word_embeddings([*COUNTRIES, *FILLER])
    turn = torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(1))).Q
    differences = torch.randn(4, 16, generator=torch.Generator().manual_seed(2))
    for top_k in ("all", 40):
        got = moved(differences, source=words, anchors=TargetAnchors(words @ turn), top_k=top_k)
        torch.testing.assert_close(got.float(), differences @ turn, rtol=1e-4, atol=1e-4)
