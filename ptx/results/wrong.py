"""What an evaluation answers wrongly, or two of the same facts, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ptx.cache import Artifact, Store
from ptx.errors import PtxError, UsageError
from ptx.results.predicted import is_right, predictions
from ptx.stages.eval import FILE

KINDS = ("both_right", "only_first", "only_second", "neither")  # of two; of one "right" and "wrong"


@dataclass(frozen=True)
class Wrong:
    """`counts` of all facts, by who is right; `rows` are facts that not all answer rightly: subject, right, and given,
    probability (among the allowed words) and rank of the right answer, of a second evaluation as given_2 and so on."""

    evaluations: Sequence[Artifact]
    counts: dict[str, int]
    rows: Sequence[dict[str, Any]]
    alone: int = 0  # facts that only one of two was asked, since the other's words leave their objects out

    @property
    def facts(self) -> int:
        return sum(self.counts.values())


def wrong(store: Store, key: str, other: str = "") -> Wrong:
    """By the keys of evaluations. Raises PtxError for those of other facts."""
    found = [_evaluation(store, one) for one in (key, other) if one]
    asked = [predictions(artifact.path / FILE) for artifact in found]
    if len({artifact.meta["inputs"]["facts"] for artifact in found}) > 1:
        first, second = (" ".join(artifact.meta["labels"][n] for n in ("suite", "task", "split")) for artifact in found)
        hint = "give two evaluations of one task and split; `ptx cache ls --stage eval --task P17` lists a task's"
        raise PtxError(f"they are of other facts: {first} and {second}", hint)
    both = [fact for fact in asked[0] if all(fact in answers for answers in asked)]
    right = {fact: tuple(is_right(answers[fact]) for answers in asked) for fact in both}
    kinds = Counter(right.values())
    if len(found) == 1:
        counts = {"right": kinds[True,], "wrong": kinds[False,]}
    else:
        order = ((True, True), (True, False), (False, True), (False, False))
        counts = {name: kinds[kind] for name, kind in zip(KINDS, order, strict=True)}
    rows = [_row([answers[fact] for answers in asked]) for fact in both if not all(right[fact])]
    return Wrong(found, counts, rows, sum(len(answers) - len(both) for answers in asked))


def _evaluation(store: Store, key: str) -> Artifact:
    artifact = store.find(key)
    if (stage := artifact.meta["stage"]) != "eval":
        target = artifact.meta["labels"].get("target") or artifact.meta["labels"].get("model") or "MODEL"
        made = stage in ("tune", "search")
        hint = f"score it first: ptx eval --prompt {artifact.key[:12]} --target {target}" if made else (
            "`ptx cache ls --stage eval` lists evaluations"
        )  # fmt: skip
        raise UsageError(f"{stage} {artifact.key[:12]} is no evaluation", hint)
    return artifact


def _row(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    first = answers[0]
    row = {"subject": first["subject"], "right": first["object"]}
    row |= {name: first[name] for name in ("template", "others") if first.get(name)}
    for number, answer in enumerate(answers, start=1):
        ending = f"_{number}" if number > 1 else ""
        for name, value in (("given", "predicted"), ("probability", "probability"), ("rank", "rank")):
            row[name + ending] = answer.get(value)
    return row
