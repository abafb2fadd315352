"""Anchors: words that are one token in every model considered. Only tokenizers are read.

A word counts for a model if it is one token in the middle of a sentence, as the model's own tokenizer writes it, and if
that token's spelling is a word of the model too. So "Paris" counts for an uncased model, which reads it as "paris", and
it is shared with a cased model that has "Paris". Each word stands for a token of its own in every model: of "Paris" and
"paris", which are one token in the uncased model, the set has the more frequent.
"""

from __future__ import annotations

import csv
import io
import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ptx.cache import Store
from ptx.errors import PtxError
from ptx.lms.embeddings import folded, load_tokenizer, one_token_words, vocabulary_words
from ptx.pipeline import Payload, Stopwatch, Tick, payload_of
from ptx.step import Step
from ptx.suites.lines import words_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FILE = "words.csv"


def known_words(tokenizers: Sequence[PreTrainedTokenizerBase], words: Sequence[str] = ()) -> list[dict[str, int]]:
    """For each tokenizer word -> token id, of the words (of `words`, if given) that count for it.

    The candidates are the words of all vocabularies, as each of them spells its own.
    """
    if words:
        return [one_token_words(tokenizer, words) for tokenizer in tokenizers]
    vocabularies = [vocabulary_words(tokenizer) for tokenizer in tokenizers]
    candidates = {word: folded(word) for vocabulary in vocabularies for word in vocabulary}
    known = []
    for tokenizer, vocabulary in zip(tokenizers, vocabularies, strict=True):
        forms = {candidates[word] for word in vocabulary}
        others = [word for word, form in candidates.items() if form in forms and word not in vocabulary]
        known.append(vocabulary | one_token_words(tokenizer, others))
    return known


def common_words(known: Sequence[Mapping[str, int]]) -> list[str]:
    """The words that are known to all, one for each token, the most frequent ones first.

    Vocabularies are written in the order of frequency, so a word's rank is its mean position among the shared words.
    """
    shared = set(known[0]).intersection(*known[1:])
    ranks: dict[str, int] = dict.fromkeys(shared, 0)
    for of in known:
        places = {token: rank for rank, token in enumerate(sorted({of[word] for word in shared}))}
        for word in shared:
            ranks[word] += places[of[word]]
    taken: list[set[int]] = [set() for _ in known]
    chosen = []
    for word in sorted(shared, key=lambda word: (ranks[word], word)):
        if not any(of[word] in ids for of, ids in zip(known, taken, strict=True)):
            chosen.append(word)
            for of, ids in zip(known, taken, strict=True):
                ids.add(of[word])
    return chosen


def shared_words(tokenizers: Sequence[PreTrainedTokenizerBase], words: Sequence[str] = ()) -> list[str]:
    """Words (of `words`, if given) that all tokenizers share, the most frequent ones first."""
    return common_words(known_words(tokenizers, words))


def account(
    names: Sequence[str], tokenizers: Sequence[PreTrainedTokenizerBase], known: Sequence[Mapping[str, int]]
) -> dict[str, Any]:
    """What of the vocabularies is shared, and what is left out and why, as figures for meta.json.

    `vocabularies`: for each model its tokens, how many of them are words, and how many words of all the other models
    it alone lacks, because there they are several tokens or none. `pairs`: the words that two models share.
    `same_token`: words left out because a model takes them for a more frequent one.
    """
    vocabularies = []
    for i, (name, tokenizer) in enumerate(zip(names, tokenizers, strict=True)):
        others = [*known[:i], *known[i + 1 :]]
        lacks = len(set(others[0]).intersection(*others[1:]) - known[i].keys()) if others else 0
        words = len(set(known[i].values()))
        vocabularies.append({"model": name, "tokens": len(tokenizer), "words": words, "lacks": lacks})
    places = list(itertools.combinations(range(len(names)), 2))
    pairs = [[names[i], names[j], len(common_words([known[i], known[j]]))] for i, j in places]
    shared = set(known[0]).intersection(*known[1:])
    return {"vocabularies": vocabularies, "pairs": pairs, "same_token": len(shared) - len(common_words(known))}


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
            words, figures = _chosen(step, store) if step.parents else _shared(step)
        except PtxError as error:
            yield step, error
        else:
            yield step, Payload({FILE: to_csv(words)}, {"count": len(words), **figures}, watch.lap())
        tick(1)


def _chosen(step: Step, store: Store) -> tuple[list[str], dict[str, Any]]:
    words = read_words(step.parents[0], store)
    count = step.settings["count"]
    if not 0 < count <= len(words):
        raise PtxError(f"{count} anchors of {len(words)} shared words", f"choose --count between 1 and {len(words)}")
    return choose(words, count=count, order=step.settings["order"], seed=step.settings.get("seed", 0)), {}


def _shared(step: Step) -> tuple[list[str], dict[str, Any]]:
    given = [] if step.file is None else words_of(step.file)
    models = sorted(step.models, key=lambda model: step.labels["models"].index(model.name))
    names = [model.name for model in models]
    tokenizers = [load_tokenizer(model.path) for model in models]
    known = known_words(tokenizers, given)
    words = common_words(known)
    if not words:
        raise PtxError(f"{', '.join(names)} share no anchors", "choose models whose vocabularies have words in common")
    return words, account(names, tokenizers, known)
