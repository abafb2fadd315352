"""Answers, accuracies and floors against loops over single facts."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from plain import WIDTH, WORDS, PlainModel, task
from torch import Tensor

from ptx.errors import PtxError
from ptx.lms import batches
from ptx.lms.inputs import Row
from ptx.lms.template import Context
from ptx.suites import Fact
from ptx.transfer.scoring import Answers, DevChoice, Questions, accuracy, answer, correct, facts_to_score, is_finite

SOME = ("Cuba", "Kenya", "Peru", "Chad")


def rows(*ids: tuple[int, ...]) -> list[Row]:
    return [Row(of, 0, 0) for of in ids]


def prompt(m: int, seed: int) -> Tensor:
    return torch.randn(m, WIDTH, generator=torch.Generator().manual_seed(seed))


ASKED: list[tuple[Questions, Tensor | None]] = [
    (Questions(rows((1, 2), (3,), (70, 6, 8), (9,)), None, [0, 6, 3, 1]), prompt(2, 1)),
    (Questions(rows((5,), (4, 4, 4, 4), (8, 9)), SOME, [0, 3, 2]), prompt(2, 2)),
    (Questions(rows((11, 3), (12,)), SOME, None), prompt(2, 3)),
    (Questions(rows((3,), (40, 2)), SOME, [1, 0]), prompt(4, 4)),
    (Questions(rows((3,), (40, 2), (5,)), SOME, [1, 0, 3]), None),
    (Questions(rows((13,), (14,), (15, 1)), WORDS, [0, 5, 6]), None),
    (Questions(rows((21,), (22, 2)), None, [2, 4]), prompt(2, 5)),
]


@pytest.mark.parametrize("batch", [1, 2, 3, 256])
@pytest.mark.parametrize("top", [1, 2, 4, 100])
def test_answers_equal_a_loop(monkeypatch: pytest.MonkeyPatch, top: int, batch: int) -> None:
    """Whatever is asked together, and in whatever batches."""
    model = PlainModel()
    monkeypatch.setattr(batches, "MOST", batch)
    found = answer(model, ASKED, top=top)
    assert len(found) == len(ASKED)
    assert max(shape[0] for shape in model.batches) == min(batch, 6)
    for (questions, vectors), answers in zip(ASKED, found, strict=True):
        words = questions.words or WORDS
        assert len(answers.places) == len(answers.probabilities) == len(answers.ranks) == len(questions.rows)
        for i, row in enumerate(questions.rows):
            scores = [model.plainly(row, vectors)[WORDS.index(word)].item() for word in words]
            order = sorted(range(len(words)), key=lambda j: -scores[j])[:top]
            total = sum(map(math.exp, scores))
            assert answers.places[i] == order
            assert answers.probabilities[i] == pytest.approx([math.exp(scores[j]) / total for j in order], abs=1e-6)
            right = None if questions.objects is None else questions.objects[i]
            assert answers.ranks[i] == (0 if right is None else 1 + sum(x > scores[right] for x in scores))
        assert answers.predicted == [best[0] for best in answers.places]


def test_only_the_likeliest_by_default() -> None:
    assert all(len(best) == 1 for answers in answer(PlainModel(), ASKED) for best in answers.places)


def test_prompts_of_one_length_and_one_list_of_words_share_batches() -> None:
    """The shortest inputs first, so that little is padded."""
    model = PlainModel()
    answer(model, ASKED)
    assert sorted(model.batches) == [(2, 2), (3, 2), (3, 2), (5, 4), (6, 3)]
    model.batches.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "MOST", 2)
        answer(model, ASKED[:1])
    assert model.batches == [(2, 1), (2, 3)]


def test_a_batch_is_of_256_inputs() -> None:
    model = PlainModel()
    (found,) = answer(model, [(Questions(rows(*((i,) for i in range(600))), None, None), None)])
    assert model.batches == [(256, 1), (256, 1), (88, 1)]
    assert found.predicted == [model.table[i % 97].argmax().item() for i in range(600)]


def test_nothing_asked_is_nothing_answered() -> None:
    assert answer(PlainModel(), []) == []


def test_of_equal_scores_the_first_answers_and_all_rank_first() -> None:
    model = PlainModel()
    model.table[:] = 1.0
    (found,) = answer(model, [(Questions(rows((1,), (2,)), SOME, [3, 0]), None)])
    assert (found.predicted, found.ranks) == ([0, 0], [1, 1])
    assert found.probabilities == [[0.25], [0.25]]


def answers(places: list[int], probability: float = 0.5) -> Answers:
    return Answers([[p, 9] for p in places], [[probability, 0.1] for _ in places], [1 for _ in places])


def test_accuracy_counts_the_likeliest() -> None:
    questions = Questions(rows((1,), (2,), (3,), (4,)), None, [5, 9, 7, 0])
    assert correct(questions, answers([5, 1, 7, 1])) == 2
    assert accuracy(questions, answers([5, 1, 7, 1])) == 0.5
    assert accuracy(questions, answers([5, 9, 7, 0])) == 1
    assert correct(Questions([], None, None), answers([])) == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_scores_that_are_not_finite_have_no_accuracy(bad: float) -> None:
    questions = Questions(rows((1,), (2,)), None, [5, 9])
    assert is_finite(answers([5, 1]))
    mixed = Answers([[5], [1]], [[0.5], [bad]], [1, 1])
    assert not is_finite(mixed)
    assert math.isnan(accuracy(questions, mixed))
    assert is_finite(Answers([[5, 1]], [[0.5, bad]], [1]))  # the likeliest one tells


def test_dev_accuracies_come_in_the_order_of_tasks() -> None:
    """Nan for tasks without dev facts, wherever they stand."""
    model = PlainModel()
    dev = [ASKED[0][0], Questions([], None, []), ASKED[6][0], ASKED[1][0], Questions([], SOME, [])]
    prompts = [prompt(2, seed) for seed in (0, 1, 2, 5, 6)]
    scores = DevChoice(model, dev).score(prompts)
    for questions, vectors, score in zip(dev, prompts, scores, strict=True):
        if not questions.rows:
            assert math.isnan(score)
            continue
        words, right = questions.words or WORDS, 0
        for row, place in zip(questions.rows, questions.objects or (), strict=True):
            of = [model.plainly(row, vectors)[WORDS.index(word)].item() for word in words]
            right += of.index(max(of)) == place
        assert score == right / len(questions.rows)
    assert [score for score in scores if score == score] == pytest.approx([1 / 4, 1 / 2, 1 / 3])


def test_the_first_best_candidate_is_chosen() -> None:
    choice = DevChoice(PlainModel(), [ASKED[0][0]] * 3)
    kept = torch.zeros(2, 2, requires_grad=True)
    for number, (one, other) in enumerate([(0.2, 0.5), (0.4, 0.5), (0.4, 0.1)], start=1):
        with torch.no_grad():
            kept += 1
        choice.offer(0, number, one, kept)
        choice.offer(2, number, other, kept)
    with torch.no_grad():
        kept += 1
    (first, second) = choice.chosen()  # nothing was offered for the task between them
    assert (first[0], first[1], second[0], second[1]) == (0.4, 2, 0.5, 1)
    assert (first[2].unique().tolist(), second[2].unique().tolist()) == ([2], [1])
    assert not first[2].requires_grad


TASK = task(
    train="a:Peru b:Kenya c:Kenya d:Atlantis e:Atlantis f:Atlantis g:Peru h:Chad",
    dev="a:Chad",
    test="st:Kenya u:Atlantis v:Peru w:Kenya x:Cuba y:Kenya z:Atlantis",
)


def test_facts_are_scored_if_their_object_may_answer() -> None:
    """Of two most frequent train objects the first in the alphabet is the floor's."""
    model = PlainModel()
    scored = facts_to_score(model, TASK, "test", SOME, prompt_length=4)
    assert [fact.subject for fact in scored.facts] == ["st", "v", "w", "x", "y"]
    assert scored.questions.objects == [1, 2, 1, 0, 1]
    assert scored.questions.words == SOME
    assert [len(row.ids) for row in scored.questions.rows] == [2, 1, 1, 1, 1]
    assert scored.dropped == 2
    assert scored.floor == 3 / 5
    assert model.asked == [("[X] [V] [Y] .", {"prompt_length": 4, "refuse": None})]


def test_floors() -> None:
    model = PlainModel()
    often = task(train="a:Peru b:Kenya c:Peru", test="s:Kenya t:Peru u:Kenya v:Chad")
    assert facts_to_score(model, often, "test", SOME).floor == 1 / 4  # Kenya comes first, Peru is more frequent
    assert facts_to_score(model, task(train="a:Cuba", test="s:Kenya"), "test", SOME).floor == 0
    assert facts_to_score(model, task(train="a:Atlantis", test="s:Kenya"), "test", SOME).floor is None
    assert facts_to_score(model, task(test="s:Kenya"), "test", SOME).floor is None


def test_another_split_layout_and_template() -> None:
    model = PlainModel()
    assert facts_to_score(model, TASK, "dev", SOME, layout="prefix").questions.objects == [3]
    facts_to_score(model, TASK, "dev", SOME, template="[X] is [Y]")
    facts_to_score(model, TASK, "dev", SOME)
    assert [template for template, _ in model.asked] == ["[V] [X] [Y] .", "[X] is [Y]", "[X] [V] [Y] ."]
    assert [more["prompt_length"] for _, more in model.asked] == [0, 0, 0]


def test_label_words_answer_for_a_task_that_has_them() -> None:
    labelled = dataclasses.replace(task(train="a:Japan", test="s:Chad t:Japan"), labels=("Japan", "Chad"))
    scored = facts_to_score(PlainModel(), labelled, "test", SOME)
    assert scored.questions.words == ("Japan", "Chad")
    assert scored.questions.objects == [1, 0]
    assert (scored.floor, scored.dropped) == (0.5, 0)


def test_no_fact_to_score_is_an_error() -> None:
    with pytest.raises(PtxError, match="task R1: none of its 2 test objects is a word that all models share") as raised:
        facts_to_score(PlainModel(), task(train="a:Peru", test="s:Rome t:Atlantis"), "test", SOME)
    assert "choose other --tasks" in raised.value.hint


def test_a_strict_task_drops_nothing() -> None:
    strict = dataclasses.replace(TASK, strict=True)
    with pytest.raises(
        PtxError,
        match=r"task R1: 2 of 7 objects are not words that all models share: 'Atlantis' \(u\), 'Atlantis' \(z\)",
    ):
        facts_to_score(PlainModel(), strict, "test", SOME)
    assert facts_to_score(PlainModel(), strict, "dev", SOME).dropped == 0


def loop(
    model: PlainModel, rows: list[Row], words: tuple[str, ...], right: list[tuple[str, ...]]
) -> list[tuple[str, int]]:
    """The likeliest word and the rank of the likeliest right one, of each row by itself."""
    found = []
    for row, names in zip(rows, right, strict=True):
        scores = model.plainly(row, None)
        own = {word: scores[token].item() for word, token in model.words(words, row.context).items()}
        best = max(own[name] for name in names if name in own)
        found.append((max(own, key=lambda word: own[word]), 1 + sum(score > best for score in own.values())))
    return found


def test_each_answer_is_the_token_that_it_is_at_its_place() -> None:
    """Rows of one batch whose templates put the answer at different places."""
    model = PlainModel()
    first = [Row((i,), None, 0, Context("", "")) for i in range(20)]
    inside = [Row((i,), None, 0) for i in range(20)]
    mixed = [row for pair in zip(first, inside, strict=True) for row in pair]
    for rows in (first, mixed):
        (found,) = answer(model, [(Questions(rows, SOME, [1] * len(rows)), None)])
        expected = loop(model, rows, SOME, [("Kenya",)] * len(rows))
        assert [(SOME[place], rank) for place, rank in zip(found.predicted, found.ranks, strict=True)] == expected
        (all_four,) = answer(model, [(Questions(rows, SOME, None), None)], top=4)
        assert [sum(p) for p in all_four.probabilities] == pytest.approx([1] * len(rows))
        peru = [p[places.index(2)] for p, places in zip(all_four.probabilities, all_four.places, strict=True)]
        assert [p == 0 for p in peru] == [row.context.before == "" for row in rows]


def test_any_of_several_right_answers_counts() -> None:
    model = PlainModel()
    rows = [Row((i,), 0, 0) for i in range(30)]
    right: list[tuple[str, ...]] = [("Cuba", "Peru", "Chad"), ("Kenya",), ("Chad", "Cuba")]
    right = [right[i % 3] for i in range(30)]
    places = [tuple(map(SOME.index, names)) for names in right]
    questions = Questions(rows, SOME, [first for first, *_ in places], [own[1:] for own in places])
    (found,) = answer(model, [(questions, None)])
    expected = loop(model, rows, SOME, right)
    assert found.ranks == [rank for _, rank in expected]
    assert correct(questions, found) == sum(word in names for (word, _), names in zip(expected, right, strict=True))
    assert correct(questions, found) == found.ranks.count(1)
    assert found.ranks != answer(model, [(Questions(rows, SOME, questions.objects), None)])[0].ranks


def test_facts_of_several_templates_and_answers() -> None:
    facts = (
        Fact("a", "Kenya"), Fact("b", "Peru", template="[Y] [X]"), Fact("c", "Chad", template="[Y] [X]"),
        Fact("d", "Atlantis", others=("Peru", "Chad")), Fact("e", "Atlantis", others=("Rome",)),
    )  # fmt: skip
    mixed = dataclasses.replace(
        task(train="a:Peru b:Kenya"), splits={"train": (Fact("z", "Oz", others=("Chad",)),), "dev": (), "test": facts}
    )
    model = PlainModel()
    scored = facts_to_score(model, mixed, "test", SOME, template="[X] is [Y]")
    assert [fact.subject for fact in scored.facts] == ["a", "c", "d"]  # Peru is several tokens at the start of a text
    assert [row.context.before for row in scored.questions.rows] == [" ", "", " "]
    assert [scored.questions.right(i) for i in range(3)] == [(1,), (3,), (2, 3)]
    assert (scored.dropped, scored.floor) == (2, 2 / 3)  # Chad is right for c and for d
    assert dict(model.asked).keys() == {"[X] is [Y]", "[Y] [X]"}
    asked = facts_to_score(PlainModel(), mixed, "test", SOME, layout="postfix")  # which no fact changes
    assert [fact.subject for fact in asked.facts] == ["a", "b", "c", "d"]
    strict = dataclasses.replace(mixed, strict=True)
    with pytest.raises(PtxError, match=r"1 of 5 objects are not one token where the template puts them: 'Peru' \(b\)"):
        facts_to_score(PlainModel(), strict, "test", SOME, template="[X] is [Y]")
    alone = dataclasses.replace(mixed, splits={**mixed.splits, "test": facts[1:2]})
    with pytest.raises(PtxError, match="none of its 1 test objects is one token where the template puts it"):
        facts_to_score(PlainModel(), alone, "test", SOME, template="[X] is [Y]")
