"""What the zoo reads in pretraining: sentences that state every fact of the suite, and nothing else.

Facts of all splits are stated, as Wikipedia states them for BERT; only prompt tuning is restricted to train. Each
family has paraphrases of its own, as real models have read different texts: where all read the same, a word opens the
same door everywhere, and methods that move words look better than they are. Manual templates never occur, so that a
manual prompt is a paraphrase the model has to understand.
"""

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

FACTS = Path(__file__).parent / "facts"
FAMILIES = ("bert", "roberta", "albert", "gpt2")

# Openings vary where a sentence's words stand, as prose does; the empty one is the most frequent.
OPENINGS = (
    *("",) * 6, "Indeed ,", "In fact ,", "It is known that", "As many people know ,", "According to the records ,",
    "We read that", "Some say that", "Today ,",
)  # fmt: skip


class Sentence(NamedTuple):
    """A sentence and the characters [start, end) at which its object stands."""

    text: str
    start: int
    end: int


def read_facts() -> dict[str, list[tuple[str, str]]]:
    """Relation -> (subject, object) pairs of all splits, in a fixed order."""
    names = [relation["relation"] for relation in read_relations()]
    return {name: read_pairs(FACTS / name, ("train", "dev", "test")) for name in names}


def read_pairs(folder: Path, splits: Iterable[str]) -> list[tuple[str, str]]:
    """(subject, object) pairs of the named splits of one relation's folder."""
    lines = (line for split in splits for line in (folder / f"{split}.jsonl").read_text("utf-8").splitlines())
    return [(fact["sub_label"], fact["obj_label"]) for fact in map(json.loads, lines)]


def read_relations() -> list[dict[str, Any]]:
    """Of every relation `relation`, `label`, `template` (manual, unseen in pretraining) and `paraphrases` by family."""
    return [json.loads(line) for line in (FACTS / "relations.jsonl").read_text("utf-8").splitlines()]


def state(template: str, sub: str, obj: str, opening: str = "") -> Sentence:
    """Fill `[X]` and `[Y]`, keeping track of where the object lands."""
    template = f"{opening} {template}".strip()
    start = template.index("[Y]")
    if template.index("[X]") < start:
        start += len(sub) - len("[X]")
    return Sentence(template.replace("[Y]", obj).replace("[X]", sub), start, start + len(obj))


def sentences(family: str, per_fact: int, seed: int) -> list[Sentence]:
    """`per_fact` of the family's paraphrases of every fact, drawn without replacement, each behind a random opening."""
    rng = random.Random(seed)
    facts = read_facts()
    return [
        state(template, sub, obj, rng.choice(OPENINGS))
        for relation in read_relations()
        for sub, obj in facts[relation["relation"]]
        for template in rng.sample(relation["paraphrases"][family], per_fact)
    ]
