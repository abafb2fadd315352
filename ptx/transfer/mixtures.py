"""Vectors as mixtures of words: what such a prompt is on a model, and the mixtures that come near to a given prompt."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from scipy.optimize import nnls
from torch import Tensor

from ptx.errors import PtxError
from ptx.formats.words import MOST, Mixture, mixture
from ptx.lms.embeddings import WordEmbeddings, lead, special_ids
from ptx.lms.inputs import subject_tokens


@dataclass(frozen=True)
class Embedded:
    """A prompt of words on a model; the words that are several tokens there, which are their mean, and unknown ones,
    which are left out."""

    prompt: Float[Tensor, "m d"]
    several: list[str]
    unknown: list[str]

    def __str__(self) -> str:
        parts = (("several tokens, whose mean they become", self.several), ("unknown and left out", self.unknown))
        return "; ".join(f"words that are {what}: {len(of)} ({', '.join(of[:5])})" for what, of in parts if of)


def mixed(
    prompt: Sequence[Mixture], embeddings: Float[Tensor, "k d"], places: Mapping[str, int]
) -> Float[Tensor, "m d"]:
    """Scales times weighted sums of the words' rows."""
    sums = [
        embeddings.new_tensor([*of.words.values()]) @ embeddings[[places[word] for word in of.words]] for of in prompt
    ]
    return torch.stack([of.scale * vector for of, vector in zip(prompt, sums, strict=True)])


def embedded(model: WordEmbeddings, prompt: Sequence[Mixture]) -> Embedded:
    """A prompt of words on any model, in the scale of its matrix; of an unknown word the others of its vector take the
    weight. Raises PtxError for a vector of which the model knows no word."""
    words = list(dict.fromkeys(word for of in prompt for word in of.words))
    space = lead(model.tokenizer)
    tokens = dict(zip(words, subject_tokens(model.tokenizer, [f"{space}{word}" for word in words]), strict=True))
    special = special_ids(model.tokenizer)
    known = [word for word, ids in tokens.items() if ids and special.isdisjoint(ids)]
    kept = [_among(of, known) for of in prompt]
    for number, (of, left) in enumerate(zip(prompt, kept, strict=True), start=1):
        if not left.words:
            what = f"{model.name} knows none of the words of vector {number} ({', '.join(of.words)})"
            raise PtxError(what, "choose a model whose vocabulary has them")
    for word in known:
        model.check_ids(tokens[word], word)
    rows = torch.stack([model.matrix[tokens[word]].float().mean(0) for word in known])
    vectors = mixed(kept, rows, {word: i for i, word in enumerate(known)})
    several = [word for word in known if len(tokens[word]) > 1]
    return Embedded(vectors, several, [word for word in words if word not in known])


def _among(of: Mixture, known: Sequence[str]) -> Mixture:
    """A vector without its other words, and its weights with the same sum as before."""
    left = {word: weight for word, weight in of.words.items() if word in known}
    if not left or len(left) == len(of.words):
        return Mixture(of.scale, left)
    more = sum(of.words.values()) / sum(left.values())
    return Mixture(of.scale, {word: weight * more for word, weight in left.items()})


def nearest_mixtures(
    prompt: Float[Tensor, "m d"], *, embeddings: Float[Tensor, "k d"], words: Sequence[str]
) -> list[Mixture]:
    """Each vector as a combination of few words with positive weights: orthogonal matching pursuit (Pati, Rezaiifar and
    Krishnaprasad, 1993) by non-negative least squares. Raises PtxError for a vector that points away from all words."""
    norms = embeddings.norm(dim=-1).clamp_min(1e-12)
    found = []
    for number, vector in enumerate(prompt.double().cpu(), start=1):
        chosen: list[int] = []
        rest, weights = vector, vector[:0]
        while len(chosen) < min(MOST, len(words)):
            along = embeddings @ rest.to(embeddings) / norms
            along[chosen] = -math.inf
            if not along.max() > 0:
                break
            chosen.append(int(along.argmax()))
            own = embeddings[chosen].double().cpu()
            weights = torch.from_numpy(nnls(own.T.numpy(), vector.numpy())[0])
            rest = vector - weights @ own
        if not (total := weights.sum().item()) > 0:
            raise PtxError(f"vector {number} is near to no word", "look at it with `ptx inspect`: it may be all zeros")
        found.append(mixture(total, {words[j]: w for j, w in zip(chosen, weights.tolist(), strict=True)}))
    return found
