"""What a tuned prompt has to beat, against plain loops over the same facts."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from plain import WORDS, PlainModel, task

from ptx.lms.lm import load_model
from ptx.lms.models import resolve
from ptx.stages.learned import compared
from ptx.suites import Fact, load_suite
from ptx.transfer.baselines import baselines

TRAIN = "a:Peru b:Peru c:Cuba d:Cuba e:Japan r:Rome s:Rome t:Rome"


def test_the_majority_is_of_train_among_the_answers_that_can_be_given() -> None:
    """Rome is no token, Cuba and Peru are as frequent: the first by the alphabet."""
    made = task(train=TRAIN, dev="f:Cuba g:Peru h:Peru i:Rome")
    found = baselines(PlainModel(), made)
    assert found.majority == pytest.approx(1 / 3)
    assert found.template is None
    several = dataclasses.replace(
        made, splits={**made.splits, "dev": (Fact("f", "Peru", others=("Cuba",)), Fact("g", "Peru"))}
    )
    assert baselines(PlainModel(), several).majority == 0.5


def test_the_template_answers_with_any_token() -> None:
    model = PlainModel()
    made = dataclasses.replace(task(train=TRAIN, dev="f:Cuba g:Peru h:Chad i:Rome j:Kenya"), template="[X] is in [Y] .")
    dev = [fact for fact in made.splits["dev"] if fact.object in WORDS]
    right = [WORDS[int(model.table[ord(fact.subject) % 97].argmax())] == fact.object for fact in dev]
    assert 0 < sum(right) < len(right)
    assert baselines(model, made).template == sum(right) / len(right)


def test_an_answer_that_is_several_tokens_where_the_template_puts_it_is_wrong() -> None:
    """At the start of a text Peru is, and others are the token before their own."""
    made = dataclasses.replace(task(train=TRAIN, dev="f:Peru g:Peru"), template="[Y] has [X] .")
    assert baselines(PlainModel(), made).template == 0


def test_a_template_that_a_causal_lm_cannot_read_counts_for_nothing() -> None:
    model = load_model(resolve("gpt2-micro"), "cpu")
    (own,) = load_suite("facts").choose(("P103",))
    backwards = dataclasses.replace(own, template="[Y] is what [X] speaks .")
    assert baselines(model, own).template is not None
    assert baselines(model, backwards).template is None


def test_one_line_for_all() -> None:
    figures: list[dict[str, Any]] = [
        {"dev_accuracy": 0.5, "majority": 0.5, "template": 0.4},
        {"dev_accuracy": 0.6, "majority": 0.5, "template": None},
    ]
    one = "on dev, 1 of 2 tuned prompts beat always the same answer"
    assert compared(figures) == f"{one}, and 1 of 1 the task's manual template"
    assert compared(figures[1:]) == "on dev, 1 of 1 tuned prompt beats always the same answer"
