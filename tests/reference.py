"""P@1 written out with transformers and torch alone, to judge ptx by: nothing of ptx is imported.

One fact, one forward pass, in float64: no batch, no padding, no mask. The answer is found by sorting.
"""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM, AutoTokenizer

LAYOUTS = {"postfix": "[X] [V] [Y] .", "prefix": "[V] [X] [Y] ."}
# By model type: how a model answers, the token that stands for the answer, and what stands before and behind a text.
FAMILIES: dict[str, tuple[str, str, list[str], list[str]]] = {
    "bert": ("masked", "[MASK]", ["[CLS]"], ["[SEP]"]),
    "roberta": ("masked", "<mask>", ["<s>"], ["</s>"]),
    "gpt2": ("causal", "", [], []),
    "opt": ("causal", "", ["</s>"], []),
    "bart": ("infill", "<mask>", ["<s>"], ["</s>"]),
    "t5": ("span", "<extra_id_0>", [], ["</s>"]),
}
CLASSES = {"masked": AutoModelForMaskedLM, "causal": AutoModelForCausalLM}  # else an encoder-decoder
NEAR = 3e-4  # scores that differ by less may be in another order in float32

Fact = tuple[str, str]  # subject, object


@dataclass(frozen=True)
class Plain:
    """A checkpoint as transformers loads it."""

    kind: str
    tokenizer: Any
    network: Any
    before: list[int]  # tokens around every text
    behind: list[int]
    blank: int | None  # the token that stands for the answer

    def middle(self, text: str) -> list[int]:
        """The tokens of a text in the middle of a sentence."""
        sentence, begun = (self.tokenizer(t, add_special_tokens=False)["input_ids"] for t in (f"a {text}", "a"))
        assert sentence[: len(begun)] == begun
        return sentence[len(begun) :]

    def token(self, word: str) -> Any:
        """The one token that a word is; None if it is several, or unknown."""
        ids = self.middle(word)
        return ids[0] if len(ids) == 1 and ids[0] not in self.tokenizer.all_special_ids else None

    @property
    def positions(self) -> int | None:
        """The longest input; None where a model measures distances. RoBERTa leaves the first positions unused."""
        config = self.network.config
        longest = getattr(config, "max_position_embeddings", None)
        return longest - config.pad_token_id - 1 if config.model_type == "roberta" else longest

    @torch.no_grad()
    def scores(self, template: str, subject: str, prompt: Tensor | None = None) -> list[float]:
        """The score of every token as the answer [Y], with the subject at [X] and the prompt's vectors at [V]."""
        behind = self.behind
        if self.kind == "causal":  # the answer comes next
            template, behind = template[: template.index("[Y]")], []
        parts = [part.strip() for part in re.split(r"(\[[XVY]\])", template) if part.strip()]
        ids: dict[str, Any] = {"[V]": [], "[Y]": [self.blank]}
        for i, part in enumerate(parts):
            if part not in ids:
                text = subject if part == "[X]" else part
                ids[part] = self.middle(text) if i else self.tokenizer(text, add_special_tokens=False)["input_ids"]
        if self.positions is not None:  # what is too long loses the end of its subject
            others = sum(len(ids[part]) for part in parts if part != "[X]") + len(self.before) + len(behind)
            ids["[X]"] = ids["[X]"][: self.positions - others - (0 if prompt is None else len(prompt))]
        matrix, config = self.network.get_input_embeddings().weight, self.network.config
        vectors, at = [matrix[self.before]], 0
        for part in parts:
            if part == "[Y]":
                at = sum(map(len, vectors))
            vectors.append(prompt.double() if part == "[V]" and prompt is not None else matrix[ids[part]])
        scale = config.d_model**0.5 if getattr(config, "scale_embedding", False) else 1.0
        inputs = scale * torch.cat([*vectors, matrix[behind]])[None]
        more: dict[str, Tensor] = {}
        if self.kind == "infill":  # the decoder has written all that stands before the mask
            start = scale * matrix[[config.decoder_start_token_id]][None]
            more["decoder_inputs_embeds"] = torch.cat([start, inputs[:, :at]], 1)
        if self.kind == "span":
            more["decoder_input_ids"] = torch.tensor([[config.decoder_start_token_id, self.blank]])
        logits = self.network(inputs_embeds=inputs, **more).logits[0]
        return logits[at if self.kind == "masked" else -1].tolist()


@functools.cache
def load(folder: str) -> Plain:
    kind, blank, before, behind = FAMILIES[AutoConfig.from_pretrained(folder).model_type]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = CLASSES.get(kind, AutoModelForSeq2SeqLM).from_pretrained(folder, dtype=torch.float64).eval()
    ids = tokenizer.get_vocab()
    return Plain(kind, tokenizer, network, [ids[t] for t in before], [ids[t] for t in behind], ids.get(blank))


@dataclass(frozen=True)
class Answer:
    """The likeliest token, its probability, and the object's rank. `sure` unless float32 may see another order."""

    predicted: int
    probability: float
    rank: int
    right: bool
    sure: bool


def answer(scores: Sequence[float], allowed: Collection[int], own: int) -> Answer:
    """The answer among the allowed tokens, to a fact whose object is the token `own`."""
    ordered = sorted(allowed, key=lambda token: -scores[token])
    best = scores[ordered[0]]
    probability = 1 / sum(math.exp(scores[token] - best) for token in allowed)
    rank = 1 + sum(scores[token] > scores[own] for token in allowed)
    close = [sum(abs(scores[token] - scores[to]) < NEAR for token in allowed) for to in (ordered[0], own)]
    return Answer(ordered[0], probability, rank, ordered[0] == own, close == [1, 1])


@dataclass(frozen=True)
class Scored:
    """The facts whose object is an allowed answer, and the answers to them."""

    kept: list[Fact]
    answers: list[Answer]
    dropped: int

    @property
    def correct(self) -> int:
        return sum(answer.right for answer in self.answers)

    @property
    def unsure(self) -> int:
        return sum(not answer.sure for answer in self.answers)


def score(
    model: Plain, facts: Sequence[Fact], words: Sequence[str] | None, template: str, prompt: Tensor | None = None
) -> Scored:
    """Facts answered among words that are one token each, or (None) among all tokens."""
    known = {word: model.token(word) for word in words or [obj for _, obj in facts]}
    kept = [fact for fact in facts if known.get(fact[1]) is not None]
    answers = []
    for subject, obj in kept:
        scores = model.scores(template, subject, prompt)
        allowed = range(len(scores)) if words is None else [known[word] for word in words]
        answers.append(answer(scores, allowed, known[obj]))
    return Scored(kept, answers, len(facts) - len(kept))


def floor(train: Sequence[Fact], scored: Scored, words: Sequence[str]) -> float | None:
    """The accuracy of always answering with the most frequent train object that is allowed, the first by name."""
    counts = Counter(obj for _, obj in train if obj in words)
    if not counts:
        return None
    usual = sorted(obj for obj in counts if counts[obj] == max(counts.values()))[0]
    return sum(obj == usual for _, obj in scored.kept) / len(scored.kept)
