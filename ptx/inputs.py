"""From a template and a subject to token ids: `[X]` the subject, `[V]` the soft prompt, `[Y]` the answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ptx.errors import PtxError

if TYPE_CHECKING:
    from jaxtyping import Int
    from transformers import PreTrainedTokenizerBase

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
    """Rows padded on the right to one width n."""

    ids: Int[Tensor, "b n"]
    attention: Int[Tensor, "b n"]
    prompt_at: Int[Tensor, " b"]
    answer_at: Int[Tensor, " b"]


def rows(
    tokenizer: PreTrainedTokenizerBase, template: str, subjects: Sequence[str], *, prompt_length: int, max_length: int
) -> list[Row]:
    """One input per subject. A subject too long for the model loses its last tokens, never the prompt or answer."""
    if template.count("[X]") != 1 or template.count("[Y]") != 1:
        raise PtxError(f"the template {template!r} needs one [X] and one [Y]", 'write it like "[X] is in [Y] ."')
    parts = [part for part in re.split(r"(\[[XVY]\])", template) if part.strip()]
    # Every part but the first stands after a space, which byte-level and Unigram tokenizers see.
    space = "" if parts[0] == "[X]" else " "
    subject_ids = tokenizer([space + s for s in subjects], add_special_tokens=False)["input_ids"]
    text_ids = {
        i: tokenizer((" " if i else "") + part.strip(), add_special_tokens=False)["input_ids"]
        for i, part in enumerate(parts)
        if part not in ("[X]", "[V]", "[Y]")
    }
    begin = [] if tokenizer.cls_token_id is None else [tokenizer.cls_token_id]
    end = [] if tokenizer.sep_token_id is None else [tokenizer.sep_token_id]
    fixed = sum(map(len, text_ids.values())) + len(begin) + len(end) + 1 + prompt_length * parts.count("[V]")
    if fixed >= max_length:
        raise PtxError(
            f"a prompt of {prompt_length} vectors leaves no room for a subject in {max_length} positions",
            "choose a smaller --prompt-length",
        )
    result = []
    for subject in subject_ids:
        ids = list(begin)
        prompt_at, answer_at = None, -1
        for i, part in enumerate(parts):
            if part == "[X]":
                ids += subject[: max_length - fixed]
            elif part == "[V]":
                prompt_at = len(ids)
                ids += [tokenizer.mask_token_id] * prompt_length  # placeholders
            elif part == "[Y]":
                answer_at = len(ids)
                ids += [tokenizer.mask_token_id]
            else:
                ids += text_ids[i]
        result.append(Row(tuple(ids + end), prompt_at, answer_at))
    return result


def collate(batch: Sequence[Row], pad_id: int) -> Batch:
    """Pad rows on the right."""
    width = max(len(row.ids) for row in batch)
    ids = torch.tensor([row.ids + (pad_id,) * (width - len(row.ids)) for row in batch])
    attention = torch.tensor([[1] * len(row.ids) + [0] * (width - len(row.ids)) for row in batch])
    prompt_at = torch.tensor([-1 if row.prompt_at is None else row.prompt_at for row in batch])
    return Batch(ids, attention, prompt_at, torch.tensor([row.answer_at for row in batch]))
