"""Other ways from source to target than the paper's: the nearest words, and a trained projector."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import mse_loss

from ptx.transfer.equations import relative_representation, unit_rows

HELD_OUT = 0.1  # share of the words that choose the epoch

Projector = Callable[[Tensor], Tensor]


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


def nearest_words(
    prompt: Float[Tensor, "m d"], *, embeddings: Float[Tensor, "n d"], top: int
) -> tuple[Float[Tensor, "m top"], Int[Tensor, "m top"]]:
    """The highest cosines of every vector to rows of `embeddings`, and the rows, the nearest first."""
    similarities = relative_representation(prompt, anchors=unit_rows(embeddings))
    best = similarities.topk(min(top, len(embeddings)), dim=-1)
    return best.values, best.indices
