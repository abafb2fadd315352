"""From a template and a subject to token ids (see template.py for templates)."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ptx.errors import PtxError
from ptx.lms.embeddings import lead, special_ids, spelled
from ptx.lms.template import IN_A_SENTENCE, Context, check, context_of

PLACEHOLDER = 0  # the token whose embedding a prompt vector replaces: any will do
STAND_INS = ("a", "0")  # subjects that differ, to see what of a text is not the subject's


@dataclass(frozen=True)
class Row:
    """One input: token ids, where the prompt's vectors begin (None without a prompt), where the answer is read, and
    what it touches there."""

    ids: tuple[int, ...]
    prompt_at: int | None
    answer_at: int
    context: Context = IN_A_SENTENCE


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
    around: tuple[Sequence[int], Sequence[int]] | None = None,
    refuse: Callable[[int, int], PtxError] | None = None,
) -> list[Row]:
    """One input per subject: what the tokenizer makes of the whole text, with the subject at [X] and a `blank` (the
    mask, unless another token is given) at [Y]. A causal LM's input ends before the answer, which is read at its last
    token. `around` is the frame, the tokenizer's own by default.

    A mask stands for a token that brings its own space, so the space before it is left out; so is that before a prompt.
    A subject too long for the model loses its last tokens, never the prompt or answer; with `refuse`, it is an error
    instead, made from its place in `subjects` and its length in tokens. Raises PtxError for a template that cannot be
    read.
    """
    template, context = check(template, causal=causal), context_of(check(template, causal=causal))
    blank = tokenizer.mask_token_id if blank is None and not causal else blank
    begin, end = around or frame(tokenizer)
    if causal:
        template, end = template.removesuffix("[Y]").removesuffix(" "), ()
    before, with_prompt, behind = template.partition("[V]")
    texts = [template]
    if with_prompt:
        space = lead(tokenizer) if behind.startswith(" ") else ""
        behind = behind.strip(" ")
        texts = [before.rstrip(" "), f"{space}{behind}" if behind else ""]
    parts = [_spelled(tokenizer, _with_blank(tokenizer, text, blank), subjects) for text in texts]
    fixed = sum(part.head + part.tail for part in parts) + len(begin) + len(end) + prompt_length * bool(with_prompt)
    if (room := max_length - fixed) <= 0:
        message = f"a prompt of {prompt_length} vectors leaves no room for a subject in {max_length} positions"
        raise PtxError(message, "choose a smaller --prompt-length")
    made = []
    for number in range(len(subjects)):
        ids = [*begin]
        prompt_at, answers = None, []
        for i, part in enumerate(parts):
            if i:
                prompt_at = len(ids)
                ids += [PLACEHOLDER] * prompt_length
            length = part.length(number)
            if refuse is not None and length > room:
                raise refuse(number, length)
            cut = part.cut(number, room)
            answers += [len(ids) + at for at, token in enumerate(cut) if token == blank]
            ids += cut
        if causal:
            answers = [len(ids) - 1]
        if len(answers) != 1:
            what = f"the tokenizer reads {len(answers)} blanks in the template {template!r}"
            raise PtxError(what, "write one [Y], with a space before it, and no mask")
        made.append(Row((*ids, *end), prompt_at, answers[0], context))
    return made


@dataclass(frozen=True)
class _Part:
    """Token ids of a text for each subject: the first `head` and the last `tail` of them are not the subject's."""

    ids: Sequence[list[int]]
    head: int
    tail: int

    def length(self, number: int) -> int:
        """How many tokens a subject is."""
        return len(self.ids[number]) - self.head - self.tail

    def cut(self, number: int, room: int) -> list[int]:
        """The ids of one subject, which loses its last tokens beyond `room`."""
        ids = self.ids[number]
        return ids[: self.head + min(room, self.length(number))] + ids[len(ids) - self.tail :]


def _with_blank(tokenizer: PreTrainedTokenizerBase, text: str, blank: int | None) -> str:
    """The text with the blank's spelling at [Y]. A space before it belongs to the answer that it stands for; most
    tokenizers drop it themselves."""
    if blank is None:
        return text
    token = str(tokenizer.convert_ids_to_tokens(blank))
    if blank in getattr(tokenizer, "added_tokens_decoder", {}):
        return text.replace(" [Y]", "[Y]").replace("[Y]", token)
    return text.replace("[Y]", spelled(tokenizer, token))  # mT5's sentinel is a word of its vocabulary


def _spelled(tokenizer: PreTrainedTokenizerBase, text: str, subjects: Sequence[str]) -> _Part:
    def encode(texts: Sequence[str]) -> list[list[int]]:
        found: list[list[int]] = tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []
        return found

    if "[X]" not in text:
        (ids,) = encode([text]) if text else [[]]
        return _Part([ids] * len(subjects), len(ids), 0)
    before, _, behind = text.partition("[X]")
    begun, one, other = encode([before.rstrip(" "), *(f"{before}{subject}{behind}" for subject in STAND_INS)])
    head = min(len(begun), _alike(one, other))
    tail = _alike(one[:head:-1], other[:head:-1])
    found = encode([f"{before}{subject}{behind}" for subject in subjects])
    special = special_ids(tokenizer) - {tokenizer.unk_token_id}
    own = sum(token in special for token in one)
    for i, (ids, subject) in enumerate(zip(found, subjects, strict=True)):
        if sum(token in special for token in ids) != own:  # the subject's "[MASK]" is letters
            space = lead(tokenizer) if before.endswith(" ") else ""
            found[i] = one[:head] + subject_tokens(tokenizer, [space + subject])[0] + one[len(one) - tail :]
    return _Part(found, head, tail)


def _alike(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two lists begin with alike."""
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def subject_tokens(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of users' texts, in which `[MASK]` or `</s>` are letters like others.

    What a tokenizer cannot spell otherwise (Unigram vocabularies hold their special tokens) becomes unknown.
    """
    if not texts:
        return []
    found = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True)["input_ids"]
    unknown = tokenizer.unk_token_id
    special = special_ids(tokenizer) - {unknown}
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


def collate(batch: Sequence[Row], pad_id: int) -> Batch:
    """Pad rows on the right to the width of the longest."""
    width = max(len(row.ids) for row in batch)
    ids = torch.tensor([row.ids + (pad_id,) * (width - len(row.ids)) for row in batch])
    attention = torch.tensor([[1] * len(row.ids) + [0] * (width - len(row.ids)) for row in batch])
    prompt_at = torch.tensor([-1 if row.prompt_at is None else row.prompt_at for row in batch])
    return Batch(ids, attention, prompt_at, torch.tensor([row.answer_at for row in batch]))
