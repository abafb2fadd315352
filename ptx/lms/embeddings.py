"""A model's words and their embeddings: all that anchors, encodings and searches need of it."""

import functools
import itertools
import math
import unicodedata
from collections.abc import Iterable, Sequence
from logging import CRITICAL
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from ptx import files
from ptx.cache import digest
from ptx.errors import PtxError, first_line
from ptx.lms import contents
from ptx.lms.models import LOCAL, Model, unchanged
from ptx.lms.stored import part_of
from ptx.lms.template import IN_A_SENTENCE, STAND_IN, Context
from ptx.lms.weights import read_json, word_matrix

PLAIN = ("F64", "F32", "BF16", "F16")
SMALLEST, LARGEST = 1e-9, 1e9  # those of trained models go up to 0.01 at least, and to 1000 at most
ALIKE = 1e-5  # of the largest number: less is lost when float32 compares words
SAMPLE = 1024  # rows, evenly spaced, that are compared with each other
ROWS = 4096  # of a matrix that are looked at together
TOGETHER = 4096  # words encoded at a time: what a tokenizer says of each takes a kilobyte
SENTINELS = ("<extra_id_0>", "▁<extra_id_0>")  # T5's, and mT5's as SentencePiece spells it
FITTING = "name the model that the prompt was made for as --target, or transfer it with `ptx search`"


class WordEmbeddings:
    """The word-embedding matrix [v, d], and the tokenizer that numbers its rows.

    d is the *embedding* width (ALBERT: not the hidden width). The matrix is kept in the type that it came in, which may
    be that of a network's own; what is taken from it is in float32. Raises PtxError for a matrix that means nothing
    (see `check_values`), or with fewer rows than the tokenizer needs (see `check_rows`).
    """

    def __init__(self, name: str, tokenizer: PreTrainedTokenizerBase, matrix: Float[Tensor, "vocabulary d"]) -> None:
        check_rows(name, tokenizer, len(matrix))
        check_values(name, matrix)
        self.name = name
        self.tokenizer = tokenizer
        self.matrix = matrix
        self.device = matrix.device

    @functools.cached_property
    def statistics(self) -> tuple[float, float]:
        """Mean and (population) std over the whole matrix."""
        return moments(self.matrix)

    def words(self, words: Iterable[str], context: Context = IN_A_SENTENCE) -> dict[str, int]:
        """word -> token id, for those of `words` that are one token here (see `one_token_words`)."""
        return one_token_words(self.tokenizer, words, context)

    def fit(self, prompt: Float[Tensor, "m d"], hint: str = FITTING) -> Float[Tensor, "m d"]:
        """The prompt on this model's device. Raises PtxError if it is of another width than the word embeddings."""
        width = self.matrix.shape[1]
        if prompt.shape[1] != width:
            what = f"the prompt's vectors have {prompt.shape[1]} numbers, the word embeddings of {self.name} {width}"
            raise PtxError(what, hint)
        return prompt.to(self.device)

    def check_ids(self, ids: Iterable[int], where: str) -> None:
        """Raise PtxError if one of an input's tokens has no row: see `check_rows`."""
        if (i := max(ids, default=0)) >= len(self.matrix):
            token = self.tokenizer.convert_ids_to_tokens(i)
            raise PtxError(f"the token {token!r} has no word embedding in {self.name}", f"leave it out of {where!r}")

    def word_ids(self, words: Sequence[str]) -> Int[Tensor, " k"]:
        """Token ids of words that are known to be one token each, in their order."""
        ids = self.words(words)
        return torch.tensor([ids[word] for word in words], device=self.device)

    def word_embeddings(self, words: Sequence[str]) -> Float[Tensor, "k d"]:
        """The embeddings of words that are known to be one token each."""
        return self.matrix[self.word_ids(words)].float()


def moments(matrix: Float[Tensor, "v d"], *, correction: int = 0) -> tuple[float, float]:
    """Mean and standard deviation of all numbers of a matrix, this with `correction` (1: of the sample) taken from
    their count. Of another type than float32 some thousand rows at a time, so that there is no copy of the whole."""
    if matrix.dtype == torch.float32:
        return matrix.mean().item(), matrix.std(correction=correction).item()
    n, parts = matrix.numel(), matrix.split(ROWS)
    mean = sum(part.double().sum().item() for part in parts) / n
    squares = sum((part.double() - mean).square().sum().item() for part in parts)
    return mean, math.sqrt(squares / (n - correction))


def check_values(name: str, matrix: Float[Tensor, "vocabulary d"]) -> None:
    """Raise PtxError for word embeddings that are not finite, so large or small that float32 cannot sum their squares,
    or all alike: every word would be as similar as any other, and no prompt score anything."""
    largest = torch.stack([end for rows in matrix.split(ROWS) for end in rows.aminmax()]).float().abs().max().item()
    if not math.isfinite(largest):
        what = "hold values that are not finite"
    elif not SMALLEST < largest < LARGEST:
        what = f"have numbers up to {largest:.2g}, with which float32 cannot compute"
    elif _alike(matrix[:: -(-len(matrix) // SAMPLE)].float(), ALIKE * largest):
        what = "are the same for all words"
    else:
        return
    hint = "the checkpoint is damaged, or was saved after training had diverged: choose another"
    raise PtxError(f"the word embeddings of {name} {what}", hint)


def _alike(rows: Float[Tensor, "n d"], by: float) -> bool:
    """Whether all rows but a few (that of padding is often zero) differ by less than this."""
    apart = (rows - rows.median(0).values).abs().amax(1) >= by
    return bool(apart.float().mean() < 0.01)


def check_rows(name: str, tokenizer: PreTrainedTokenizerBase, rows: int) -> None:
    """Raise PtxError if a token that inputs are made of has no row: any that text can be, and of the special ones the
    mask, padding, and what stands around a text.

    Other special tokens may lie beyond the matrix: Gemma 3 1B's of images, Code Llama's of filling in the middle.
    """
    vocabulary = tokenizer.get_vocab()
    beyond = {i: token for token, i in vocabulary.items() if i >= rows}
    if not beyond:
        return
    roles = [tokenizer.mask_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id]
    used = {*roles, *tokenizer.encode("a"), *map(vocabulary.get, SENTINELS)}
    if ordinary := beyond.keys() - special_ids(tokenizer):
        what = f"numbers tokens up to {max(ordinary)} ({beyond[max(ordinary)]!r})"
        hint = "save the tokenizer and the model that belong together into one folder"
    elif needed := beyond.keys() & used:
        what = f"makes inputs with {beyond[min(needed)]!r}, its token {min(needed)}"
        hint = "whoever added it left out its row: use the tokenizer that the model was trained with"
    else:
        return
    raise PtxError(f"the tokenizer of {name} {what}; its word embeddings have {rows} rows only", hint)


def place(device: str) -> str:
    """Where to compute: "auto" is a GPU if there is one."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


def read_embeddings(folder: Path) -> Float[Tensor, "vocabulary d"] | None:
    """The word-embedding matrix of a model's folder, read without the rest of the model into memory of its own.

    None unless exactly one matrix in its safetensors files has a name that says so, and if it is quantized.
    """
    matrix = word_matrix(folder)
    if matrix is None or matrix.dtype not in PLAIN:
        return None  # the model's own loader says what is wrong
    return part_of(matrix, torch.float32)[...].float()


def load_embeddings(model: Model, device: str) -> WordEmbeddings:
    """A model's word embeddings in float32, from its safetensors files alone where these show which they are. Two are
    kept."""
    return _load_embeddings(model, place(device))


@functools.lru_cache(maxsize=2)
def _load_embeddings(model: Model, device: str) -> WordEmbeddings:
    with unchanged(model):
        matrix = read_embeddings(Path(model.path))
        if matrix is not None:
            return WordEmbeddings(model.name, load_tokenizer(model.path), matrix.to(device))
    from ptx.lms.lm import load_model  # and the classes of networks, which take seconds to import

    return load_model(model, device)


def tokenizer_of(model: Model) -> PreTrainedTokenizerBase:
    """The tokenizer that a model's digest is of. Raises PtxError if its files have changed since."""
    with unchanged(model):
        return load_tokenizer(model.path)


def load_tokenizer(path: str) -> PreTrainedTokenizerBase:
    """The tokenizer in a folder; a command that names six models reads each of them once. Raises PtxError."""
    folder = Path(path)
    content = [contents.digests(folder, tokenizer_only=True), read_json(folder / contents.CONFIG)]
    return _load_tokenizer(path, digest(content))


@functools.lru_cache(maxsize=16)
def _load_tokenizer(path: str, content: str) -> PreTrainedTokenizerBase:
    with files.unchanged(path, lambda: contents.states(Path(path))):
        return _made_of(path)


def _made_of(path: str) -> PreTrainedTokenizerBase:
    transformers_logging.set_verbosity(CRITICAL)
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, **LOCAL)
    except Exception as error:  # the tokenizers library raises bare ones
        hint = "save the tokenizer into the folder with `save_pretrained`"
        if not (Path(path) / "tokenizer.json").is_file() and any(Path(path).glob("*.model")):
            packages = "sentencepiece protobuf tiktoken"
            hint = f"it has no tokenizer.json: run `pip install {packages}`, which convert its .model file"
        raise PtxError(f"cannot load the tokenizer in {path}: {first_line(error)}", hint) from None
    if tokenizer.is_fast:
        for name in ("_vocab", "_merges"):  # what it was made from: 150 MB of a vocabulary of 262,144 words
            vars(tokenizer).pop(name, None)
    return tokenizer


def lead(tokenizer: PreTrainedTokenizerBase) -> str:
    """What to put before a text to get its tokens in the middle of a sentence: a space, or nothing.

    Nothing where the tokenizer writes the space itself and takes ours for a second one (Llama 2's, Mistral's).
    """
    ids = functools.partial(tokenizer.encode, add_special_tokens=False)
    sentence = ids("a a")
    return next((space for space in (" ", "") if (own := ids(f"{space}a")) and sentence[-len(own) :] == own), " ")


def folded(text: str) -> str:
    """The text without case, accents and typographic variants: the most that a tokenizer's normaliser takes away."""
    return "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))


def special_ids(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Tokens that stand for no text: masks, padding, sentinels."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    return {*tokenizer.all_special_ids, *(i for i, token in added.items() if token.special)}


def spelled(tokenizer: PreTrainedTokenizerBase, token: str) -> str:
    """The text that a token stands for, without the space before it."""
    return tokenizer.convert_tokens_to_string([token]).strip()


def one_token_words(
    tokenizer: PreTrainedTokenizerBase, words: Iterable[str], context: Context = IN_A_SENTENCE
) -> dict[str, int]:
    """word -> token id, for the words that are one known token in a context, in their order.

    By default that is the middle of a sentence, which matters to byte-level BPE and Unigram vocabularies, where a word
    carries its leading space; at the start of a text or behind a quote it is another token. The token must spell the
    word, but for what the model's own normaliser takes away: an uncased model knows "Paris" as "paris", so both of
    these words are this token there.
    """
    words = list(words)
    if not words:
        return {}
    before, behind = context
    opening: list[int] = []
    if context == IN_A_SENTENCE:
        before = lead(tokenizer)
    else:
        before = STAND_IN + before if before[:1].isspace() else before
        opening = _encoded(tokenizer, [before.removesuffix(" ")])[0] if before else []
    texts = [f"{before}{word}{behind}" for word in words]
    parts = (texts[i : i + TOGETHER] for i in range(0, len(texts), TOGETHER))
    encoded = itertools.chain.from_iterable(_encoded(tokenizer, part) for part in parts)
    special, begun = special_ids(tokenizer), len(opening)
    found = {
        word: ids[begun]
        for word, ids in zip(words, encoded, strict=True)
        if ids[:begun] == opening and (len(ids) == begun + 1 or (behind and len(ids) > begun + 1))
    }
    found = {word: token for word, token in found.items() if token not in special}
    tokens = tokenizer.convert_ids_to_tokens(list(found.values()))
    return {
        word: i
        for (word, i), token in zip(found.items(), tokens, strict=True)
        if (text := spelled(tokenizer, token)) == word or folded(text) == folded(word)
    }


def _encoded(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """The ids of each text alone: at first as anyone reads texts, which tells the tokenizer beneath neither to pad nor
    to cut; then by that itself, since all else that is told of a text takes most of the time."""
    only_ids = {"add_special_tokens": False, "return_attention_mask": False, "return_token_type_ids": False}
    if not tokenizer.is_fast:
        return tokenizer(list(texts), **only_ids)["input_ids"]
    first = tokenizer(list(texts[:1]), **only_ids)["input_ids"]
    others = tokenizer.backend_tokenizer.encode_batch_fast(list(texts[1:]), add_special_tokens=False)
    return [*first, *(of.ids for of in others)]


def vocabulary_words(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """word -> token id, for words (letters, digits, signs; no spaces inside) that are one token, in the order of the
    vocabulary.

    A word piece that continues a word ("##ing", "ing") drops out: what it spells is a word only if the
    tokenizer, given that word, returns this very token.
    """
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    texts = [(spelled(tokenizer, token), i) for token, i in vocabulary]
    texts = [(word, i) for word, i in texts if word and "�" not in word and not any(c.isspace() for c in word)]
    ids = one_token_words(tokenizer, (word for word, _ in texts))
    return {word: i for word, i in texts if ids.get(word) == i}
