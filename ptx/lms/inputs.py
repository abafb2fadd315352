"""From a template and a subject to token ids: `[X]` the subject, `[V]` the soft prompt, `[Y]` the answer."""

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ptx.errors import PtxError
from ptx.lms.embeddings import lead

PLACEHOLDER = 0  # the token whose embedding a prompt vector replaces: any will do
# Where the soft prompt stands (the paper, Section 2; the prefix layout is the authors' code's).
LAYOUTS = {"postfix": "[X] [V] [Y] .", "prefix": "[V] [X] [Y] ."}


@dataclass(frozen=True)
class Row:
    """One input: token ids, where the prompt's vectors begin (None without a prompt), where the answer is read."""

    ids: tuple[int, ...]
    prompt_at: int | None
    answer_at: int


@dataclass(frozen=True)
class Batch:
    """Rows padded to one width n. Positions count from the left edge of the padded row."""

    ids: Int[Tensor, "b n"]
    attention: Int[Tensor, "b n"]
    prompt_at: Int[Tensor, " b"]
    answer_at: Int[Tensor, " b"]


def rows(
    tokenizer: PreTrainedTokenizerBase,
    template: str,
    subjects: Sequence[str],
    *,
    prompt_length: int,
    max_length: int,
    causal: bool = False,
    blank: int | None = None,
    refuse: Callable[[int, int], PtxError] | None = None,
) -> list[Row]:
    """One input per subject. The answer is a `blank` (the mask, unless another token is given); a causal LM's input
    ends before the answer, which is read at its last token.

    A subject too long for the model loses its last tokens, never the prompt or answer; with `refuse`, it is an error
    instead, made from its place in `subjects` and its length in tokens.
    """
    if template.count("[X]") != 1 or template.count("[Y]") != 1:
        raise PtxError(f"the template {template!r} needs one [X] and one [Y]", 'write it like "[X] is in [Y] ."')
    if causal:
        template = template[: template.index("[Y]") + len("[Y]")]
        if "[X]" not in template:
            hint = "reword the template so that [Y] comes last"
            raise PtxError(f"a causal LM cannot read {template!r}: the answer comes before the subject", hint)
    parts = [part for part in re.split(r"(\[[XVY]\])", template) if part.strip()]
    # Every part but the first stands after a space, which byte-level and Unigram tokenizers see.
    inside = lead(tokenizer)
    space = "" if parts[0] == "[X]" else inside
    subject_ids = subject_tokens(tokenizer, [space + s for s in subjects])
    text_ids = {
        i: tokenizer.encode((inside if i else "") + part.strip(), add_special_tokens=False)
        for i, part in enumerate(parts)
        if part not in ("[X]", "[V]", "[Y]")
    }
    begin, end = frame(tokenizer)
    answer = [tokenizer.mask_token_id if blank is None else blank]
    if causal:
        answer, end = [], []
    fixed = sum(map(len, (begin, answer, end, *text_ids.values()))) + prompt_length * parts.count("[V]")
    if fixed >= max_length:
        message = f"a prompt of {prompt_length} vectors leaves no room for a subject in {max_length} positions"
        raise PtxError(message, "choose a smaller --prompt-length")
    result = []
    for number, subject in enumerate(subject_ids):
        if refuse is not None and len(subject) > max_length - fixed:
            raise refuse(number, len(subject))
        ids = list(begin)
        prompt_at, answer_at = None, -1
        for i, part in enumerate(parts):
            if part == "[X]":
                ids += subject[: max_length - fixed]
            elif part == "[V]":
                prompt_at = len(ids)
                ids += [PLACEHOLDER] * prompt_length
            elif part == "[Y]":
                answer_at = len(ids) - causal
                ids += answer
            else:
                ids += text_ids[i]
        result.append(Row(tuple(ids + end), prompt_at, answer_at))
    return result


def subject_tokens(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of users' texts, in which `[MASK]` or `</s>` are letters like others.

    What a tokenizer cannot spell otherwise (Unigram vocabularies hold their special tokens) becomes unknown.
    """
    if not texts:
        return []
    found = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True)["input_ids"]
    unknown = tokenizer.unk_token_id
    special = set(tokenizer.all_special_ids) - {unknown}
    if special.isdisjoint(itertools.chain.from_iterable(found)):
        return found
    spell = [] if unknown is None else [unknown]
    return [[j for i in ids for j in (spell if i in special else [i])] for ids in found]


def frame(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """The tokens that the tokenizer puts around every text."""
    whole, text = tokenizer.encode("a"), tokenizer.encode("a", add_special_tokens=False)
    for at in range(len(whole)):
        if text and whole[at : at + len(text)] == text:
            return whole[:at], whole[at + len(text) :]
    return [], []


def collate(batch: Sequence[Row], pad_id: int, *, side: str = "right") -> Batch:
    """Pad rows to the width of the longest, on the right or on the left."""
    width = max(len(row.ids) for row in batch)
    gaps = [width - len(row.ids) for row in batch]
    before = [gap if side == "left" else 0 for gap in gaps]
    after = [gap - left for gap, left in zip(gaps, before, strict=True)]
    padded = list(zip(batch, before, after, strict=True))
    ids = torch.tensor([(pad_id,) * left + row.ids + (pad_id,) * right for row, left, right in padded])
    attention = torch.tensor([[0] * left + [1] * len(row.ids) + [0] * right for row, left, right in padded])
    prompt_at = torch.tensor([-1 if row.prompt_at is None else left + row.prompt_at for row, left, _ in padded])
    return Batch(ids, attention, prompt_at, torch.tensor([left + row.answer_at for row, left, _ in padded]))
