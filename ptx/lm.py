"""A frozen language model, masked or causal: its word embeddings, and its predictions for inputs with a soft prompt."""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from ptx.errors import PtxError
from ptx.inputs import Batch, Row, collate, rows

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from ptx.models import Model
    from ptx.suites import Task

# Families whose language-model head can be applied to a few positions only; at a vocabulary of 30,000 words
# the head costs more than the rest of a small model. Others compute all positions.
HEADS = {"bert": "cls", "roberta": "lm_head", "xlm-roberta": "lm_head", "albert": "predictions", "gpt2": "lm_head"}


UNBOUNDED = 1_000_000  # positions of a model that has no table of them (BLOOM's distances)


def logits_at(
    network: PreTrainedModel, at: Bool[Tensor, "b n"], **inputs: Tensor
) -> Float[Tensor, "positions vocabulary"]:
    """The network's next-word scores at the positions marked in `at`, row by row."""
    head = HEADS.get(network.config.model_type)
    if head is None:
        return network(**inputs).logits[at]
    return getattr(network, head)(network.base_model(**inputs).last_hidden_state[at])


class LanguageModel:
    """A pretrained LM in float32, in evaluation mode, without gradients on its weights.

    A masked LM answers at its mask, a causal one at the token before the answer. Raises PtxError for a checkpoint
    that lacks a language-model head: its numbers would be noise.
    """

    def __init__(self, model: Model, device: str = "cpu") -> None:
        self.name = model.name
        self.device = torch.device(device)
        self.tokenizer = load_tokenizer(model.path)
        self.causal = is_causal(AutoConfig.from_pretrained(model.path, local_files_only=True).architectures)
        if not self.causal and self.tokenizer.mask_token_id is None:
            raise PtxError(f"the tokenizer of {model.name} has no mask token", "choose a masked LM, or a causal one")
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        with contextlib.redirect_stdout(io.StringIO()):
            kind: Any = AutoModelForCausalLM if self.causal else AutoModelForMaskedLM
            network, report = kind.from_pretrained(
                model.path, dtype=torch.float32, output_loading_info=True, local_files_only=True
            )
        if missing := sorted(report["missing_keys"]):
            raise PtxError(
                f"{model.name} has no trained language-model head ({missing[0]} is missing)",
                "choose a checkpoint saved with its LM head; `ptx models` lists some",
            )
        network.config.use_cache = False  # of keys and values, for generation
        self.network = network.to(self.device).eval().requires_grad_(False)
        # A causal LM counts positions from the first token, wherever padding stands, only if it is told them.
        self._takes_positions = self.causal and "position_ids" in inspect.signature(network.forward).parameters

    @property
    def embeddings(self) -> Float[Tensor, "vocabulary d"]:
        """The word-embedding matrix; d is the *embedding* width (ALBERT: not the hidden width)."""
        return self.network.get_input_embeddings().weight

    @functools.cached_property
    def statistics(self) -> tuple[float, float]:
        """Mean and (population) std over the whole word-embedding matrix."""
        return self.embeddings.mean().item(), self.embeddings.std(correction=0).item()

    @property
    def max_length(self) -> int:
        """The longest input in tokens. RoBERTa numbers its positions from padding_idx + 1."""
        config = self.network.config
        offset = config.pad_token_id + 1 if config.model_type in ("roberta", "xlm-roberta") else 0
        return getattr(config, "max_position_embeddings", UNBOUNDED) - offset

    @property
    def pad_id(self) -> int:
        """Padding is never attended to, so that any token serves where the tokenizer has none."""
        return self.tokenizer.pad_token_id or 0

    def rows(self, template: str, subjects: Sequence[str], **more: Any) -> list[Row]:
        """One input per subject (see inputs.rows)."""
        return rows(self.tokenizer, template, subjects, max_length=self.max_length, causal=self.causal, **more)

    def collate(self, batch: Sequence[Row]) -> Batch:
        """Rows padded on the side that the tokenizer asks for (causal LMs), else on the right."""
        return collate(batch, self.pad_id, side=self.tokenizer.padding_side if self.causal else "right")

    def words(self, words: Iterable[str]) -> dict[str, int]:
        """word -> token id, for those of `words` that are one token here (see `one_token_words`)."""
        return one_token_words(self.tokenizer, words)

    def label_ids(self, task: Task) -> dict[str, int]:
        """Label word -> token id, in the task's order. Raises PtxError for a word that is not one token here."""
        found = self.words(task.labels)
        for word in task.labels:
            if word not in found:
                pieces = self.tokenizer.tokenize(f" {word}")
                spelled = f"{len(pieces)} tokens in {self.name} ({' '.join(pieces)})"
                raise PtxError(
                    f"task {task.name}: the label word {word!r} is {spelled}",
                    "choose another word for this label in the suite's TOML file",
                )
        return {word: found[word] for word in task.labels}

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
        attention = batch.attention.to(self.device)
        at = torch.arange(ids.shape[1], device=self.device)[None, :] == batch.answer_at.to(self.device)[:, None]
        more = {"position_ids": (attention.cumsum(-1) - 1).clamp_min(0)} if self._takes_positions else {}
        return logits_at(self.network, at, inputs_embeds=embedded, attention_mask=attention, **more)


def is_causal(architectures: Sequence[str] | None) -> bool:
    """Whether a checkpoint was saved as a causal LM (`LlamaForCausalLM`, `GPT2LMHeadModel`), by its config.json."""
    return any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in architectures or ())


def load_model(model: Model, device: str) -> LanguageModel:
    """The model on a device ("auto": a GPU if there is one). The last two are kept: a source and a target."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return _load_model(model, device)


@functools.lru_cache(maxsize=2)
def _load_model(model: Model, device: str) -> LanguageModel:
    try:
        return LanguageModel(model, device)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise PtxError(
            f"cannot load {model.name} as a language model: {str(error).splitlines()[0]}",
            "choose a masked or causal LM and a --device that exist; `ptx models` lists models",
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
