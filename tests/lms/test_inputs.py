from __future__ import annotations

from typing import Any

import pytest
from conftest import FILLER, SUBJECTS, make_causal_tokenizer, make_tokenizer

from ptx.errors import PtxError
from ptx.lms.embeddings import load_tokenizer
from ptx.lms.inputs import collate, rows, subject_tokens
from ptx.lms.models import resolve
from ptx.lms.template import LAYOUTS
from ptx.suites import load_suite

TOKENIZER = make_tokenizer([*SUBJECTS, *FILLER])
CAUSAL = make_causal_tokenizer([*SUBJECTS, *FILLER])


def spelled(
    template: str, subject: str, prompt_length: int = 3, max_length: int = 32
) -> tuple[list[str], int | None, int]:
    (row,) = rows(TOKENIZER, template, [subject], prompt_length=prompt_length, max_length=max_length)
    return list(TOKENIZER.convert_ids_to_tokens(list(row.ids))), row.prompt_at, row.answer_at


def test_postfix() -> None:
    tokens, prompt_at, answer_at = spelled(LAYOUTS["postfix"], "name3 name4")
    assert tokens == ["[CLS]", "name3", "name4", *["[PAD]"] * 3, "[MASK]", ".", "[SEP]"]
    assert (prompt_at, answer_at) == (3, 6)


def test_prefix() -> None:
    tokens, prompt_at, answer_at = spelled(LAYOUTS["prefix"], "name3")
    assert tokens == ["[CLS]", *["[PAD]"] * 3, "name3", "[MASK]", ".", "[SEP]"]
    assert (prompt_at, answer_at) == (1, 5)


def test_manual_template_has_no_prompt() -> None:
    tokens, prompt_at, answer_at = spelled("word1 [X] word2 word3 [Y] .", "name3")
    assert tokens == ["[CLS]", "word1", "name3", "word2", "word3", "[MASK]", ".", "[SEP]"]
    assert (prompt_at, answer_at) == (None, 5)


def test_a_long_subject_loses_its_end() -> None:
    tokens, prompt_at, answer_at = spelled(LAYOUTS["postfix"], "name1 " * 50, max_length=10)
    assert tokens == ["[CLS]", *["name1"] * 3, *["[PAD]"] * 3, "[MASK]", ".", "[SEP]"]
    assert (prompt_at, answer_at) == (4, 7)


def test_a_prompt_without_room_is_refused() -> None:
    with pytest.raises(PtxError, match="30 vectors leaves no room"):
        rows(TOKENIZER, LAYOUTS["postfix"], ["name1"], prompt_length=30, max_length=32)


def test_a_template_without_an_answer_is_refused() -> None:
    with pytest.raises(PtxError, match="one \\[X\\] and one \\[Y\\]"):
        rows(TOKENIZER, "[X] is .", ["name1"], prompt_length=0, max_length=32)


def test_collate_pads_on_the_right() -> None:
    made = rows(TOKENIZER, LAYOUTS["postfix"], ["name1", "name1 name2"], prompt_length=2, max_length=32)
    batch = collate(made, pad_id=0)
    assert batch.ids.shape == (2, 8)
    assert batch.attention.sum(1).tolist() == [7, 8]
    assert batch.prompt_at.tolist() == [2, 3]
    assert batch.answer_at.tolist() == [4, 5]


def causal(template: str, subject: str, prompt_length: int = 2) -> tuple[list[str], int | None, int]:
    (row,) = rows(CAUSAL, template, [subject], prompt_length=prompt_length, max_length=32, causal=True)
    return list(CAUSAL.convert_ids_to_tokens(list(row.ids))), row.prompt_at, row.answer_at


def test_a_causal_input_ends_before_its_answer() -> None:
    hole = ["<|endoftext|>"] * 2
    assert causal(LAYOUTS["postfix"], "name3") == (["name3", *hole], 1, 2)
    assert causal(LAYOUTS["prefix"], "name3") == ([*hole, "name3"], 0, 2)
    assert causal("word1 [X] word2 [Y] .", "name3", 0) == (["word1", "name3", "word2"], None, 2)


def test_a_causal_lm_cannot_read_a_template_that_ends_in_the_subject() -> None:
    with pytest.raises(PtxError, match="the answer comes before the subject"):
        causal("[Y] word1 [X] .", "name3")


def test_what_is_refused_is_said_by_place_and_length() -> None:
    def refuse(number: int, length: int) -> PtxError:
        return PtxError(f"{number} {length}", "")

    with pytest.raises(PtxError, match="1 31"):
        rows(TOKENIZER, LAYOUTS["postfix"], ["name1", "name2 " * 31], prompt_length=2, max_length=32, refuse=refuse)


MARKS = ["[MASK]", "<mask>", "[SEP]", "</s>", "<|endoftext|>", "[X]", "[V]", "[Y]", "x[MASK]y [MASK] <pad>"]


@pytest.mark.parametrize("name", ["bert-micro", "roberta-micro", "albert-micro", "gpt2-micro"])
def test_a_special_tokens_text_in_a_subject_is_letters(name: str) -> None:
    tokenizer = load_tokenizer(resolve(name).path)
    causal = name.startswith("gpt2")
    options: dict[str, Any] = {"prompt_length": 3, "max_length": 32, "causal": causal}
    (plain,) = rows(tokenizer, LAYOUTS["postfix"], ["Rome"], **options)
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    for mark in MARKS:
        (row,) = rows(tokenizer, LAYOUTS["postfix"], [mark], **options)
        assert sum(i in special for i in row.ids) == sum(i in special for i in plain.ids), mark
        assert row.prompt_at is not None
        assert row.answer_at == row.prompt_at + 3 - causal
        if not causal:
            assert [i for i, token in enumerate(row.ids) if token == tokenizer.mask_token_id] == [row.answer_at]


@pytest.mark.parametrize("name", ["bert-micro", "roberta-micro", "albert-micro", "gpt2-micro"])
def test_other_subjects_are_spelled_as_ever(name: str) -> None:
    tokenizer = load_tokenizer(resolve(name).path)
    subjects = [f" {fact.subject}" for task in load_suite("facts").tasks for fact in task.splits["test"]]
    subjects += [" \u05e9\u05dc\u05d5\u05dd", " e\u0301tude \U0001f469\u200d\U0001f680", " [brackets] and <tags>"]
    assert subject_tokens(tokenizer, subjects) == tokenizer(subjects, add_special_tokens=False)["input_ids"]
