"""`projector`, the neural baseline (Appendix A.2): a small network learns to map shared words from source to target.

Its epoch is chosen on held-out words, which needs no labels; with `select` "dev" on labelled target dev facts for each
task, as the authors do. The prompt it returns is used as it is, without Eq. 6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from ptx.cache import Store
from ptx.errors import PtxError
from ptx.lms.embeddings import WordEmbeddings
from ptx.lms.lm import LanguageModel, load_embeddings
from ptx.pipeline import Payload, Stopwatch, payload_of
from ptx.prompts import FILE, read_prompt, to_bytes
from ptx.stages import evaluate
from ptx.stages.anchors import read_words
from ptx.step import Step

if TYPE_CHECKING:
    from jaxtyping import Float

HELD_OUT = 0.1  # share of the words that choose the epoch

Projector = Callable[[Tensor], Tensor]


def train(
    source: Float[Tensor, "k ds"], target: Float[Tensor, "k dt"], settings: Mapping[str, Any]
) -> list[tuple[Projector, float]]:
    """The projector after each epoch and its mean squared error on held-out words (nan if every word trains it).

    Rows of `source` and `target` are embeddings of the same words. `settings`: hidden, epochs, lr, batch_size, seed,
    select.
    """
    generator = torch.Generator().manual_seed(settings["seed"])
    order = torch.randperm(len(source), generator=generator).to(source.device)
    held = 0 if settings["select"] == "dev" else max(1, round(HELD_OUT * len(order)))
    out, inside = order[:held], order[held:]
    with torch.random.fork_rng():
        torch.manual_seed(settings["seed"])
        network = torch.nn.Sequential(
            torch.nn.Linear(source.shape[1], settings["hidden"]),
            torch.nn.LeakyReLU(),
            torch.nn.Linear(settings["hidden"], target.shape[1]),
        ).to(source.device)
    optimizer = torch.optim.Adam(network.parameters(), lr=settings["lr"])
    epochs = []
    for _ in range(settings["epochs"]):
        shuffled = inside[torch.randperm(len(inside), generator=generator).to(inside.device)]
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
    return lambda x: torch.func.functional_call(network, weights, x).detach()


def build(steps: Sequence[Step], model: WordEmbeddings, store: Store) -> Iterator[tuple[Step, Payload | PtxError]]:
    """See methods.BUILDERS. One projector per source serves all its tasks."""
    by_source: dict[str, list[Step]] = {}
    for step in steps:
        by_source.setdefault(step.parents_at("tune")[0].models[0].digest, []).append(step)
    for of_source in by_source.values():
        try:
            yield from _build_one(of_source, model, store)
        except PtxError as error:  # the source cannot be loaded, say
            yield from ((step, error) for step in of_source)


def _build_one(steps: Sequence[Step], model: WordEmbeddings, store: Store) -> Iterator[tuple[Step, Payload | PtxError]]:
    watch = Stopwatch()
    settings = steps[0].settings
    words = tuple(read_words(steps[0].parents_at("anchors")[0], store))
    source = load_embeddings(steps[0].parents_at("tune")[0].models[0], str(model.device))
    epochs = train(source.word_embeddings(words), model.word_embeddings(words), settings)
    prompts = [read_prompt(payload_of(step.parents_at("tune")[0], store, FILE)).to(model.device) for step in steps]
    chosen: list[tuple[int, dict[str, Any]]]
    if settings["select"] == "dev":
        assert isinstance(model, LanguageModel)
        chosen = _best_on_dev(steps, prompts, epochs, model, words)
    else:
        errors = [error for _, error in epochs]
        best = errors.index(min(errors))
        chosen = [(best, {"held_out_mse": errors[best]})] * len(steps)
    seconds = watch.lap() / len(steps)
    for step, prompt, (epoch, why) in zip(steps, prompts, chosen, strict=True):
        projected = epochs[epoch][0](prompt)
        yield step, Payload({FILE: to_bytes(projected)}, {"epoch": epoch + 1, **why}, seconds)


def _best_on_dev(
    steps: Sequence[Step],
    prompts: Sequence[Float[Tensor, "m d"]],
    epochs: Sequence[tuple[Projector, float]],
    model: LanguageModel,
    words: tuple[str, ...],
) -> list[tuple[int, dict[str, Any]]]:
    """For each task the epoch (from 0) with the best accuracy on labelled target dev facts."""
    asked = [
        evaluate.questions(model, step.task, "dev", words, layout=step.settings["layout"], prompt_length=len(prompt))
        for step, prompt in zip(steps, prompts, strict=True)
        if step.task is not None
    ]
    scores: list[list[float]] = [[] for _ in steps]
    for projector, _ in epochs:
        answers = evaluate.answer(model, [(q, projector(p)) for q, p in zip(asked, prompts, strict=True)])
        for of_task, q, a in zip(scores, asked, answers, strict=True):
            of_task.append(evaluate.accuracy(q, a))
    return [(of_task.index(max(of_task)), {"dev_accuracy": max(of_task)}) for of_task in scores]
