"""A frozen masked language model: its word embeddings, and its predictions for inputs that hold a soft prompt."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import AutoModelForMaskedLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from ptx.errors import PtxError
from ptx.inputs import Batch

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from ptx.models import Model

# Families whose language-model head can be applied to a few positions only; at a vocabulary of 30,000 words
# the head costs more than the rest of a small model. Others compute all positions.
HEADS = {"bert": "cls", "roberta": "lm_head", "xlm-roberta": "lm_head", "albert": "predictions", "gpt2": "lm_head"}


def logits_at(
    network: PreTrainedModel, at: Bool[Tensor, "b n"], **inputs: Tensor
) -> Float[Tensor, "positions vocabulary"]:
    """The network's next-word scores at the positions marked in `at`, row by row."""
    head = HEADS.get(network.config.model_type)
    if head is None:
        return network(**inputs).logits[at]
    return getattr(network, head)(network.base_model(**inputs).last_hidden_state[at])


class LanguageModel:
    """A pretrained masked LM in float32, in evaluation mode, without gradients on its weights.

    Raises PtxError for a checkpoint that lacks a language-model head: its numbers would be noise.
    """

    def __init__(self, model: Model, device: str = "cpu") -> None:
        self.name = model.name
        self.device = torch.device(device)
        self.tokenizer = load_tokenizer(model.path)
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        with contextlib.redirect_stdout(io.StringIO()):
            network, report = AutoModelForMaskedLM.from_pretrained(
                model.path, dtype=torch.float32, output_loading_info=True, local_files_only=True
            )
        if missing := sorted(report["missing_keys"]):
            raise PtxError(
                f"{model.name} has no trained language-model head ({missing[0]} is missing)",
                "choose a checkpoint saved with its masked-LM head; `ptx models` lists some",
            )
        self.network = network.to(self.device).eval().requires_grad_(False)

    @property
    def embeddings(self) -> Float[Tensor, "vocabulary d"]:
        """The word-embedding matrix; d is the *embedding* width (ALBERT: not the hidden width)."""
        return self.network.get_input_embeddings().weight

    @property
    def max_length(self) -> int:
        """The longest input in tokens. RoBERTa numbers its positions from padding_idx + 1."""
        config = self.network.config
        offset = config.pad_token_id + 1 if config.model_type in ("roberta", "xlm-roberta") else 0
        return config.max_position_embeddings - offset

    @property
    def pad_id(self) -> int:
        """Padding is never attended to, so that any token serves where the tokenizer has none."""
        return self.tokenizer.pad_token_id or 0

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

    def logits(self, batch: Batch, prompts: Float[Tensor, "b m d"] | None = None) -> Float[Tensor, "b vocabulary"]:
        """Scores of every token at each row's answer position; row i holds `prompts[i]` at its prompt positions."""
        ids = batch.ids.to(self.device)
        embedded = self.network.get_input_embeddings()(ids)
        if prompts is not None:
            b, m, _ = prompts.shape
            rows = torch.arange(b, device=self.device)[:, None].expand(b, m)
            columns = batch.prompt_at.to(self.device)[:, None] + torch.arange(m, device=self.device)
            embedded = embedded.index_put((rows, columns), prompts)
        positions = torch.arange(ids.shape[1], device=self.device)
        at = positions[None, :] == batch.answer_at.to(self.device)[:, None]
        return logits_at(self.network, at, inputs_embeds=embedded, attention_mask=batch.attention.to(self.device))


def load_model(model: Model, device: str) -> LanguageModel:
    """The model on a device ("auto": a GPU if there is one). The last one is kept for the next stage."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return _load_model(model, device)


@functools.lru_cache(maxsize=1)
def _load_model(model: Model, device: str) -> LanguageModel:
    try:
        return LanguageModel(model, device)
    except (OSError, ValueError, RuntimeError) as error:
        raise PtxError(
            f"cannot load {model.name} as a masked LM: {str(error).splitlines()[0]}",
            "choose a masked LM and a --device that exist; `ptx models` lists models",
        ) from error


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
