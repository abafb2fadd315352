"""A vector as a combination of few words, by orthogonal matching pursuit (Pati, Rezaiifar and Krishnaprasad, 1993)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ptx.transfer.equations import unit_rows


def pursuit(
    vectors: Float[Tensor, "m d"], words: Float[Tensor, "k d"], *, count: int
) -> tuple[Int[Tensor, "m n"], Float[Tensor, "m n"]]:
    """For every vector n = `count` rows of `words` (or all that there are) and their coefficients, in float64.

    One word after the other: that with the largest cosine, of either sign, to what those before it leave. Then least
    squares with the words as they are, so that a vector which is a word is that word alone, its length included.
    """
    v, unit = vectors.double(), unit_rows(words)
    rest, directions = v, v.new_zeros(len(v), 0, v.shape[-1])
    chosen: list[Tensor] = []
    for _ in range(min(count, len(words))):
        fit = (rest @ unit.T).abs()
        if chosen:
            fit.scatter_(-1, torch.stack(chosen, dim=-1), -1.0)  # below every cosine: no word twice
        chosen.append(fit.argmax(-1))
        new = unit[chosen[-1]]
        for _ in range(2):  # Gram and Schmidt; once more, as rounding asks for
            new = new - torch.einsum("mn,mnd->md", torch.einsum("mnd,md->mn", directions, new), directions)
        size = new.norm(dim=-1, keepdim=True)
        new = torch.where(size > 1e-9, new / size, 0.0)  # a word that those before it span adds no direction
        directions = torch.cat([directions, new[:, None]], dim=1)
        rest = rest - (rest * new).sum(-1, keepdim=True) * new
    rows = torch.stack(chosen, dim=-1)
    atoms = words[rows].double().transpose(-1, -2)  # [m, d, n]
    return rows, (torch.linalg.pinv(atoms) @ v[..., None])[..., 0]
