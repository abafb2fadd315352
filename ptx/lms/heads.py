"""Apply a network's language-model head where the answer is read, and nowhere else; to the words that may answer.

At a vocabulary of 30,000 words the head costs more than the rest of a small model, and its scores take more memory.
"""

import contextlib
import weakref
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from ptx.lms.families import matrix_of

# Families whose whole head is one module; of others, the last layer alone is applied to a few positions.
HEADS = {"bert": "cls", "roberta": "lm_head", "xlm-roberta": "lm_head", "albert": "predictions", "gpt2": "lm_head"}
WORTH = 4  # the head multiplies the rows of some words alone where they are at most a fourth of the vocabulary
ROWS = 4096  # of the head's matrix that are gathered at a time
_CUTS: weakref.WeakKeyDictionary[PreTrainedModel, bool] = weakref.WeakKeyDictionary()  # see `_can_cut`


def logits_at(
    network: PreTrainedModel, at: Bool[Tensor, "b n"], tokens: Int[Tensor, " k"] | None = None, **inputs: Any
) -> Float[Tensor, "positions _"]:
    """The network's scores of `tokens` (of every token, if None) at the positions marked in `at`, row by row, in
    float32. Other positions skip the head, and so do other words where these are few."""
    if tokens is None:
        return _logits_at(network, at, **inputs)
    if WORTH * len(tokens) <= len(matrix_of(network)) and _can_cut(network, at, tokens, inputs):
        with _cut(network.get_output_embeddings(), tokens):
            return _logits_at(network, at, **inputs)
    return _logits_at(network, at, **inputs)[:, tokens]


def _logits_at(network: PreTrainedModel, at: Bool[Tensor, "b n"], **inputs: Any) -> Float[Tensor, "positions _"]:
    name = HEADS.get(network.config.model_type)
    head = getattr(network, name) if name else network.get_output_embeddings()
    if not isinstance(head, nn.Module):
        return network(**inputs).logits[at].float()
    with head.register_forward_pre_hook(lambda _, args: (args[0][at], *args[1:])):
        logits = network(**inputs).logits
    return (logits if logits.ndim == 2 else logits[at]).float()  # a head that is not called as a module has no hook


@contextlib.contextmanager
def _cut(last: nn.Linear, tokens: Int[Tensor, " k"]) -> Iterator[None]:
    """The head's last layer with the rows of some words alone, some thousands at a time: no second matrix of them is
    made. What a family does to scores behind it (soft-capping, a scale) stays."""

    def forward(hidden: Float[Tensor, "*b d"]) -> Float[Tensor, "*b k"]:
        weights = (last.weight[part] for part in tokens.split(ROWS))
        biases = (None if last.bias is None else last.bias[part] for part in tokens.split(ROWS))
        return torch.cat([nn.functional.linear(hidden, *pair) for pair in zip(weights, biases, strict=True)], -1)

    last.forward = forward  # type: ignore
    try:
        yield
    finally:
        del last.forward


@torch.no_grad()
def _can_cut(
    network: PreTrainedModel, at: Bool[Tensor, "b n"], tokens: Int[Tensor, " k"], given: dict[str, Any]
) -> bool:
    """Whether a network's head can be cut, found once: a plain linear layer, behind which nothing needs the whole
    vocabulary (BART adds a bias of its own), so that the scores of an input are the same to rounding."""
    if network not in _CUTS:
        last = network.get_output_embeddings()
        _CUTS[network] = type(last) is nn.Linear and _same(network, last, at, tokens, given)
    return _CUTS[network]


def _same(
    network: PreTrainedModel,
    last: nn.Linear,
    at: Bool[Tensor, "b n"],
    tokens: Int[Tensor, " k"],
    inputs: dict[str, Any],
) -> bool:
    one = inputs
    if "past_key_values" not in inputs:  # which are of as many inputs as there are
        at = at[:1]
        one = {name: value[:1] if isinstance(value, Tensor) else value for name, value in inputs.items()}
    expected = _logits_at(network, at, **one)[:, tokens]
    try:
        with _cut(last, tokens):
            got = _logits_at(network, at, **one)
    except (RuntimeError, IndexError, ValueError):
        return False
    close = torch.finfo(network.dtype).eps ** 0.5 * expected.abs().max()
    return got.shape == expected.shape and bool((got - expected).abs().max() <= close)
