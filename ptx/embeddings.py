"""A model's words and their embeddings: all that anchors, encodings and searches need of it."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from ptx.errors import PtxError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

# How the names of word-embedding matrices end: BERT's kin and BLOOM, GPT-2, Llama's kin and OPT, GPT-NeoX, ModernBERT.
MATRICES = ("word_embeddings.weight", "wte.weight", "embed_tokens.weight", "embed_in.weight", "tok_embeddings.weight")


class WordEmbeddings:
    """The word-embedding matrix [v, d] in float32, and the tokenizer that numbers its rows.

    d is the *embedding* width (ALBERT: not the hidden width).
    """

    def __init__(
        self, name: str, tokenizer: PreTrainedTokenizerBase, embeddings: Float[Tensor, "vocabulary d"]
    ) -> None:
        self.name = name
        self.tokenizer = tokenizer
        self.embeddings = embeddings
        self.device = embeddings.device

    @functools.cached_property
    def statistics(self) -> tuple[float, float]:
        """Mean and (population) std over the whole matrix."""
        return self.embeddings.mean().item(), self.embeddings.std(correction=0).item()

    def words(self, words: Iterable[str]) -> dict[str, int]:
        """word -> token id, for those of `words` that are one token here (see `one_token_words`)."""
        return one_token_words(self.tokenizer, words)

    def fit(self, prompt: Float[Tensor, "m d"]) -> Float[Tensor, "m d"]:
        """The prompt on this model's device. Raises PtxError if it is of another width than the word embeddings."""
        width = self.embeddings.shape[1]
        if prompt.shape[1] != width:
            raise PtxError(
                f"the prompt's vectors have {prompt.shape[1]} numbers, the word embeddings of {self.name} {width}",
                "name the model that the prompt was made for as --target, or transfer it with `ptx search`",
            )
        return prompt.to(self.device)

    def word_ids(self, words: Sequence[str]) -> Int[Tensor, " k"]:
        """Token ids of words that are known to be one token each, in their order."""
        ids = self.words(words)
        return torch.tensor([ids[word] for word in words], device=self.device)

    def word_embeddings(self, words: Sequence[str]) -> Float[Tensor, "k d"]:
        """The embeddings of words that are known to be one token each."""
        return self.embeddings[self.word_ids(words)]


def place(device: str) -> str:
    """Where to compute: "auto" is a GPU if there is one."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


def read_embeddings(folder: Path) -> Float[Tensor, "vocabulary d"] | None:
    """The word-embedding matrix of a model's folder, read without the rest of the model.

    None unless exactly one matrix of its one safetensors file has a name that says so.
    """
    file = folder / "model.safetensors"
    if not file.is_file():
        return None
    try:
        with safe_open(file, framework="pt") as tensors:
            names = [name for name in tensors.keys() if name.endswith(MATRICES)]  # noqa: SIM118
            return tensors.get_tensor(names[0]).float() if len(names) == 1 else None
    except SafetensorError:
        return None  # the model's own loader says what is wrong


@functools.lru_cache(maxsize=16)
def load_tokenizer(path: str) -> PreTrainedTokenizerBase:
    """The tokenizer in a folder; a command that names six models reads each of them once."""
    return AutoTokenizer.from_pretrained(path, local_files_only=True)


def one_token_words(tokenizer: PreTrainedTokenizerBase, words: Iterable[str]) -> dict[str, int]:
    """word -> token id, for the words that are one known token in the middle of a sentence.

    "In the middle" matters to byte-level BPE and Unigram vocabularies, where a word carries its leading space.
    """
    words = list(words)
    if not words:
        return {}
    encoded = tokenizer([f" {word}" for word in words], add_special_tokens=False)["input_ids"]
    special = set(tokenizer.all_special_ids)
    return {w: ids[0] for w, ids in zip(words, encoded, strict=True) if len(ids) == 1 and ids[0] not in special}


def vocabulary_words(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Words (letters, digits, signs; no spaces inside) that are one token, in the order of the vocabulary.

    A word piece that continues a word ("##ing", "ing") drops out: what it spells is a word only if the
    tokenizer, given that word, returns this very token.
    """
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    spelled = [(tokenizer.convert_tokens_to_string([token]).strip(), i) for token, i in vocabulary]
    spelled = [(word, i) for word, i in spelled if word and "�" not in word and not any(c.isspace() for c in word)]
    ids = one_token_words(tokenizer, (word for word, _ in spelled))
    return [word for word, i in spelled if ids.get(word) == i]
