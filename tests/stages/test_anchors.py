"""Which words models share, across kinds of vocabularies, and the account of what is left out."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import COUNTRIES, FILLER, SPECIAL, SUBJECTS, Result, make_tokenizer
from families import ROBERTA, WHOLE, byte_fallback, byte_level, make, tiktoken_style, unigram, wordpiece
from transformers import BertTokenizer, RobertaTokenizer, XLMRobertaTokenizer

from ptx.lms.embeddings import lead, load_tokenizer, one_token_words, vocabulary_words
from ptx.lms.known import zoo
from ptx.lms.models import resolve
from ptx.transfer.words import account, common_words, known_words, shared_words

KINDS = {
    "wordpiece": wordpiece(),
    "byte-level BPE": byte_level(RobertaTokenizer, ROBERTA),
    "unigram": unigram(XLMRobertaTokenizer, ROBERTA),
    "byte fallback": byte_fallback(),
    "tiktoken": tiktoken_style(),
}
UNCASED = wordpiece(lower=True)


@pytest.mark.parametrize(("a", "b"), [*itertools.combinations(KINDS, 2)])
def test_words_are_found_by_their_spelling(a: str, b: str) -> None:
    """Whatever the vocabularies write before or inside a token: ##, Ġ, ▁."""
    shared = shared_words([KINDS[a], KINDS[b]])
    assert set(WHOLE) <= set(shared)
    for tokenizer in (KINDS[a], KINDS[b]):
        ids = one_token_words(tokenizer, shared)
        for word in shared:
            sentence = tokenizer(f"the {word} the", add_special_tokens=False)["input_ids"]
            assert ids[word] in sentence
            assert tokenizer.decode([ids[word]]).strip() == word


def test_the_order_of_models_does_not_matter() -> None:
    for a, b in itertools.combinations([*KINDS.values(), UNCASED], 2):
        assert shared_words([a, b]) == shared_words([b, a])


@pytest.mark.parametrize("kind", KINDS)
def test_an_uncased_model_shares_words_with_a_cased_one(kind: str) -> None:
    """The word France is one of both: the uncased model reads it as france, a spelling that the cased one lacks."""
    shared = set(shared_words([KINDS[kind], UNCASED]))
    assert set(COUNTRIES) <= shared
    assert not {country.lower() for country in COUNTRIES} & shared
    assert one_token_words(UNCASED, ["France", "france"]) == {
        word: UNCASED.convert_tokens_to_ids("france") for word in ("France", "france")
    }


def test_of_two_words_that_are_one_token_the_more_frequent_stays() -> None:
    cased = make_tokenizer(["May", "Paris", "the", "The", "may"])
    uncased = BertTokenizer(vocab={token: i for i, token in enumerate([*SPECIAL, "the", "may", "paris"])})
    known = known_words([cased, uncased])
    assert {"May", "may", "The", "the", "Paris"} <= known[1].keys()
    assert set(common_words(known)) == {"May", "the", "Paris"}
    figures = account(["cased", "uncased"], [cased, uncased], known)
    assert figures["same_token"] == 2
    assert figures["pairs"] == [["cased", "uncased", 3]]
    assert [of["words"] for of in figures["vocabularies"]] == [len(vocabulary_words(t)) for t in (cased, uncased)]


def test_accents_that_a_model_takes_away() -> None:
    plain = BertTokenizer(vocab={t: i for i, t in enumerate([*SPECIAL, "peru"])})
    assert shared_words([make_tokenizer(["Perú", "Lima"]), plain]) == ["Perú"]


def test_what_is_no_word() -> None:
    """Pieces, special tokens, bytes, and words that are known only as the unknown token."""
    for tokenizer in (*KINDS.values(), UNCASED):
        words = vocabulary_words(tokenizer)
        assert not [w for w in words if w.startswith(("##", "Ġ", "▁", "<", "[")) or "�" in w]
        assert not set(words.values()) & set(tokenizer.all_special_ids)
    assert "Atlantis" not in one_token_words(wordpiece(), ["Atlantis"])
    nameless = make_tokenizer(["Peru"])
    nameless.unk_token = None  # the vocabulary still has it
    assert one_token_words(nameless, ["Ω", "Peru"]).keys() == {"Peru"}


def test_what_stands_before_a_word() -> None:
    assert {kind: lead(tokenizer) for kind, tokenizer in KINDS.items()} == {
        "wordpiece": " ", "byte-level BPE": " ", "unigram": " ", "byte fallback": "", "tiktoken": " ",
    }  # fmt: skip


def test_the_embedded_models_share_what_is_spelled_alike() -> None:
    """Cased vocabularies: exactly the words that are one token in each and spelled alike."""
    tokenizers = [load_tokenizer(resolve(name).path) for name in zoo() if name.endswith("micro")]
    shared = shared_words(tokenizers)
    by_hand = set.intersection(*(set(vocabulary_words(tokenizer)) for tokenizer in tokenizers))
    assert set(shared) == by_hand
    assert len(shared) == 3745


def test_the_account_on_stderr_and_in_json(ptx: Callable[..., Result], tmp_path: Path) -> None:
    one, two = make("bert-cased", tmp_path / "one"), make("bert-uncased", tmp_path / "two")
    command = ["anchors", "--models", f"{one},{two}"]
    for _ in range(2):  # built, then found in the cache
        result = ptx(*command)
        assert "it alone lacks" in result.err
        assert "it alone lacks" not in result.out
        assert "left out:" in result.err
    (line,) = ptx(*command, "--json").lines
    ((a, b, count),) = line["pairs"]
    assert (a, b, count) == (str(one), str(two), line["count"])
    assert line["same_token"] > 0
    cased, uncased = line["vocabularies"]
    assert cased["words"] > uncased["words"] >= line["count"]
    assert line["count"] + uncased["lacks"] <= cased["words"]
    assert ptx(*command, "-q").err == ""
    counted = ptx(*command, "--count", "9", "--json").lines
    assert [x["count"] for x in counted] == [line["count"], 9]
    assert "with 1" in ptx(*command, "--count", "9").err
    meta = json.loads((Path(line["path"]) / "meta.json").read_text())
    assert meta["payload"].keys() == {"words.csv"}


def test_a_file_of_words(ptx: Callable[..., Result], tmp_path: Path) -> None:
    folder = make("bert-uncased", tmp_path / "one")
    words = tmp_path / "words.txt"
    words.write_text("\n".join(["France", "france", "Atlantis", *WHOLE, FILLER[0], SUBJECTS[0]]))
    result = ptx("encode", "--model", folder, "--anchors", words, "--tasks", "P103", "--json", "--dry-run")
    assert result.code == 0, result.err
    known = known_words([load_tokenizer(str(folder))], words.read_text().split())
    assert set(common_words(known)) == {"France", *WHOLE}


def test_a_list_that_is_kept_as_it_is(ptx: Callable[..., Result], tmp_path: Path) -> None:
    """For an uncased model France and france are one token: both anchors are it, and an answer that is it counts."""
    folder = make("bert-uncased", tmp_path / "one")
    words = tmp_path / "words.txt"
    words.write_text("\n".join(["france", "France", "Atlantis", *WHOLE]))
    facts = tmp_path / "facts.csv"
    lines = [
        f"{s},{o},is,{split}\n" for split in ("train", "dev", "test") for s, o in zip(SUBJECTS, WHOLE, strict=False)
    ]
    lines += [f"{SUBJECTS[0]},{o},is,test\n" for o in ("france", "France")]
    facts.write_text("sub_label,obj_label,task,split\n" + "".join(lines))
    args = ["eval", "--sources", folder, "--target", folder, "--suite", facts, "--epochs", "1", "--anchors", words]
    ruled, kept = ptx(*args, "--json"), ptx(*args, "--keep-words", "--json")
    assert (ruled.code, kept.code) == (0, 0), kept.err
    one, other = ruled.at("anchors")[0], kept.at("anchors")[0]
    shared = {"france", "France", *WHOLE}
    assert (one["given"], one["dropped"], one["count"]) == (len(shared) + 1, 2, len(shared) - 1)
    assert (other["dropped"], other["count"], other["same_token"]) == (1, len(shared), 0)
    assert one["key"] != other["key"]
    assert "words.txt: 1 of " in ptx(*args, "--keep-words").err
    assert "or has as that of another; see --keep-words" in ptx(*args).err
    rows = {}
    for name, result in (("ruled", ruled), ("kept", kept)):
        (line,) = result.at("eval")
        rows[name] = [json.loads(x) for x in (Path(line["path"]) / "predictions.jsonl").read_text().splitlines()]
        assert line["facts"] == len(rows[name])
    same = [row for row in rows["kept"] if row["subject"] == SUBJECTS[0] and row["object"].lower() == "france"]
    assert [row["object"] for row in same].count("france") == 1
    assert len(rows["kept"]) == len(rows["ruled"]) + 1  # the fact of the other spelling
    assert len({(row["rank"], row["predicted"], row["probability"]) for row in same}) == 1
    check = ["data", "check", facts, "--models", folder, "--anchors", words, "--json"]
    dropped = [sum(row["dropped"] for row in ptx(*check, *more).lines) for more in ([], ["--keep-words"])]
    assert dropped == [1, 0]
