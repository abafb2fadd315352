"""The embedded facts and models, and the script that makes such models."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ptx.lms.catalogue import card, embedding_width
from ptx.lms.embeddings import load_tokenizer, one_token_words
from ptx.lms.known import ZOO_FOLDER, zoo
from ptx.lms.lm import load_model
from ptx.lms.models import resolve
from ptx.suites import load_suite
from ptx.zoo import corpus, pretrain
from ptx.zoo.make_topics import LABELS

FACTS = load_suite("facts").tasks


def test_the_suite_has_thirty_relations_of_twenty_test_facts() -> None:
    assert len(FACTS) >= 30
    assert all(len(task.splits["test"]) >= 20 for task in FACTS)


@pytest.mark.parametrize("task", FACTS, ids=lambda task: task.name)
def test_splits_are_disjoint_and_manual_templates_unseen(task) -> None:
    subjects = Counter(fact.subject for split in task.splits.values() for fact in split)
    assert max(subjects.values()) == 1
    (relation,) = [r for r in corpus.read_relations() if r["relation"] == task.name]
    assert task.template == relation["template"]
    assert task.template.endswith("[Y] .")
    assert not [p for family in relation["paraphrases"].values() for p in family if task.template in p]


def test_every_family_has_six_paraphrases_of_its_own() -> None:
    for relation in corpus.read_relations():
        assert tuple(relation["paraphrases"]) == corpus.FAMILIES
        counts = Counter(itertools.chain(*relation["paraphrases"].values()))
        assert (len(counts), set(counts.values())) == (24, {1}), relation["relation"]
        assert all(len(family) == 6 for family in relation["paraphrases"].values())
        assert all(p.count("[X]") == p.count("[Y]") == 1 for p in counts)


def test_a_family_reads_its_own_paraphrases_and_every_label_of_the_topics() -> None:
    for family in corpus.FAMILIES:
        own = [t for relation in corpus.read_relations() for t in relation["paraphrases"][family]]
        assert set(LABELS) <= {word for template in own for word in template.split()}
    facts = corpus.read_facts()
    (relation,) = [r for r in corpus.read_relations() if r["relation"] == "P103"]
    asked = {family: {s.text for s in corpus.sentences(family, 6, 0)} for family in ("bert", "gpt2")}
    sub, obj = facts["P103"][0]
    for family, texts in asked.items():
        for template in relation["paraphrases"][family]:
            said = corpus.state(template, sub, obj).text
            assert any(text.endswith(said) for text in texts)
            assert not any(text.endswith(said) for other, read in asked.items() if other != family for text in read)


@pytest.mark.parametrize("name", zoo())
def test_every_object_is_one_token(name: str) -> None:
    objects = {fact.object for task in FACTS for split in task.splits.values() for fact in split}
    assert one_token_words(load_tokenizer(resolve(name).path), objects).keys() == objects


@pytest.mark.parametrize("name", zoo())
def test_cards_and_weights(name: str) -> None:
    model = load_model(resolve(name), "cpu")
    assert card(name)["parameters"] == sum(p.numel() for p in model.network.parameters())
    assert model.matrix.dtype == torch.float32
    weights = load_file(ZOO_FOLDER / name / "model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    assert {"floor", "random", "manual", "tuned"} <= card(name)["accuracy"].keys()


def test_two_families_have_equal_widths() -> None:
    width = {name: embedding_width(resolve(name)) for name in zoo()}
    assert width["bert-micro"] == width["roberta-micro"] < width["bert-mini"] == width["roberta-mini"]
    assert width["albert-micro"] < resolve("albert-micro").config["hidden_size"]


def test_state_says_where_the_object_is() -> None:
    for template in ("[X] is in [Y] .", "[Y] owns [X] ."):
        sentence = corpus.state(template, "Rome tower", "Italy", "Today ,")
        assert sentence.text[sentence.start : sentence.end] == "Italy"


@pytest.mark.parametrize("name", ["bert-micro", "albert-micro"])
def test_pretraining_writes_a_model_that_loads(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = corpus.sentences(name.split("-")[0], 1, 0)[:96]
    monkeypatch.setattr(pretrain, "sentences", lambda *asked: some)
    made = pretrain.pretrain(name, tmp_path / name, pretrain.Recipe(epochs=2, batch_size=32))
    assert made["sentences"] == len(some)
    assert json.loads((tmp_path / name / "card.json").read_text()) == made
    assert load_model(resolve(str(tmp_path / name)), "cpu").matrix.shape[0] > 5000
    assert not (tmp_path / f"{name}.checkpoint").exists()
