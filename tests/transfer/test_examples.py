"""What tuning reads of a task's facts on a model, and what it refuses."""

from __future__ import annotations

import dataclasses

import pytest
from plain import WORDS, PlainModel
from plain import task as facts_of

from ptx.config.tune import TuneConfig
from ptx.errors import PtxError
from ptx.lms.inputs import Row
from ptx.transfer.examples import examples

FACTS = facts_of(train="a:Peru b:Rome c:Cuba", dev="de:Rome f:Chad g:Peru", test="h:Kenya")


def test_examples_are_the_facts_whose_object_is_one_token() -> None:
    model = PlainModel()
    found = examples(model, FACTS, TuneConfig(layout="prefix", prompt_length=4))
    assert (found.name, found.start) == ("R1", None)
    assert found.train == [(Row((97,), 0, 0), WORDS.index("Peru")), (Row((99,), 0, 0), WORDS.index("Cuba"))]
    assert [row.ids for row in found.dev.rows] == [(102,), (103,)]
    assert (found.dev.words, found.dev.objects) == (None, [WORDS.index("Chad"), WORDS.index("Peru")])
    assert model.asked == [("[V] [X] [Y] .", {"prompt_length": 4, "refuse": None})] * 2


def test_examples_of_a_task_with_label_words() -> None:
    """Answers are token ids in train, places among the labels on dev."""
    labelled = dataclasses.replace(facts_of(train="a:Chad b:Peru", dev="c:Chad d:Chad e:Peru"), labels=("Chad", "Peru"))
    found = examples(PlainModel(), labelled, TuneConfig())
    assert [answer for _, answer in found.train] == [WORDS.index("Chad"), WORDS.index("Peru")]
    assert (found.dev.words, found.dev.objects) == (("Chad", "Peru"), [0, 0, 1])


@pytest.mark.parametrize("split", ["train", "dev"])
def test_a_split_without_known_objects_is_refused(split: str) -> None:
    splits = {"train": "a:Peru", "dev": "b:Peru"} | {split: "c:Rome d:Oslo"}
    with pytest.raises(PtxError, match=f"task R1: none of its 2 {split} objects is one token in plain"):
        examples(PlainModel(), facts_of(**splits), TuneConfig())


def test_strict_examples_name_what_is_unknown() -> None:
    with pytest.raises(PtxError, match=r"task R1: 1 of 3 objects of train are not one token in plain: 'Rome' \(b\)"):
        examples(PlainModel(), dataclasses.replace(FACTS, strict=True), TuneConfig())
