"""A cache as `ptx run paper` leaves it, in minutes instead of hours: each artifact has the key, the settings, the
parents and the size of a true one, and figures, answers and vectors that are drawn at random.

`python -m benchmarks.filled FOLDER paper --seeds 0,1,2` fills one; recipes may be files, too. What finds results, or
shows them, costs there what it costs on true ones: `ptx run paper --cache-dir FOLDER`, `ptx report --cache-dir FOLDER`.
"""

from __future__ import annotations

import argparse
import functools
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ptx.cache import Store
from ptx.config.lists import seeds_of
from ptx.engine.build import payload_of, publish
from ptx.engine.step import Payload, Step, closure
from ptx.formats.tensors import to_bytes
from ptx.lms.embeddings import load_embeddings
from ptx.lms.models import Model
from ptx.paper.plan import plan_cells
from ptx.paper.recipe import load_recipes
from ptx.stages import anchors, encode, tune
from ptx.stages import eval as scoring

EPOCHS = 10


def fill(store: Store, recipes: Sequence[str], seeds: Sequence[int] = (0,)) -> int:
    """Put all that recipes need into a store; how many evaluations that is."""
    goals = list({goal.key: goal for goal in _goals(recipes, seeds)}.values())
    for step in closure(goals):
        if store.read(step.stage.name, step.key) is None:
            publish(step, MADE[step.stage.name](step, random.Random(step.key), store), store, "cpu")
    return len(goals)


def _goals(recipes: Sequence[str], seeds: Sequence[int]) -> Iterator[Step]:
    for recipe in load_recipes(recipes):
        for seed in seeds if recipe.methods else ():
            for cell in plan_cells(recipe, seed)[0]:
                yield from cell.goals


def _anchors(step: Step, draw: random.Random, store: Store) -> Payload:
    """True ones: they are quickly found."""
    ((_, payload),) = anchors.build([step], store, "cpu", lambda *args, **more: None)
    assert isinstance(payload, Payload)
    return payload


def _tune(step: Step, draw: random.Random, store: Store) -> Payload:
    history = [
        {"epoch": n, "steps": 16 * n, "train_loss": 4 * draw.random(), "dev_accuracy": draw.random()}
        for n in range(EPOCHS)
    ]
    figures: dict[str, Any] = {name: draw.random() for name in ("dev_accuracy", "majority", "template")}
    figures |= {"epoch": EPOCHS, "facts": 200, "dropped": 0, "history": history}
    return Payload({tune.FILE: to_bytes(_vectors(step))}, figures, draw.random())


def _encode(step: Step, draw: random.Random, store: Store) -> Payload:
    from safetensors.torch import save

    rows = step.parents_at("tune")[0].settings["prompt_length"]
    similarities = _numbers(step, rows, len(_words(step.parents_at("anchors")[0], store))).clamp(-1, 1)
    figures = {"anchors": similarities.shape[1], "top_k": similarities.shape[1]}
    return Payload({encode.FILE: save({"cosines": similarities})}, figures, draw.random())


def _search(step: Step, draw: random.Random, store: Store) -> Payload:
    losses = {"matching_loss": draw.random(), "search_loss": draw.random()}
    figures = losses if step.settings["method"] == "relative" else {}
    return Payload({tune.FILE: to_bytes(_vectors(step))}, figures, draw.random())


def _eval(step: Step, draw: random.Random, store: Store) -> Payload:
    """Answers of which a share is right that is drawn, too."""
    assert step.task is not None
    every = step.task.splits[step.settings["split"]]
    words = step.task.labels or _words(step.parents_at("anchors")[0], store)
    facts = [fact for fact in every if fact.object in words]
    share, lines = draw.random(), []
    for fact in facts:
        rank = 1 if draw.random() < share else draw.randrange(2, len(words) + 1)
        answer = fact.object if rank == 1 else draw.choice(words)
        said = {"predicted": answer, "probability": round(draw.random(), 6), "rank": rank}
        lines.append({"subject": fact.subject, "object": fact.object, **said})
    correct = sum(line["rank"] == 1 for line in lines)
    figures: dict[str, Any] = {"accuracy": correct / len(facts), "correct": correct, "facts": len(facts)}
    figures |= {"dropped": len(every) - len(facts), "floor": random.Random(step.task.name).random() / 3}
    for parent in step.parents_at("search"):
        found = store.read("search", parent.key)
        known = found.meta["metrics"] if found else {}
        figures |= {name: known[name] for name in scoring.FROM_SEARCH if name in known}
    content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    return Payload({scoring.FILE: content.encode()}, figures, draw.random())


MADE = {"anchors": _anchors, "tune": _tune, "encode": _encode, "search": _search, "eval": _eval}


def _vectors(step: Step) -> Tensor:
    """As many as were tuned, or as a prompt of noise is asked to have."""
    rows = next(of.settings["prompt_length"] for of in (step, *closure([step])) if "prompt_length" in of.settings)
    return _numbers(step, rows, _width(step.models[0]))


def _numbers(step: Step, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(int(step.key[:15], 16)))


@functools.cache
def _width(model: Model) -> int:
    return int(load_embeddings(model, "cpu").matrix.shape[1])


def _words(step: Step, store: Store) -> tuple[str, ...]:
    return _read(payload_of(step, store, anchors.FILE))


@functools.cache
def _read(path: Path) -> tuple[str, ...]:
    return tuple(path.read_text("utf-8").split()[1:])


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m benchmarks.filled", description=__doc__)
    made.add_argument("folder", type=Path)
    made.add_argument("recipes", nargs="+")
    made.add_argument("--seeds", default="0")
    return made


def main() -> None:
    args = parser().parse_args()
    print(fill(Store(args.folder, print), args.recipes, seeds_of(args.seeds)), "evaluations")


if __name__ == "__main__":
    main()
