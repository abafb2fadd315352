"""Templates are read as they are written: against each kind of tokenizer's own reading of the whole text."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from conftest import Result, make_model, make_tokenizer
from families import CAUSAL, FAMILIES, TEXT, WHOLE, byte_level, make
from transformers import AddedToken, AutoConfig, AutoModelForMaskedLM, RobertaTokenizer

from ptx.errors import PtxError
from ptx.lms.embeddings import one_token_words
from ptx.lms.frames import added_frame
from ptx.lms.inputs import rows
from ptx.lms.lm import load_model
from ptx.lms.models import resolve
from ptx.lms.template import IN_A_SENTENCE, Context, context_of, is_plain
from ptx.lms.wording import of_kind, wordings, words_of

Run = Callable[..., Result]
SUBJECTS = ["Peru", "the old king", "North sea island", "it's", "a-b"]
PLAIN = ["[X] lives near the [Y] .", "the [X] is [Y]", "music of [X] in the [Y] city ."]
ODD = [
    "[X]vik is in [Y] .", "the [X]'s city is [Y].", "[X], near [Y], is old .", "Q: [X]\nA: [Y]", "Q: [X]\n\nA:\n[Y]",
    '[X] is "[Y]" .', "([X]) is in [Y]-land", "the  [X]  is  [Y]", "[X]: [Y]!", "the [X]-[Y] war", "[X][Y]",
    " [X] lives in [Y] . ",
]  # fmt: skip
FIRST = ["[Y] is near [X] .", "[Y]: [X]", '"[Y]" is in [X].', "([Y]) [X]"]


@functools.cache
def tokenizer_of(name: str) -> Any:
    """As published: RoBERTa's, BART's and DeBERTa's masks take the space before them."""
    tokenizer = FAMILIES[name][2]()
    if tokenizer.mask_token is not None:
        tokenizer.add_special_tokens({"mask_token": AddedToken(tokenizer.mask_token, lstrip=True, special=True)})
    return tokenizer


def blank_of(tokenizer: Any, name: str) -> str | None:
    return None if name in CAUSAL else "<extra_id_0>" if name.startswith("t5") else tokenizer.mask_token


@pytest.mark.parametrize("template", [*PLAIN, *ODD, *FIRST])
@pytest.mark.parametrize("name", FAMILIES)
def test_the_input_is_what_the_tokenizer_makes_of_the_whole_text(name: str, template: str) -> None:
    tokenizer = tokenizer_of(name)
    blank = blank_of(tokenizer, name)
    if blank is None and template in FIRST:
        with pytest.raises(PtxError, match="the answer comes before the subject"):
            rows(tokenizer, template, SUBJECTS, prompt_length=0, max_length=64, causal=True)
        return
    token = None if blank is None else tokenizer.convert_tokens_to_ids(blank)
    made = rows(tokenizer, template, SUBJECTS, prompt_length=0, max_length=64, causal=blank is None, blank=token)
    for row, subject in zip(made, SUBJECTS, strict=True):
        if blank is None:
            text = template[: template.index("[Y]")].replace("[X]", subject).removesuffix(" ")
            whole = tokenizer(text)["input_ids"]
            if name == "ettin-decoder":  # whose tokenizer ends texts as an encoder's does, where the answer is to stand
                assert whole.pop() == tokenizer.sep_token_id
            assert row.answer_at == len(whole) - 1
        else:
            text = template.replace("[X]", subject)
            # T5's sentinels drop the space before them when they are published, and here it is a token.
            text = text.replace(" [Y]", "[Y]") if name.startswith("t5") else text
            whole = tokenizer(text.replace("[Y]", blank))["input_ids"]
            assert row.ids[row.answer_at] == token
        assert list(row.ids) == whole
        assert row.prompt_at is None


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in CAUSAL])
def test_a_blank_stands_for_the_answers_token(name: str) -> None:
    """The input is that of the text with the answer in it, with the answer's one token replaced."""
    tokenizer = tokenizer_of(name)
    blank = tokenizer.convert_tokens_to_ids(blank_of(tokenizer, name))
    for template in [*PLAIN, "[Y] is near [X] .", "the [X] 's city is [Y]", '[X] is "[Y]']:
        context = context_of(template)
        known = one_token_words(tokenizer, WHOLE, context)
        (row,) = rows(tokenizer, template, ["the king"], prompt_length=0, max_length=64, blank=blank)
        for word, token in known.items():
            whole = tokenizer(template.replace("[X]", "the king").replace("[Y]", word))["input_ids"]
            assert [blank if i == row.answer_at else t for i, t in enumerate(whole)] == list(row.ids)
            assert whole[row.answer_at] == token


@pytest.mark.parametrize("name", FAMILIES)
def test_an_answer_is_the_token_that_it_is_at_its_place(name: str) -> None:
    """A word counts if the text with it has one token more than, and begins as, the text up to it."""
    tokenizer = tokenizer_of(name)
    encode = functools.partial(tokenizer.encode, add_special_tokens=False)
    for template, before in [
        ("[X] is [Y]", "it is"),
        ('[X] is "[Y]', 'it is "'),
        ("the [X]-[Y]", "the it-"),
        ("[Y] of [X]", ""),
        ("[X]\n[Y]", "it\n"),
    ]:
        context = context_of(template)
        known = one_token_words(tokenizer, WHOLE, context._replace(behind=""))
        begun = encode(before) if before else []
        text = f"{before} " if template == "[X] is [Y]" else before
        for word in WHOLE:
            ids = encode(text + word)
            one = ids[: len(begun)] == begun and len(ids) == len(begun) + 1
            if one and tokenizer.convert_tokens_to_string(tokenizer.convert_ids_to_tokens(ids[-1:])).strip() != "":
                one = ids[-1] not in tokenizer.all_special_ids
            assert (word in known) == one
            if one:
                assert known[word] == ids[-1]


def test_contexts() -> None:
    assert context_of("[X] is in [Y] .") == IN_A_SENTENCE == (" ", "")
    assert context_of("[Y] is in [X] .") == ("", "")
    assert context_of('[X] is "[Y]".') == (' "', '".')
    assert context_of("the [X]-[Y]n war") == (" a-", "n")
    assert context_of("Q: [X]\nA: [Y]") == (" ", "")
    assert context_of("Q: [X]\n[Y]") == ("\n", "")


def test_plain_templates_keep_their_keys() -> None:
    assert all(map(is_plain, [*PLAIN, "[X] is in [Y] .", "The club of [X] is [Y] ."]))
    assert not any(map(is_plain, [*ODD, *FIRST]))


def test_a_blank_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(PtxError, match="reads 2 blanks in the template"):
        rows(make_tokenizer(["is"]), "[X] [MASK] is [Y] .", ["is"], prompt_length=0, max_length=32)


def test_a_word_in_several_tokens_is_no_answer_there() -> None:
    tokenizer = tokenizer_of("roberta")
    assert one_token_words(tokenizer, ["France"])
    assert one_token_words(tokenizer, ["France"], Context("", "")) == {}
    assert one_token_words(tokenizer, ["France"], Context(' "', '"')) == {}


COUNTRIES = ["France", "Japan", "Peru", "Kenya", "Norway"]


@pytest.fixture(scope="module")
def knows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A RoBERTa that knows one relation by heart, in a template that begins with the answer."""
    folder = tmp_path_factory.mktemp("knows")
    with mock.patch("families.TEXT", [f"{country} is near {country} ." for country in COUNTRIES] * 9 + TEXT):
        tokenizer = byte_level(RobertaTokenizer, ("<s>", "<pad>", "</s>", "<unk>", "<mask>"))
    shape = {"num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 32, "intermediate_size": 48}
    roles = {f"{role}_token_id": getattr(tokenizer, f"{role}_token_id") for role in ("pad", "bos", "eos")}
    config = AutoConfig.for_model("roberta", **shape, **roles, vocab_size=len(tokenizer), max_position_embeddings=64)
    torch.manual_seed(0)
    network = AutoModelForMaskedLM.from_config(config)
    texts = [f"{country} is near {subject} ." for country, subject in zip(COUNTRIES, WHOLE, strict=False)]
    encoded = tokenizer(texts, return_tensors="pt", padding=True)
    labels = torch.full_like(encoded["input_ids"], -100)
    labels[:, 1] = encoded["input_ids"][:, 1]
    inputs = encoded["input_ids"].masked_fill(labels != -100, tokenizer.mask_token_id)
    adam = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(60):
        adam.zero_grad()
        network(input_ids=inputs, attention_mask=encoded["attention_mask"], labels=labels).loss.backward()
        adam.step()
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_model_that_knows_is_credited(knows: Path, tmp_path: Path, ptx: Run) -> None:
    facts = [
        {"sub_label": subject, "obj_label": country, "template": "[Y] is near [X] .", "split": "test"}
        for country, subject in zip(COUNTRIES, WHOLE, strict=False)
    ]
    (tmp_path / "near.jsonl").write_text("".join(json.dumps(fact) + "\n" for fact in facts))
    more = ("--suite", str(tmp_path / "near.jsonl"), "--method", "manual")
    (row,) = ptx("eval", "--target", str(knows), *more, "--json").at("eval")
    assert row["accuracy"] == 1
    meta = json.loads((Path(row["path"]) / "meta.json").read_text("utf-8"))
    assert meta["metrics"]["dropped"] == 0
    assert meta["config"]["eval"]["reads"] == "as written"  # where earlier versions asked otherwise, it is another key


def without_frame(folder: Path) -> Path:
    """The tokenizer as people make it by hand: it knows its special tokens and puts none around a text."""
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps(content | {"post_processor": None}), "utf-8")
    config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"tokenizer_class": "PreTrainedTokenizerFast"}))
    return folder


@pytest.mark.parametrize("name", ["bert-cased", "roberta", "albert", "bart", "t5"])
def test_a_masked_model_reads_its_frame(name: str, tmp_path: Path) -> None:
    """Whether the tokenizer adds it or not."""
    own = load_model(resolve(str(make(name, tmp_path / "own"))), "cpu")
    model = resolve(str(without_frame(make(name, tmp_path / "bare"))))
    bare = load_model(model, "cpu")
    bare_ids, own_ids = bare.tokenizer("the king"), own.tokenizer("the king", add_special_tokens=False)
    assert bare_ids["input_ids"] == own_ids["input_ids"]
    assert added_frame(model) != ((), ())
    for template, m in (("[X] lives in [Y] .", 0), ("[X] [V] [Y] .", 3)):
        assert bare.rows(template, SUBJECTS, prompt_length=m) == own.rows(template, SUBJECTS, prompt_length=m)


@pytest.mark.parametrize("name", ["gpt2", "llama", "bert-cased", "t5", "modernbert"])
def test_other_models_get_none(name: str, tmp_path: Path) -> None:
    assert added_frame(resolve(str(make(name, tmp_path / "own")))) == ((), ())


def test_an_added_frame_is_told_once_and_in_the_key(tmp_path: Path, suite: str, ptx: Run) -> None:
    own = make_model(tmp_path / "own", seed=1)
    bare = without_frame(make_model(tmp_path / "bare", seed=1))
    common = ("--suite", suite, "--json", "--epochs", "1", "--tasks", "R1,R2")
    predicted = []
    for folder in (own, bare):
        found = ptx("eval", "--target", str(folder), *common)
        said = "adds no special tokens; its inputs get [CLS] ... [SEP]"
        assert found.err.count(said) == (folder == bare)
        metas = [json.loads((Path(row["path"]) / "meta.json").read_text("utf-8")) for row in found.lines]
        for meta in metas:
            for stage in {"tune", "eval"} & meta["config"].keys():
                assert meta["config"][stage].get("frame") == ("[CLS] ... [SEP]" if folder == bare else None)
        predicted.append([(Path(row["path"]) / "predictions.jsonl").read_bytes() for row in found.at("eval")])
    assert predicted[0] == predicted[1]


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("[X] is located in [Y] .", "is located in"),
        ("The capital of [X] is [Y] .", "The capital of is"),
        ("[X] is a [Y] by profession .", "by profession is a"),
        ("[Y] is the capital of [X].", "is the capital of"),
        ("Q: Where is [X]?\nA: [Y]", "Q: Where is ? A:"),
        ("[X] [Y]", ""),
    ],
)
def test_the_words_that_a_prompt_starts_from_end_with_what_led_to_the_answer(template: str, words: str) -> None:
    assert words_of(template) == words


@pytest.mark.parametrize(
    ("template", "title", "texts"),
    [
        ("[X] is in [Y] .", "", ["is in"]),
        ("[X] [Y]", "", []),
        (
            "[X] is located in [Y] .",
            "continent",
            ["is located in", "is located in the continent of", ": its continent is", ", whose continent is",
             "( continent :", ", continent :"],
        ),
        (
            "The original language of [X] is [Y] .",
            "original language",
            ["The original language of is", ": its original language is", ", whose original language is",
             "( original language :", ", original language :"],
        ),
        (
            "[X] was written in [Y] .",
            "language of work or name",
            ["was written in", "was written in the language of work or name of", ": its language of work or name is",
             ", whose language of work or name is", "( language of work or name :", ", language of work or name :",
             "was written in the language of", ": its language is", ", whose language is", "( language :",
             ", language :"],
        ),
    ],
)  # fmt: skip
def test_texts_after_which_the_answer_comes(template: str, title: str, texts: list[str]) -> None:
    assert wordings(template, title) == texts


@pytest.mark.parametrize(
    ("template", "texts"),
    [
        ("[X] was born in [Y] .", ["was born in the city of"]),
        (
            "The headquarter of [X] is in [Y] .",
            [": its headquarter is in the city of", ", whose headquarter is in the city of"],
        ),
    ],
)
def test_texts_that_say_what_the_answer_is(template: str, texts: list[str]) -> None:
    named = [": its city is", ", whose city is", "( city :", ", city :"]
    assert of_kind(template, "city") == texts + named
