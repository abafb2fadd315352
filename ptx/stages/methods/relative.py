"""`relative`, the paper's method: the target's prompt with the sources' relative representation (Eq. 5 to 7)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ptx.cache import Store, digest
from ptx.errors import PtxError
from ptx.lms.embeddings import WordEmbeddings
from ptx.lms.lm import LanguageModel
from ptx.pipeline import Payload, Stopwatch
from ptx.prompts import FILE, generator, to_bytes
from ptx.stages import evaluate, relative, solvers
from ptx.stages.anchors import read_words
from ptx.stages.target import TargetAnchors
from ptx.step import Step, shared_words

if TYPE_CHECKING:
    from jaxtyping import Float

TOGETHER = 64  # tasks per batch: bounds memory
SELECT_EVERY = 50  # Adam steps between two looks at the dev split, as in the authors' code


def build(steps: Sequence[Step], model: WordEmbeddings, store: Store) -> Iterator[tuple[Step, Payload | PtxError]]:
    """See methods.BUILDERS. Tasks and sources with the same settings are solved in one batch."""
    words = read_words(steps[0].parents_at("anchors")[0], store)
    anchors = TargetAnchors(model.word_embeddings(words))
    private = ("weights", "task")  # may differ within a batch

    def shared_settings(step: Step) -> str:
        top_k = step.parents[0].settings["top_k"]
        return digest([{k: v for k, v in step.settings.items() if k not in private}, top_k])

    for _, alike in itertools.groupby(sorted(steps, key=shared_settings), key=shared_settings):
        for batch in _batched(alike):
            yield from _solve(batch, model, anchors, store)


def _batched(steps: Iterator[Step]) -> Iterator[tuple[Step, ...]]:
    while batch := tuple(itertools.islice(steps, TOGETHER)):
        yield batch


def _solve(
    batch: Sequence[Step], model: WordEmbeddings, anchors: TargetAnchors, store: Store
) -> Iterator[tuple[Step, Payload | PtxError]]:
    """Steps that differ in task, sources and weights only, solved at once."""
    watch = Stopwatch()
    settings = batch[0].settings
    ready, combined, masks = [], [], []
    for step in batch:
        try:
            c, mask = relative.combine(
                [relative.read_cosines(p, store).to(model.device) for p in step.parents_at("encode")],
                weights=step.settings["weights"],
                top_k=step.parents[0].settings["top_k"],
                mask=settings["mask"],
            )
        except PtxError as error:
            yield step, error
            continue
        ready.append(step)
        combined.append(c)
        masks.append(mask)
    if not ready:
        return
    lengths = [len(of_task) for of_task in combined]
    c = torch.cat(combined)
    mask = None if masks[0] is None else torch.cat([m for m in masks if m is not None])
    selected: list[dict[str, float]] = [{} for _ in ready]
    if settings["solver"] == "exact":
        u = solvers.exact(c, anchors=anchors, mask=mask, ridge=settings["ridge"])
    else:
        u, selected = _adam(ready, lengths, c, mask, model, anchors, store)
    losses = relative.matching_loss(c, anchors.cosines(u), mask=mask)
    seconds = watch.lap() / len(ready)
    for step, part, loss, chosen in zip(ready, u.split(lengths), losses.split(lengths), selected, strict=True):
        unit = torch.nn.functional.normalize(part, dim=-1)
        # With the statistics that Eq. 6 maps from, a reader can undo it.
        before = {"unit_mean": unit.mean().item(), "unit_std": unit.std(correction=0).item()}
        metrics = {"matching_loss": loss.mean().item(), **before, **chosen}
        yield step, Payload({FILE: to_bytes(finish(part, model, settings["normalize"]))}, metrics, seconds)


def finish(u: Float[Tensor, "m d"], model: WordEmbeddings, normalize: bool) -> Float[Tensor, "m d"]:
    """Unit length for every vector (the search fixes directions only), then Eq. 6."""
    u = torch.nn.functional.normalize(u, dim=-1)
    if not normalize:
        return u
    mean, std = model.statistics
    return relative.normalize_statistics(u, mean=mean, std=std)


def _adam(
    steps: Sequence[Step],
    lengths: Sequence[int],
    c: Float[Tensor, "n k"],
    mask: Tensor | None,
    model: WordEmbeddings,
    anchors: TargetAnchors,
    store: Store,
) -> tuple[Float[Tensor, "n d"], list[dict[str, float]]]:
    """Adam from a Xavier-normal start; with `select` "dev", the step that is best on labelled target dev facts."""
    settings = steps[0].settings
    d = anchors.b.shape[1]
    start = torch.cat(
        [
            torch.randn(m, d, generator=generator(settings["seed"], s.settings["task"])) * (2 / (m + d)) ** 0.5
            for s, m in zip(steps, lengths, strict=True)
        ]
    ).to(model.device)
    snapshots: dict[int, Tensor] = {}

    def keep(step: int, u: Tensor) -> None:
        if step and step % SELECT_EVERY == 0:
            snapshots[step] = u.clone()

    select = settings["select"] == "dev"
    u = solvers.adam(
        c,
        start,
        anchors=anchors.b,
        mask=mask,
        steps=settings["steps"],
        lr=settings["lr"],
        **({"snapshot": keep} if select else {}),
    )
    if not select:
        return u, [{} for _ in steps]
    assert isinstance(model, LanguageModel)
    words = tuple(read_words(shared_words(steps[0].parents_at("anchors")[0]), store))
    best: list[tuple[float, int, Tensor]] = [(-1.0, 0, part) for part in u.split(lengths)]
    questions = [
        evaluate.questions(model, step.task, "dev", words, layout=settings["layout"], prompt_length=m)
        for step, m in zip(steps, lengths, strict=True)
        if step.task is not None
    ]
    for number, snapshot in snapshots.items():
        parts = snapshot.split(lengths)
        prompts = [finish(part, model, settings["normalize"]) for part in parts]
        answers = evaluate.answer(model, list(zip(questions, prompts, strict=True)))
        for i, (question, found) in enumerate(zip(questions, answers, strict=True)):
            score = evaluate.accuracy(question, found)
            if score > best[i][0]:
                best[i] = (score, number, parts[i])
    chosen = [{"dev_accuracy": score, "selected_step": number} for score, number, _ in best]
    return torch.cat([part for _, _, part in best]), chosen
