from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from ptx.lms.embeddings import one_token_words
from ptx.suites import EMBEDDED, SPLITS, load_suite
from ptx.zoo import make_topics
from ptx.zoo.corpus import OPENINGS, read_relations, state

ZOO = sorted(path.parent for path in Path(make_topics.__file__).parent.glob("models/*/tokenizer.json"))


def test_topics_has_every_label_in_every_split() -> None:
    (task,) = load_suite("topics").tasks
    assert task.labels == tuple(make_topics.LABELS)
    assert len(task.labels) >= 8
    for split, size in make_topics.PER_LABEL.items():
        assert Counter(fact.object for fact in task.splits[split]) == dict.fromkeys(task.labels, size)


def test_no_text_or_subject_is_in_two_splits() -> None:
    (task,) = load_suite("topics").tasks
    texts = {split: {fact.subject for fact in task.splits[split]} for split in SPLITS}
    assert len(set().union(*texts.values())) == sum(len(task.splits[split]) for split in SPLITS)
    relations = {task.name: task.splits for task in load_suite("facts").tasks}
    subjects: dict[str, set[str]] = {split: set() for split in SPLITS}
    for row in read_relations():
        if not any(row["relation"] in names for names in make_topics.LABELS.values()):
            continue
        templates = [*itertools.chain(*row["paraphrases"].values())]
        for split, template, opening in itertools.product(SPLITS, templates, set(OPENINGS)):
            for fact in relations[row["relation"]][split]:
                if state(template, fact.subject, fact.object, opening).text in texts[split]:
                    subjects[split].add(fact.subject)
    assert all(len(subjects[split]) > 0.8 * len(texts[split]) for split in SPLITS)
    assert not any(subjects[one] & subjects[other] for one, other in itertools.combinations(SPLITS, 2))


def test_no_text_names_a_label() -> None:
    (task,) = load_suite("topics").tasks
    assert not [fact for split in SPLITS for fact in task.splits[split] if make_topics.names_a_label(fact.subject)]
    assert make_topics.names_a_label("It was filmed in Rome .")
    assert make_topics.names_a_label("two countries")
    assert not make_topics.names_a_label("It was shot in Rome .")


def test_the_script_makes_the_same_files_again(tmp_path: Path) -> None:
    make_topics.main(tmp_path)
    for split in SPLITS:
        name = f"{split}.jsonl"
        assert (tmp_path / name).read_bytes() == (EMBEDDED["topics"] / name).read_bytes(), name


@pytest.mark.parametrize("model", ZOO, ids=lambda path: path.name)
def test_labels_are_words_of_the_zoo_and_texts_fit(model: Path) -> None:
    (task,) = load_suite("topics").tasks
    tokenizer = AutoTokenizer.from_pretrained(model)
    assert set(one_token_words(tokenizer, task.labels)) == set(task.labels)
    texts = [fact.subject for split in SPLITS for fact in task.splits[split]]
    longest = max(map(len, tokenizer(texts)["input_ids"]))
    assert longest + 20 + 2 <= 64  # with a prompt four times the default length, the answer and the full stop
