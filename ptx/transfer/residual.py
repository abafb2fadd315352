"""A text in the target, plus what tuning added to that text in the source, moved along the paper's relative map.

U = E_t(text) + lambda R(D) with D = V - E_s(text), R(D)_i = |D_i| c u_i: u_i is the unit vector that `relative` finds
for D_i (Eq. 3 and 5), and c what a length in the source is in the target. Tokens are matched by the characters that
they cover; those of two texts by the words that both have, and between these in proportion. n, m: tokens of source and
target.
"""

import itertools
from collections.abc import Sequence
from difflib import SequenceMatcher

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize
from transformers import PreTrainedTokenizerBase

from ptx.errors import PtxError
from ptx.lms.embeddings import WordEmbeddings, lead, spelled
from ptx.transfer import solvers
from ptx.transfer.equations import combine, relative_representation, unit_rows
from ptx.transfer.target import TargetAnchors

Span = tuple[float, float]  # the first character of a text that a token covers, and the one behind the last; no spaces


def tokens_of(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[list[int], list[Span], int]:
    """A text's token ids in the middle of a sentence, what each covers, and the text's length. Spaces do not count:
    some tokenizers have them in the token behind, others nowhere. A token of a space alone covers nothing."""
    whole = f"{lead(tokenizer)}{text}"
    before = [0]
    for letter in whole:
        before.append(before[-1] + (not letter.isspace()))
    if tokenizer.is_fast:
        read = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
        ids, offsets = read["input_ids"], read["offset_mapping"]
        return ids, [(before[start], before[end]) for start, end in offsets], before[-1]
    ids = tokenizer(whole, add_special_tokens=False)["input_ids"]  # slow ones say no places
    spans: list[Span] = []
    end = 0
    for token in tokenizer.convert_ids_to_tokens(ids):
        start, end = end, min(end + len("".join(spelled(tokenizer, token).split())), before[-1])
        spans.append((start, end))
    return ids, spans, before[-1]


def placed(
    text: str, sources: Sequence[tuple[WordEmbeddings, int, str]], target: WordEmbeddings
) -> tuple[list[int], list[Float[Tensor, "m _"]]]:
    """For source prompts that started from the last n tokens of a text of their own, all of them over and over (see
    text_prompt): the target's tokens of `text`, and for each source the share that each of its n vectors has in each of
    them.

    The text stands there once: of vectors that repeat theirs the last ones count, and what a source's vectors do not
    reach, or its text does not have, stays text. Raises PtxError for a text in which a tokenizer finds nothing.
    """
    ids, spans, _ = tokens_of(target.tokenizer, text)
    every = []
    for model, n, own in sources:
        known = tokens_of(model.tokenizer, own)[1][-n:]
        if not ids or not known:
            name, what = (model.name, own) if ids else (target.name, text)
            raise PtxError(f"the tokenizer of {name} finds nothing in {what!r}", "choose another text")
        parts = matched(own, text)
        there = [_carried(span, parts) for span in known]
        first, added = there[0][0], [part for start, end, *part in parts if start == end]
        lacking = [start < end and any(i <= start and end <= j for i, j in added) for start, end in spans]
        reached = [
            not lacks and (end > first or start >= first) for lacks, (start, end) in zip(lacking, spans, strict=True)
        ]
        unused = torch.zeros(len(spans), n - len(known), dtype=torch.float64)
        own_shares = shares(spans, there) * torch.tensor(reached, dtype=torch.float64)[:, None]
        every.append(torch.cat([unused, own_shares], 1))
    return ids, every


def matched(source: str, target: str) -> list[tuple[int, int, int, int]]:
    """Parts of two texts that stand for each other, by first and last character, spaces left aside: the same words in
    the same order, and what lies between these, of which either may be empty."""
    words = source.split(), target.split()
    ends = [[0, *itertools.accumulate(map(len, of))] for of in words]
    codes = SequenceMatcher(None, *words, autojunk=False).get_opcodes()
    return [(ends[0][i], ends[0][j], ends[1][k], ends[1][n]) for _, i, j, k, n in codes]


def _carried(span: Span, parts: Sequence[tuple[int, int, int, int]]) -> Span:
    """Where a token of the one text lies in the other: within a part in proportion."""
    start, end = 0.0 if not parts else float(parts[-1][3]), 0.0
    for first, last, low, high in parts:
        rate = (high - low) / max(last - first, 1)
        if first <= span[0] < last:
            start = low + (span[0] - first) * rate
        if first < span[1] <= last:
            end = low + (span[1] - first) * rate
    return start, end


def shares(target: Sequence[Span], source: Sequence[Span]) -> Float[Tensor, "m n"]:
    """How much of each target token is each source token's, by the characters that both cover; rows sum to one. One
    that shares no character with any is wholly the nearest one's, the first of equals."""
    t, s = (torch.tensor(spans, dtype=torch.float64) for spans in (target, source))
    common = torch.minimum(t[:, None, 1], s[None, :, 1]) - torch.maximum(t[:, None, 0], s[None, :, 0])
    nearest = torch.nn.functional.one_hot((t.sum(-1)[:, None] - s.sum(-1)).abs().argmin(-1), len(s)).double()
    common = torch.where((common > 0).any(-1, keepdim=True), common.clamp_min(0), nearest)
    return common / common.sum(-1, keepdim=True)


def scale(source: Float[Tensor, "k ds"], target: Float[Tensor, "k dt"]) -> float:
    """c: how much longer the words' vectors are in the target, around their mean."""
    spread = [(words.double() - words.double().mean(0)).norm() for words in (source, target)]
    return (spread[1] / spread[0]).item()


def moved(
    differences: Float[Tensor, "m ds"],
    *,
    source: Float[Tensor, "k ds"],
    anchors: TargetAnchors,
    top_k: int | str = "all",
) -> Float[Tensor, "m dt"]:
    """c u_i |D_i|, without c: for each difference the unit vector that `relative` finds, at the difference's length.
    `source` are the embeddings of the anchors; those of `top_k` count in source and target alike."""
    similarities = relative_representation(differences, anchors=unit_rows(source))
    c, mask = combine([similarities], weights=[1.0], top_k=top_k, mask="both")
    unit = normalize(solvers.exact(c, anchors=anchors, mask=mask), dim=-1)
    return unit * differences.double().norm(dim=-1, keepdim=True)
