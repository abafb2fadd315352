"""A text in the target, plus what tuning added to that text in the source, moved along the paper's relative map.

U = E_t(text) + lambda R(D) with D = V - E_s(text), R(D)_i = |D_i| c u_i: u_i is the unit vector that `relative` finds
for D_i (Eq. 3 and 5), and c what a length in the source is in the target. Tokens are matched by the characters that
they cover. n, m: tokens of source and target.
"""

from collections.abc import Sequence

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

Span = tuple[int, int]  # the first character of a text that a token covers, and the one behind the last; no spaces


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
    spans, end = [], 0
    for token in tokenizer.convert_ids_to_tokens(ids):
        start, end = end, min(end + len("".join(spelled(tokenizer, token).split())), before[-1])
        spans.append((start, end))
    return ids, spans, before[-1]


def placed(
    text: str, sources: Sequence[tuple[WordEmbeddings, int]], target: WordEmbeddings
) -> tuple[list[int], list[Float[Tensor, "m _"]]]:
    """For source prompts that started from the last n tokens of a text, all of them over and over (see text_prompt):
    the target's tokens of the text, and for each source the share that each of its n vectors has in each of them.

    The text stands there once: of vectors that repeat it the last ones count, and what a source's vectors do not reach
    stays text. Raises PtxError for a text in which a tokenizer finds nothing.
    """
    ids, spans, _ = tokens_of(target.tokenizer, text)
    every = []
    for model, n in sources:
        known = tokens_of(model.tokenizer, text)[1][-n:]
        if not ids or not known:
            raise PtxError(
                f"the tokenizer of {(model if ids else target).name} finds nothing in {text!r}", "choose another text"
            )
        first = known[0][0]
        reached = torch.tensor([end > first or start >= first for start, end in spans], dtype=torch.float64)
        unused = torch.zeros(len(spans), n - len(known), dtype=torch.float64)
        every.append(torch.cat([unused, shares(spans, known) * reached[:, None]], 1))
    return ids, every


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
