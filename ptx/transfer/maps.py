"""Maps from the source's embeddings to the target's, learned from the words that both have: a rotation, least squares,
a trained projector. k words, ds and dt wide."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import mse_loss

from ptx.errors import PtxError
from ptx.transfer.solvers import exact
from ptx.transfer.target import RANK_TOLERANCE, TargetAnchors

HELD_OUT = 0.1  # share of the words that choose the projector's epoch

Map = Callable[[Float[Tensor, "m ds"]], Float[Tensor, "m dt"]]
Projector = Callable[[Tensor], Tensor]


def procrustes(source: Float[Tensor, "k ds"], target: Float[Tensor, "k dt"], *, centre: bool) -> Map:
    """The rotation that brings the source's words nearest to the target's (Schönemann, "A generalized solution of the
    orthogonal Procrustes problem", 1966): R = UV', USV' being the thin singular value decomposition of X'Y, in float64.

    Between unequal widths it is semi-orthogonal. All is then made |Y| / |X| times as long, so that lengths are the
    target's. `centre`: means over the words are taken off before that, and the target's is put on again. Directions
    that the words leave open are mapped to nought.
    """
    x, y = source.double(), target.double()
    origin, middle = (rows.mean(0) * centre for rows in (x, y))
    x, y = x - origin, y - middle
    left, singular, right = torch.linalg.svd(x.T @ y, full_matrices=False)
    solid = singular > RANK_TOLERANCE * singular[0]
    rotation = left[:, solid] @ right[solid] * (y.norm() / x.norm())
    return lambda v: (v.double() - origin) @ rotation + middle


def linear(source: Float[Tensor, "k ds"], target: Float[Tensor, "k dt"], *, ridge: float | str) -> Map:
    """W = (X'X + penalty I)^-1 X'Y, by which least squares predict the target's words (the shortest W where it is not
    unique): v2v-lin of Lester et al., "Reducing retraining by recycling parameter-efficient prompts" (2022).

    Their lin-comb is the same without ridge: of the combinations of words that give v exactly, the shortest is
    X(X'X)^-1 v, and of the target's words that is W'v. `ridge` is in units of the mean eigenvalue of X'X; "gcv" chooses
    it for every column of Y (`solvers.gcv`).
    """
    w = exact(target.T, anchors=TargetAnchors(source, unit=False), ridge=ridge).T
    return lambda v: v.double() @ w


def averaged(moved: Sequence[Float[Tensor, "_ _"]], weights: Sequence[float]) -> Float[Tensor, "m dt"]:
    """One prompt of those that several sources give for a target. Raises PtxError if they differ in length."""
    if len(lengths := sorted({len(prompt) for prompt in moved})) > 1:
        raise PtxError(
            f"the sources' prompts differ in length: {' and '.join(map(str, lengths))} vectors",
            "tune all sources with the same --prompt-length",
        )
    return torch.stack([w * prompt for w, prompt in zip(weights, moved, strict=True)]).sum(0)


def train_projector(
    source: Float[Tensor, "k ds"], target: Float[Tensor, "k dt"], settings: Mapping[str, Any]
) -> list[tuple[Projector, float]]:
    """A small network from source to target embeddings (Appendix A.2): the projector after each epoch and its mean
    squared error on held-out words (nan if every word trains it).

    Rows of `source` and `target` are embeddings of the same words. `settings`: hidden, epochs, lr, batch_size, seed,
    select.

    In float64 on the CPU, wherever the embeddings are: these thousands of steps amplify the last digits of float32, in
    which two machines differ, until other epochs are chosen and P@1 is off by points.
    """
    source, target = source.cpu().double(), target.cpu().double()
    generator = torch.Generator().manual_seed(settings["seed"])
    order = torch.randperm(len(source), generator=generator)
    held = 0 if settings["select"] == "dev" else max(1, round(HELD_OUT * len(order)))
    out, inside = order[:held], order[held:]
    with torch.random.fork_rng():
        torch.manual_seed(settings["seed"])
        network = torch.nn.Sequential(
            torch.nn.Linear(source.shape[1], settings["hidden"]),
            torch.nn.LeakyReLU(),
            torch.nn.Linear(settings["hidden"], target.shape[1]),
        ).double()  # of float32's random numbers
    optimizer = torch.optim.Adam(network.parameters(), lr=settings["lr"])
    epochs = []
    for _ in range(settings["epochs"]):
        shuffled = inside[torch.randperm(len(inside), generator=generator)]
        for rows in shuffled.split(settings["batch_size"]):
            optimizer.zero_grad()
            mse_loss(network(source[rows]), target[rows]).backward()
            optimizer.step()
        with torch.no_grad():
            error = mse_loss(network(source[out]), target[out]).item()
        epochs.append((_frozen(network), error))
    return epochs


def _frozen(network: torch.nn.Module) -> Projector:
    weights = {name: value.detach().clone() for name, value in network.state_dict().items()}
    return lambda x: torch.func.functional_call(network, weights, x.cpu().double()).detach().to(x.dtype).to(x.device)
