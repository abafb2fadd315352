"""A frozen language model, masked or causal: its word embeddings, and its predictions for inputs with a soft prompt."""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    PreTrainedModel,
)
from transformers.utils import logging as transformers_logging

from ptx.embeddings import WordEmbeddings, load_tokenizer, place, read_embeddings
from ptx.errors import PtxError
from ptx.inputs import Batch, Row, collate, rows

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

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


class LanguageModel(WordEmbeddings):
    """A pretrained LM in float32, in evaluation mode, without gradients on its weights.

    A masked LM answers at its mask, a causal one at the token before the answer. Raises PtxError for a checkpoint
    that lacks a language-model head: its numbers would be noise.
    """

    def __init__(self, model: Model, device: str = "cpu") -> None:
        tokenizer = load_tokenizer(model.path)
        self.causal = is_causal(AutoConfig.from_pretrained(model.path, local_files_only=True).architectures)
        if not self.causal and tokenizer.mask_token_id is None:
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
        self.network = network.to(device).eval().requires_grad_(False)
        super().__init__(model.name, tokenizer, network.get_input_embeddings().weight)
        # A causal LM counts positions from the first token, wherever padding stands, only if it is told them.
        self._takes_positions = self.causal and "position_ids" in inspect.signature(network.forward).parameters

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
    """The model on a device ("auto": a GPU if there is one). The last one is kept for the next stage."""
    return _load_model(model, place(device))


def load_embeddings(model: Model, device: str) -> WordEmbeddings:
    """A model's word embeddings, from its safetensors file alone where that shows which they are. Two are kept."""
    return _load_embeddings(model, place(device))


@functools.lru_cache(maxsize=2)
def _load_embeddings(model: Model, device: str) -> WordEmbeddings:
    matrix = read_embeddings(Path(model.path))
    if matrix is None:
        return _load_model(model, device)
    return WordEmbeddings(model.name, load_tokenizer(model.path), matrix.to(device))


@functools.lru_cache(maxsize=1)
def _load_model(model: Model, device: str) -> LanguageModel:
    try:
        return LanguageModel(model, device)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise PtxError(
            f"cannot load {model.name} as a language model: {str(error).splitlines()[0]}",
            "choose a masked or causal LM and a --device that exist; `ptx models` lists models",
        ) from error
