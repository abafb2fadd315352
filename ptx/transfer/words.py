"""Words that are one token in every model considered: what anchors are chosen from. Only tokenizers are read.

A word counts for a model if it is one token in the middle of a sentence, as the model's own tokenizer writes it, and if
that token's spelling is a word of the model too. So "Paris" counts for an uncased model, which reads it as "paris", and
it is shared with a cased model that has "Paris". Each word stands for a token of its own in every model: of "Paris" and
"paris", which are one token in the uncased model, the set has the more frequent, unless both are to be kept.
"""

import itertools
import random
from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from ptx.errors import PtxError
from ptx.lms.embeddings import folded, lead, one_token_words, vocabulary_words


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


def common_words(known: Sequence[Mapping[str, int]], *, keep: bool = False) -> list[str]:
    """The words that are known to all, one for each token unless told to `keep` all, the most frequent ones first.

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
        if keep or not any(of[word] in ids for of, ids in zip(known, taken, strict=True)):
            chosen.append(word)
            for of, ids in zip(known, taken, strict=True):
                ids.add(of[word])
    return chosen


def spellings(tokenizer: PreTrainedTokenizerBase, words: Sequence[str]) -> dict[str, str]:
    """What each word is in the middle of a sentence: "yes" for one token, "as WORD" for that of one before it, else its
    tokens."""
    known, first = one_token_words(tokenizer, words), dict[int, str]()
    found = {}
    for word in words:
        if word not in known:
            found[word] = " ".join(tokenizer.tokenize(f"{lead(tokenizer)}{word}")) or "nothing"
        else:
            same = first.setdefault(known[word], word)
            found[word] = "yes" if same == word else f"as {same}"
    return found


def shared_words(
    tokenizers: Sequence[PreTrainedTokenizerBase], words: Sequence[str] = (), *, keep: bool = False
) -> list[str]:
    """Words (of `words`, if given) that all tokenizers share, the most frequent ones first."""
    return common_words(known_words(tokenizers, words), keep=keep)


def account(
    names: Sequence[str],
    tokenizers: Sequence[PreTrainedTokenizerBase],
    known: Sequence[Mapping[str, int]],
    *,
    keep: bool = False,
) -> dict[str, Any]:
    """What of the vocabularies is shared, and what is left out and why, as figures for meta.json.

    `vocabularies`: for each model its tokens, how many of them are words, and how many words of all the other models
    it alone lacks, because there they are several tokens or none. `pairs`: the words that two models share.
    `same_token`: words left out because a model takes them for a more frequent one (unless told to `keep` them).
    """
    vocabularies = []
    for i, (name, tokenizer) in enumerate(zip(names, tokenizers, strict=True)):
        others = [*known[:i], *known[i + 1 :]]
        lacks = len(set(others[0]).intersection(*others[1:]) - known[i].keys()) if others else 0
        words = len(set(known[i].values()))
        vocabularies.append({"model": name, "tokens": len(tokenizer), "words": words, "lacks": lacks})
    places = list(itertools.combinations(range(len(names)), 2))
    pairs = [[names[i], names[j], len(common_words([known[i], known[j]], keep=keep))] for i, j in places]
    shared = set(known[0]).intersection(*known[1:])
    left_out = len(shared) - len(common_words(known, keep=keep))
    return {"vocabularies": vocabularies, "pairs": pairs, "same_token": left_out}


def choose(words: Sequence[str], *, count: int, order: str, seed: int) -> list[str]:
    """`count` anchors in their order of rank: the most frequent ones, or a random choice. Raises PtxError where there
    are fewer words."""
    if not 0 < count <= len(words):
        raise PtxError(f"{count} anchors of {len(words)} shared words", f"choose --count between 1 and {len(words)}")
    if order == "rank":
        return list(words[:count])
    kept = set(random.Random(seed).sample(range(len(words)), count))
    return [word for i, word in enumerate(words) if i in kept]
