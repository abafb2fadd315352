"""What stands before the prompt, read once: a causal LM's keys and values of it are the same whatever the prompt is.

With the prompt behind the input, the prompt's m positions are then all that a step runs. Prefixes are kept ragged (no
padding is stored), in the type that is computed in, and padded on the left when they are read: prompt and prefix then
stand side by side, for networks that count distances by columns.
"""

import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from ptx.lms.heads import logits_at
from ptx.lms.inputs import PLACEHOLDER, Row

LEAST, SHARE = 64 * 2**20, 6  # bytes that may be kept: a sixth of the weights', or these if they are more
TOKENS = 512  # read in one pass
# Numbers of tokens beyond which a network leaves some out, or turns all otherwise.
REACH = ("sliding_window", "sliding_window_size", "window_size", "local_attention", "attention_chunk_size",
         "original_max_position_embeddings")  # fmt: skip

Prefix = tuple[int, ...]


@dataclass(frozen=True)
class Kept:
    """Where each prefix begins in the states, and these: of each layer keys and values [tokens, heads, width]."""

    network: PreTrainedModel
    starts: dict[Prefix, int]
    states: list[tuple[Tensor, Tensor]]

    def known(self, rows: Sequence[Row], m: int) -> list[int]:
        """Which inputs are kept and end in a prompt of m vectors."""
        return [i for i, row in enumerate(rows) if len(row.ids) - m == row.prompt_at and prefix(row) in self.starts]

    def logits(
        self, rows: Sequence[Row], prompts: Float[Tensor, "b m d"], tokens: Int[Tensor, " k"] | None = None
    ) -> Float[Tensor, "b _"]:
        """Scores of `tokens` (of every token, if None) as the answers of rows that are kept, in float32."""
        words: Any = self.network.get_input_embeddings()
        b, m, _ = prompts.shape
        prefixes = [prefix(row) for row in rows]
        device, n = prompts.device, max(map(len, prefixes))
        starts, lengths = torch.tensor([[self.starts[of], len(of)] for of in prefixes], device=device).T[:, :, None]
        columns = torch.arange(n + m, device=device) - n + lengths  # of the input; below 0 is padding
        attention = (columns >= 0).long()
        cache = DynamicCache()
        cache.layers = [_Behind(states, starts + columns[:, :n].clamp_min(0)) for states in self.states]
        more: dict[str, Any] = {"attention_mask": attention, "past_key_values": cache, "use_cache": True}
        if "position_ids" in inspect.signature(self.network.forward).parameters:
            more["position_ids"] = columns[:, n:]
        embedded = (prompts * getattr(words, "embed_scale", 1.0)).to(words.weight.dtype)
        at = torch.arange(m, device=device).eq(m - 1).expand(b, m)
        return logits_at(self.network, at, tokens, inputs_embeds=embedded, **more)


class _Behind(DynamicLayer):
    """One layer's keys and values of a batch, those at `places` before its own: joined when the layer is run and not
    held for all layers, which would take as much memory again for every input of a batch."""

    def __init__(self, before: tuple[Tensor, Tensor], places: Int[Tensor, "b n"]) -> None:
        super().__init__()
        self.before, self.places = before, places

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        before = [states[self.places].transpose(1, 2) for states in self.before]
        return torch.cat([before[0], key_states], 2), torch.cat([before[1], value_states], 2)

    def get_seq_length(self) -> int:
        return self.places.shape[1]


def prefix(row: Row) -> Prefix:
    """What stands before the prompt; nothing if the prompt does not stand last."""
    return row.ids[: row.prompt_at] if {*row.ids[row.prompt_at :]} == {PLACEHOLDER} else ()


def bound(network: PreTrainedModel) -> int:
    """How many bytes may be kept beside a network."""
    return max(LEAST, sum(weight.nbytes for weight in network.parameters()) // SHARE)


def tokens(rows: Iterable[Row]) -> int:
    """How many stand before the prompts of rows, each prefix once."""
    return sum(map(len, {prefix(row) for row in rows}))


@torch.no_grad()
def room(network: PreTrainedModel, token: int) -> int:
    """How many tokens may be kept beside a network, by what it makes of one that it knows."""
    return bound(network) // _bytes_a_token(_read_alike(network, [(token,)]))


def reach(settings: dict[Any, Any]) -> int:
    """Up to how many tokens a network of such a configuration reads all of them, and in one way."""
    inner = [reach(value) for value in settings.values() if isinstance(value, dict)]
    own = [n for name in REACH if isinstance(n := settings.get(name), int) and n > 0]
    return min(own + inner, default=sys.maxsize)


@torch.inference_mode(False)  # what is made in it could not be used where there are gradients
@torch.no_grad()
def read(network: PreTrainedModel, rows: Iterable[Row], most: int) -> Kept:
    """What stands before the prompts of rows, each once, in their order until it would be more than `most` bytes; read
    in batches of one length, so that nothing of a prefix depends on padding.

    Raises whatever a network raises that has other states than keys and values of every token.
    """
    longest = reach(network.config.get_text_config().to_dict())
    wanted = [*dict.fromkeys(prefix(row) for row in rows if len(row.ids) <= longest and prefix(row))]
    if not wanted:
        return Kept(network, {}, [])
    samples = _read_alike(network, wanted[:1])
    held = most // _bytes_a_token(samples)
    ends = accumulate(map(len, wanted))
    starts = {of: end - len(of) for of, end in zip(wanted, ends, strict=True) if end <= held}
    states = [sample.new_empty(sum(map(len, starts)), *sample.shape[2:]) for sample in samples]
    for length, group in groupby(sorted(starts, key=len), key=len):
        alike, size = [*group], max(1, TOKENS // length)
        for part in (alike[i : i + size] for i in range(0, len(alike), size)):
            places = torch.tensor([[starts[of]] for of in part]) + torch.arange(length)
            for kept, found in zip(states, _read_alike(network, part), strict=True):
                kept[places.to(kept.device)] = found
    return Kept(network, starts, [*zip(states[::2], states[1::2], strict=True)])


def _bytes_a_token(samples: Iterable[Float[Tensor, "b n _ _"]]) -> int:
    return sum(states[0, 0].nbytes for states in samples)


def _read_alike(network: PreTrainedModel, prefixes: Sequence[Prefix]) -> list[Float[Tensor, "b n _ _"]]:
    """Of each layer the keys, then the values, of prefixes of one length n; layers may differ in their heads."""
    words = network.get_input_embeddings()
    ids = torch.tensor(prefixes, device=network.device)
    cache = DynamicCache()
    more: dict[str, Any] = {"attention_mask": torch.ones_like(ids), "past_key_values": cache, "use_cache": True}
    at = torch.zeros_like(ids, dtype=torch.bool)
    at[0, -1] = True  # the scores are of no interest
    logits_at(network, at, inputs_embeds=words(ids), **more)
    layers: list[Any] = cache.layers
    found = [states.transpose(1, 2) for layer in layers for states in (layer.keys, layer.values)]
    if not found or any(states.shape[:2] != ids.shape for states in found):
        raise ValueError(f"{type(network).__name__} has other states than keys and values of every token")
    return found


@torch.inference_mode(False)
@torch.enable_grad()
def reads_on(
    network: PreTrainedModel, ids: Sequence[int], prompts: Float[Tensor, "3 m d"], whole: Callable[..., Tensor]
) -> bool:
    """Whether a network reads on from keys and values as it reads the whole (`whole` gives the scores of rows with
    prompts): the scores, and their gradients by the prompts.

    Recurrent networks have other states, and some have masks or positions of their own; of most we learn it here.
    """
    m = prompts.shape[1]
    rows = [Row((*ids[:n], *[PLACEHOLDER] * m), n, n + m - 1) for n in (4, 1, 2)]
    found: list[tuple[Tensor, Tensor]] = []
    try:
        for way in (whole, read(network, rows, sys.maxsize).logits):
            given = prompts.clone().requires_grad_()
            scores = way(rows, given)
            (gradient,) = torch.autograd.grad(scores.square().mean(), given)
            found.append((scores.detach(), gradient))
    except Exception:  # whatever a class does that does not know what it is given
        return False
    tolerance = torch.finfo(network.dtype).eps ** 0.5
    return all((one - other).abs().max() < tolerance * one.abs().max() for one, other in zip(*found, strict=True))
