"""Anchors: words that are one token in every model considered. Only tokenizers are read."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ptx.cache import Store
from ptx.embeddings import load_tokenizer, one_token_words, vocabulary_words
from ptx.errors import PtxError
from ptx.pipeline import Payload, Stopwatch, Tick, payload_of
from ptx.step import Step
from ptx.suites.lines import words_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FILE = "words.csv"


def shared_words(tokenizers: Sequence[PreTrainedTokenizerBase], words: Sequence[str] = ()) -> list[str]:
    """Words that are one token in every tokenizer (of `words`, if given), the most frequent ones first.

    Vocabularies are written in the order of frequency, so a word's rank is its mean position among the shared words.
    """
    shared = set(words or vocabulary_words(tokenizers[0]))
    ranks: dict[str, int] = dict.fromkeys(shared, 0)
    ids = []
    for tokenizer in tokenizers:
        ids.append(one_token_words(tokenizer, sorted(shared)))
        shared &= ids[-1].keys()
    for of in ids:
        for rank, word in enumerate(sorted(shared, key=lambda word: of[word])):
            ranks[word] += rank
    return sorted(shared, key=lambda word: (ranks[word], word))


def choose(words: Sequence[str], *, count: int, order: str, seed: int) -> list[str]:
    """`count` anchors in their order of rank: the most frequent ones, or a random choice."""
    if order == "rank":
        return list(words[:count])
    kept = set(random.Random(seed).sample(range(len(words)), count))
    return [word for i, word in enumerate(words) if i in kept]


def to_csv(words: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["word"], *([word] for word in words)])
    return text.getvalue().encode("utf-8")


def read_words(step: Step, store: Store) -> list[str]:
    """The words of a finished anchor set."""
    with payload_of(step, store, FILE).open(encoding="utf-8", newline="") as file:
        return [row["word"] for row in csv.DictReader(file)]


def build(steps: Sequence[Step], store: Store, device: str, tick: Tick) -> Iterator[tuple[Step, Payload | PtxError]]:
    """See pipeline.BUILDERS."""
    watch = Stopwatch()
    for step in steps:
        try:
            words = _words(step, store)
        except PtxError as error:
            yield step, error
        else:
            yield step, Payload({FILE: to_csv(words)}, {"count": len(words)}, watch.lap())
        tick(1)


def _words(step: Step, store: Store) -> list[str]:
    if step.parents:
        words = read_words(step.parents[0], store)
        count = step.settings["count"]
        if not 0 < count <= len(words):
            raise PtxError(
                f"{count} anchors of {len(words)} shared words", f"choose --count between 1 and {len(words)}"
            )
        return choose(words, count=count, order=step.settings["order"], seed=step.settings.get("seed", 0))
    given = [] if step.file is None else words_of(step.file)
    words = shared_words([load_tokenizer(model.path) for model in step.models], given)
    if not words:
        names = ", ".join(step.labels["models"])
        raise PtxError(f"{names} share no anchors", "choose models whose vocabularies have words in common")
    return words
