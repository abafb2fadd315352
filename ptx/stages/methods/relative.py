"""`relative`, the paper's method: the target's prompt with the sources' relative representation (Eq. 5 to 7)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ptx.errors import PtxError, UsageError
from ptx.stages.methods.method import Found, Method

if TYPE_CHECKING:
    from torch import Tensor

    from ptx.cache import Store
    from ptx.engine.step import Step
    from ptx.lms.embeddings import WordEmbeddings
    from ptx.stages.settings import Settings
    from ptx.suites import Task
    from ptx.transfer.scoring import DevChoice
    from ptx.transfer.target import TargetAnchors

ADAM = {"lr": 5e-3}  # the authors' code
TOGETHER = 64  # tasks per batch: bounds memory
SELECT_EVERY = 50  # Adam steps between two looks at the dev split, as in the authors' code


def _settings(settings: Settings, task: Task) -> dict[str, Any]:
    search = settings.search
    own = {"solver": search.solver, "mask": search.mask, "select": search.select, "normalize": search.normalize}
    if search.solver != "exact":
        if search.ridge != "0":  # not in the config: what solver there is does not matter to other methods with a ridge
            raise UsageError("--ridge is a setting of the exact solver", "leave it out, or use --solver exact")
        return own | ADAM | {"steps": search.steps, "seed": settings.seed, "task": task.name}
    return own | {"ridge": search.penalty}


def build(steps: Sequence[Step], model: WordEmbeddings, store: Store) -> Iterator[tuple[Step, Found | PtxError]]:
    """See Method. Tasks and sources with the same settings are solved in one batch."""
    from ptx.cache import digest
    from ptx.stages.anchors import read_words
    from ptx.transfer.target import TargetAnchors

    words = read_words(steps[0].parents_at("anchors")[0], store)
    anchors = TargetAnchors(model.word_embeddings(words))
    private = ("weights", "task")  # may differ within a batch

    def shared_settings(step: Step) -> str:
        top_k = step.parents[0].settings["top_k"]
        return digest([{k: v for k, v in step.settings.items() if k not in private}, top_k])

    for _, alike in itertools.groupby(sorted(steps, key=shared_settings), key=shared_settings):
        for batch in _batched(alike):
            solve = _as_authors if batch[0].settings["solver"] == "ptfer" else _solve
            yield from solve(batch, model, anchors, store)


def _batched(steps: Iterator[Step]) -> Iterator[tuple[Step, ...]]:
    while batch := tuple(itertools.islice(steps, TOGETHER)):
        yield batch


def _solve(
    batch: Sequence[Step], model: WordEmbeddings, anchors: TargetAnchors, store: Store
) -> Iterator[tuple[Step, Found | PtxError]]:
    """Steps that differ in task, sources and weights only, solved at once."""
    import torch

    from ptx.engine.build import Stopwatch
    from ptx.stages.encode import read_similarities
    from ptx.transfer import equations, solvers

    watch = Stopwatch()
    settings = batch[0].settings
    ready, combined, masks = [], [], []
    for step in batch:
        try:
            c, mask = equations.combine(
                [read_similarities(p, store).to(model.device) for p in step.parents_at("encode")],
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
    statistics = model.statistics if settings["normalize"] else None
    prompts = [equations.finish(part, statistics) for part in u.split(lengths)]
    # Of the prompts as they are used, and before Eq. 6, which turns their vectors.
    losses, attained = (
        equations.matching_loss(c, equations.relative_representation(of, anchors=anchors.b), mask=mask).split(lengths)
        for of in (torch.cat(prompts), u)
    )
    seconds = watch.lap() / len(ready)
    for step, prompt, loss, before, chosen in zip(ready, prompts, losses, attained, selected, strict=True):
        metrics = {"matching_loss": loss.mean().item(), "search_loss": before.mean().item(), **chosen}
        yield step, Found(prompt, metrics, seconds)


def _adam(
    steps: Sequence[Step], lengths: Sequence[int], c: Tensor, mask: Tensor | None, model: WordEmbeddings,
    anchors: TargetAnchors, store: Store,
) -> tuple[Tensor, list[dict[str, float]]]:  # fmt: skip
    """Vectors [n, d] by Adam from a Xavier-normal start; with `select` "dev", the step (of every 50th, or the last of
    fewer) that is best on labelled target dev facts."""
    import torch

    from ptx.transfer.equations import finish
    from ptx.transfer.solvers import adam

    settings = steps[0].settings
    start = _start(steps, lengths, anchors).to(model.device)
    snapshots: dict[int, Tensor] = {}

    def keep(step: int, u: Tensor) -> None:
        if step and step % SELECT_EVERY == 0:
            snapshots[step] = u.clone()

    select = settings["select"] == "dev"
    watch = {"snapshot": keep} if select else {}
    u = adam(c, start, anchors=anchors.b, mask=mask, steps=settings["steps"], lr=settings["lr"], **watch)
    if not select:
        return u, [{} for _ in steps]
    choice = _choice(steps, lengths, model, store)
    statistics = model.statistics if settings["normalize"] else None
    for number, snapshot in (snapshots or {settings["steps"]: u}).items():
        parts = snapshot.split(lengths)
        for i, score in enumerate(choice.score([finish(part, statistics) for part in parts])):
            choice.offer(i, number, score, parts[i])
    chosen = [{"dev_accuracy": score, "selected_step": number} for score, number, _ in choice.chosen()]
    return torch.cat([part for _, _, part in choice.chosen()]), chosen


def _start(steps: Sequence[Step], lengths: Sequence[int], anchors: TargetAnchors) -> Tensor:
    """Where the searches of these tasks begin, [n, d]."""
    import torch

    from ptx.transfer.starts import generator, xavier

    noise = [generator(step.settings["seed"], step.settings["task"]) for step in steps]
    return torch.cat([xavier(m, anchors.b.shape[1], own) for m, own in zip(lengths, noise, strict=True)])


def _choice(steps: Sequence[Step], lengths: Sequence[int], model: WordEmbeddings, store: Store) -> DevChoice:
    """Of candidates for each task the best on labelled target dev facts."""
    from ptx.stages.anchors import read_words, shared_words
    from ptx.transfer.scoring import labelled_choice

    words = tuple(read_words(shared_words(steps[0].parents_at("anchors")[0]), store))
    asked = [(step.task, step.settings["layout"], m) for step, m in zip(steps, lengths, strict=True)]
    return labelled_choice(model, asked, words)


def _as_authors(
    batch: Sequence[Step], model: WordEmbeddings, anchors: TargetAnchors, store: Store
) -> Iterator[tuple[Step, Found | PtxError]]:
    """The authors' search (transfer/ptfer.py): of every 50th step the prompt that is best on labelled target dev facts,
    with the loss that it had there."""
    import torch

    from ptx.engine.build import Stopwatch
    from ptx.stages.encode import read_similarities
    from ptx.transfer import ptfer
    from ptx.transfer.equations import check_alike

    watch = Stopwatch()
    settings = batch[0].settings
    top_k = batch[0].parents[0].settings["top_k"]
    goals, ready = [], []
    for step in batch:
        encodings = [read_similarities(p, store).to(model.device) for p in step.parents_at("encode")]
        try:
            check_alike(encodings)
        except PtxError as error:
            yield step, error
        else:
            goals.append(ptfer.goals(encodings, top_k))
            ready.append(step)
    if not ready:
        return
    first, second, mask = map(torch.cat, zip(*goals, strict=True))
    lengths = [len(of_task) for of_task, _, _ in goals]
    start = _start(ready, lengths, anchors).to(model.device)
    statistics = model.statistics if settings["normalize"] else None
    steps, lr = settings["steps"], settings["lr"]
    choice, losses = _choice(ready, lengths, model, store), {}
    for candidate in ptfer.search(
        first, second, mask, start, lengths=lengths, anchors=anchors.b, statistics=statistics, steps=steps, lr=lr
    ):
        losses[candidate.step] = candidate.losses
        for i, score in enumerate(choice.score(candidate.prompts)):
            choice.offer(i, candidate.step, score, candidate.prompts[i])
    seconds = watch.lap() / len(ready)
    for i, (step, (score, number, prompt)) in enumerate(zip(ready, choice.chosen(), strict=True)):
        figures = {"matching_loss": losses[number][i], "dev_accuracy": score, "selected_step": number}
        yield step, Found(prompt, figures, seconds)


METHOD = Method(
    "relative",
    sources=None,
    needs=("encodings", "anchors"),
    options=("solver", "steps", "mask", "ridge", "select", "weights", "normalize"),
    settings=_settings,
    build=build,
    variants=({}, {"top_k": "64"}, {"top_k": "16", "ridge": "1"}),
)
