"""Carry the `facts` suite over from LPAQA's Wikidata triples: `python -m ptx.zoo.make_facts LAMA_FOLDER`.

Reads `data/autoprompt_data/P*/{train,dev}.jsonl` below the folder (LAMA's own test pairs are never read into
the suite) and writes `ptx/zoo/facts/P*/{train,dev,test}.jsonl`, re-split. Needed only to rebuild the suite.
"""

import json
import random
import sys
from collections import Counter
from pathlib import Path

from ptx.zoo.corpus import FACTS, read_pairs, read_relations

SEED = 0
OBJECT_MIN = 3  # an object stated fewer times can be neither learned nor split
OBJECT_MAX = 60  # keeps the majority-class floor near LAMA's (.17)
SPLIT_MAX = {"test": 100, "dev": 60, "train": 250}
TEST_MIN = 20


def merge_case(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Spell each object as it is most often spelled in its relation ("Bishop" and "bishop" are one answer)."""
    spelled = Counter(obj for _, obj in pairs)
    best: dict[str, str] = {}
    for obj, _ in sorted(spelled.items(), key=lambda item: (-item[1], item[0])):
        best.setdefault(obj.lower(), obj)
    return {(sub, best[obj.lower()]) for sub, obj in pairs}


def choose(pairs: set[tuple[str, str]], rng: random.Random) -> list[tuple[str, str]]:
    """Facts with a one-word object of OBJECT_MIN to OBJECT_MAX occurrences and a subject that has one answer."""
    pairs = merge_case({(s, o) for s, o in pairs if o.isalpha() and o not in s and len(s.split()) <= 6})
    frequent = {obj for obj, n in Counter(o for _, o in pairs).items() if n >= OBJECT_MIN}
    pairs = {(s, o) for s, o in pairs if o in frequent}
    answers = Counter(sub for sub, _ in pairs)
    shuffled = sorted((s, o) for s, o in pairs if answers[s] == 1)
    rng.shuffle(shuffled)
    taken: Counter[str] = Counter()
    kept = []
    for sub, obj in shuffled:
        taken[obj] += 1
        if taken[obj] <= OBJECT_MAX:
            kept.append((sub, obj))
    return kept[: sum(SPLIT_MAX.values())]


def split(facts: list[tuple[str, str]]) -> dict[str, list[tuple[str, str]]]:
    """24% test (at least TEST_MIN), 15% dev, the rest train, in the given order."""
    test = min(SPLIT_MAX["test"], max(TEST_MIN, round(0.24 * len(facts))))
    dev = min(SPLIT_MAX["dev"], round(0.15 * len(facts)))
    return {"test": facts[:test], "dev": facts[test : test + dev], "train": facts[test + dev :]}


def main(lama: Path) -> None:
    for name in (relation["relation"] for relation in read_relations()):
        pairs = read_pairs(lama / "data/autoprompt_data" / name, ["train", "dev"])
        parts = split(choose(set(pairs), random.Random(f"{SEED} {name}")))
        (FACTS / name).mkdir(exist_ok=True)
        for part, facts in parts.items():
            lines = [json.dumps({"sub_label": s, "obj_label": o}, ensure_ascii=False) for s, o in facts]
            (FACTS / name / f"{part}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
        print(name, {part: len(facts) for part, facts in parts.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
