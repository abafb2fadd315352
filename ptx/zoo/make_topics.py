"""Make the texts of the `topics` suite out of the facts: `python -m ptx.zoo.make_topics [FOLDER]`.

A text is a fact stated as in the zoo's pretraining, and its label says what the statement is about. Facts of train
become texts of train, and so on; a subject is in one split only. No text contains a label's word, so that the label has
to be understood from the rest. Writes `{train,dev,test}.jsonl` beside `suite.toml`, the same bytes every time.
"""

import itertools
import json
import random
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from ptx.suites import SPLITS, Task, load_suite
from ptx.zoo.corpus import OPENINGS, read_relations, state

TOPICS = Path(__file__).parent / "topics"
SEED = 0
PER_LABEL = {"train": 54, "dev": 15, "test": 30}
# Label -> the relations that are about it. The words are in other paraphrases of these very relations, which the zoo
# has read, and are one token in all of its vocabularies.
LABELS = {
    "birth": ("P19",), "continent": ("P30",), "country": ("P17",), "death": ("P20",), "film": ("P364",),
    "job": ("P106", "P108"), "language": ("P103", "P1412"), "music": ("P264",), "network": ("P449",),
    "product": ("P176",), "religion": ("P140",), "software": ("P178",),
}  # fmt: skip


def names_a_label(text: str) -> bool:
    """Whether a text contains a label's word, an inflection ("countries", "filmed") or a compound that begins so."""
    stems = tuple(label.removesuffix("y").removesuffix("e") for label in LABELS)
    return any(word.startswith(stems) for word in text.lower().replace("-", " ").split())


def texts(split: str) -> list[dict[str, str]]:
    """The texts of one split, shuffled, as many of each label as PER_LABEL says."""
    rng = random.Random(f"{SEED} {split}")
    relations = {task.name: task for task in load_suite("facts").tasks}
    paraphrases = {row["relation"]: list(itertools.chain(*row["paraphrases"].values())) for row in read_relations()}
    taken = _splits_of_subjects(relations)
    found = []
    for label, names in LABELS.items():
        every = ((name, fact) for name in names for fact in relations[name].splits[split])
        facts = [(name, fact) for name, fact in every if taken[fact.subject] == {split}]
        rng.shuffle(facts)
        stated: list[str] = []
        for name, fact in facts:
            template = rng.choice([template for template in paraphrases[name] if not names_a_label(template)])
            text = state(template, fact.subject, fact.object, rng.choice(OPENINGS)).text
            if not names_a_label(text):  # a subject may, "Music Box"
                stated.append(text)
        if len(stated) < PER_LABEL[split]:
            raise ValueError(f"{label}: only {len(stated)} texts for {split}")
        found += [{"text": text, "label": label} for text in stated[: PER_LABEL[split]]]
    rng.shuffle(found)
    return found


def _splits_of_subjects(relations: Mapping[str, Task]) -> dict[str, set[str]]:
    """The splits in which a subject stands, over all relations: one name can have facts of several."""
    splits = defaultdict(set)
    for name in itertools.chain.from_iterable(LABELS.values()):
        for split, facts in relations[name].splits.items():
            for fact in facts:
                splits[fact.subject].add(split)
    return splits


def main(folder: Path) -> None:
    for split in SPLITS:
        lines = [json.dumps(row, ensure_ascii=False) for row in texts(split)]
        (folder / f"{split}.jsonl").write_bytes(("\n".join(lines) + "\n").encode())
        print(split, len(lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else TOPICS)
