"""The embedded facts and models, and the script that makes such models."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ptx.lms.catalogue import card, embedding_width
from ptx.lms.embeddings import load_tokenizer, one_token_words
from ptx.lms.lm import load_model
from ptx.lms.models import ZOO_FOLDER, resolve, zoo
from ptx.suites import load_suite
from ptx.zoo import corpus, pretrain

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
    assert task.template not in relation["paraphrases"]


@pytest.mark.parametrize("name", zoo())
def test_every_object_is_one_token(name: str) -> None:
    objects = {fact.object for task in FACTS for split in task.splits.values() for fact in split}
    assert one_token_words(load_tokenizer(resolve(name).path), objects).keys() == objects


@pytest.mark.parametrize("name", zoo())
def test_cards_and_weights(name: str) -> None:
    model = load_model(resolve(name), "cpu")
    assert card(name)["parameters"] == sum(p.numel() for p in model.network.parameters())
    assert model.embeddings.dtype == torch.float32
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
    some = corpus.sentences(1, 0)[:96]
    monkeypatch.setattr(pretrain, "sentences", lambda per_fact, seed: some)
    made = pretrain.pretrain(name, tmp_path / name, pretrain.Recipe(epochs=2, batch_size=32))
    assert made["sentences"] == len(some)
    assert json.loads((tmp_path / name / "card.json").read_text()) == made
    assert load_model(resolve(str(tmp_path / name)), "cpu").embeddings.shape[0] > 5000
    assert not (tmp_path / f"{name}.checkpoint").exists()
