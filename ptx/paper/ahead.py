"""What a recipe over models of the hub will cost: what is to be downloaded, and how long it will compute, roughly."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from ptx.config.lists import listed
from ptx.config.search import BATCH, PAIRS
from ptx.config.tune import A_STEP
from ptx.errors import PtxError
from ptx.lms import hub
from ptx.lms.known import zoo
from ptx.lms.places import hub_id, is_folder, pinned
from ptx.media import counted
from ptx.paper.recipe import Recipe, Variant
from ptx.stages.methods import METHODS, method_named
from ptx.suites import load_suite

RATE = 10e6  # bytes a second of a usual connection
TOKENS = 16  # of an input with its prompt, about
BYTES = 4  # of a number in a file of weights; half of it in some, which makes an estimate too long


@dataclass(frozen=True)
class Ahead:
    """Bytes to download, of how many models, and seconds of computing."""

    models: int
    missing: int
    seconds: float

    def __str__(self) -> str:
        download = "all of them are here"
        if self.missing:
            download = f"{_amount(self.missing)} to download, {_time(self.missing / RATE)} at 10 MB a second"
        return (
            f"{counted(self.models, 'model')} of the hub: {download}; then {_time(self.seconds)} of computing, roughly"
        )


def ahead(recipe: Recipe, device: str, seeds: int = 1) -> Ahead | None:
    """None for a recipe without models of the hub, or where the hub does not say how large they are."""
    names = [name for name in recipe.models if name not in zoo() and not is_folder(name) and hub_id(pinned(name)[0])]
    if not names:
        return None
    try:
        sizes = {name: hub.size_of(hub_id(pinned(name)[0]) or name, pinned(name)[1]) for name in names}
        numbers = {name: size.whole / BYTES for name, size in sizes.items()}
        passes = sum(_passes(recipe, variant, numbers) for variant in recipe.variants)
    except PtxError:  # a model or data that are not there: it is said again, for the cells that need them
        return None
    missing = sum({hub_id(pinned(name)[0]): size.missing for name, size in sizes.items()}.values())
    return Ahead(len(sizes), missing, seeds * passes * 2 * TOKENS / speed(device))


def _passes(recipe: Recipe, variant: Variant, numbers: dict[str, float]) -> float:
    """Forward passes of single inputs, each times the numbers of its model: what tuning, agreement and steps from there
    take."""
    tasks = load_suite(variant.suite).choose(recipe.tasks)
    facts = sum(len(task.splits["train"]) for task in tasks)
    cells = [cell for part, _ in recipe.parts() for cell in part.cells()]
    tuned = {*(target for name, _, target in cells if name == "tuned"), *(s for _, own, _ in cells for s in own)}
    search = variant.configs["search"]
    named = listed(search.candidates) or [name for name in METHODS if method_named(name).variants]
    ways = sum(1 if ":" in name else len(method_named(name).variants) for name in named)
    steps = {"auto": 2 * PAIRS * search.refining, "distil": A_STEP * search.distil_steps}
    chosen = [
        (ways * facts + BATCH * steps[name] * len(tasks)) * numbers.get(target, 0.0)
        for name, _, target in cells
        if name in steps
    ]
    passes = A_STEP * variant.configs["tune"].epochs * sum(numbers.get(name, 0.0) for name in tuned)
    return facts * passes + sum(chosen)


def speed(device: str) -> float:
    """Operations a second, by multiplying two matrices."""
    import torch

    from ptx.lms.embeddings import place

    a = torch.ones(1024, 1024, device=place(device))
    best = float("inf")
    for _ in range(3):
        began = time.monotonic()
        float((a @ a)[0, 0])  # waits for a device
        best = min(best, time.monotonic() - began)
    return 2 * 1024**3 / best


def _amount(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def _time(seconds: float) -> str:
    for name, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"about {seconds / length:.0f} {name}"
    return f"about {max(seconds, 1):.0f} s"


def said(recipe: Recipe, device: str, seeds: Sequence[int]) -> tuple[str, bool]:
    """What to tell before it starts, if anything, and whether something is to be downloaded."""
    found = ahead(recipe, device, max(1, len(seeds)))
    return ("", False) if found is None else (str(found), found.missing > 0)
