"""The paper's claims as judges: each states its criterion, and gives the effect that tells, with the numbers behind it.

What a criterion picks with hindsight, by the very labels that it is then scored on, is said in the claim's words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from statistics import mean
from typing import Any

import numpy as np

from ptx.paper.effects import Array, Effect, average, rank_correlation
from ptx.paper.frames import BY_COUNT, BY_LENGTH, BY_TOP_K
from ptx.paper.grids import Grids, Untold, percent, rows

BASE, LARGE, BERTS = ("bert-base", "roberta-base"), ("bert-large", "roberta-large"), ("bert-base", "bert-large")
THAN = "than the better of the two (chosen on target test labels)"
Judge = Callable[[Grids], Effect]


def _versus(
    ours: Sequence[Array], theirs: Sequence[Array], names: tuple[str, str], *, apart: Sequence[str] = (), side: int = 1,
    tail: str = "", **drawn: Any,
) -> Effect:  # fmt: skip
    """The mean difference over paired cells, with in how many of them the first is on the claimed side. Cells of one
    word in `apart` share their units."""
    a, b = (mean(float(cell.mean()) for cell in cells) for cells in (ours, theirs))
    differences: dict[str, list[Array]] = defaultdict(list)
    for x, y, group in zip(ours, theirs, apart or [""] * len(ours), strict=True):
        differences[group].append(x - y)
    parts = [np.mean(of, axis=0)[..., None] for of in differences.values()]
    wins = sum(side * float(x.mean() - y.mean()) > 0 for x, y in zip(ours, theirs, strict=True))
    tail = f"; {'higher' if side > 0 else 'lower'} in {wins} of {len(ours)} cells{tail}"
    return Effect(f"{names[0]} {a:.1f}, {names[1]} {b:.1f}", parts, side=side, tail=tail, **drawn)


def _direct(grids: Grids) -> Effect:
    """Criterion: on average below the majority class."""
    entries = grids.pick(1, "direct")
    floors = [100 * np.array(e.cell.floors) for e in entries if e.cell and e.cell.floors]
    if len(floors) < len(entries) or np.isnan(floors).any():
        raise Untold("the majority-class floor is not known")
    names = ("direct", "majority class")
    return _versus([*map(percent, entries)], floors, names, side=-1, **grids.drawn("table1"))


def _beats(grids: Grids, method: str) -> Effect:
    """Criterion: a higher mean over the pairs of different models, one source each."""
    theirs = grids.across(3, method)
    ours = grids.across(3, "relative", [*BASE, *LARGE])
    # How near to words, or to what a projector can reach, the prompts were to begin with.
    own = [mean(float(cell.mean()) for cell in grids.within(3, name)) for name in ("relative", method)]
    tail = f" (back on its own model: relative {own[0]:.1f}, {method} {own[1]:.1f})"
    pairs = [ours[pair] for pair in theirs]
    return _versus(pairs, [*theirs.values()], ("relative", method), tail=tail, **grids.drawn("table3"))


def _base_beats_manual(grids: Grids) -> Effect:
    """Criterion: relative from the base models has a higher mean than manual prompts on the same other models."""
    if _tasks(grids, 3, "relative") != _tasks(grids, 2, "manual"):
        raise Untold("the two tables cover different tasks: run `ptx run table2` and `ptx run table3` over the same")
    ours, manual = grids.across(3, "relative", BASE), grids.on_target(2, "manual")
    theirs = [manual[target, "facts"].mean(0, keepdims=True) for _, target in ours]  # whatever the seed: none is drawn
    return _versus([*ours.values()], theirs, ("relative", "manual"), **grids.drawn("table3"))


def _tasks(grids: Grids, table: int, method: str) -> set[tuple[int, tuple[str, ...]]]:
    return {(e.tasks, e.cell.units) for e in grids.pick(table, method) if e.cell}


def _larger_is_worse(grids: Grids) -> Effect:
    """Criterion: on models that are neither source, relative from the large model of a family has a lower mean than
    from the base one."""
    large, base = (grids.across(3, "relative", sources) for sources in (LARGE, BASE))
    both = [((b, t), (s, t)) for b, s in zip(LARGE, BASE, strict=True) for _, t in base if t not in (b, s)]
    both = [pairs for pairs in dict.fromkeys(both) if pairs[0] in large and pairs[1] in base]
    ours, theirs = [large[pair] for pair, _ in both], [base[pair] for _, pair in both]
    return _versus(ours, theirs, ("from the larger", "from the smaller"), side=-1, **grids.drawn("table3"))


def _two_sources(grids: Grids, pair: tuple[str, str]) -> Effect:
    """Criterion: on models that are neither source, a higher mean than that of the better source of each."""
    single = grids.across(3, "relative", pair)
    both = {e.place.target: percent(e) for e in grids.pick(3, "relative", [pair]) if e.place.target not in pair}
    cells = np.stack([np.stack([both[t], *(single[source, t] for source in pair)]) for t in both])  # [targets, 3, ...]

    def gain(means: Array) -> Array:
        """Over the better source by the means at hand, so that the choice is drawn anew too."""
        two, a, b = np.moveaxis(means.reshape(*means.shape[:-1], -1, 3), -1, 0)
        return average(two - np.maximum(a, b))

    means = cells.mean((2, 3))
    wins = int((means[:, 0] >= means[:, 1:].max(1)).sum())
    text = f"two {means[:, 0].mean():.1f}, the better one {means[:, 1:].max(1).mean():.1f}"
    tail = f"; no lower in {wins} of {len(both)} cells"
    return Effect(text, [_columns(cells)], gain, tail=tail, **grids.drawn("table3"))


def _columns(cells: Array) -> Array:
    """[..., seeds, units] as [seeds, units, columns]."""
    return np.moveaxis(cells.reshape(-1, *cells.shape[-2:]), 0, -1)


def _gpt2_is_poor(grids: Grids) -> Effect:
    """Criterion: target by target, the mean from GPT-2 sources is below that from masked ones, on average."""
    sides: tuple[dict[str, list[Array]], ...] = (defaultdict(list), defaultdict(list))  # by target: masked, GPT-2
    for (source, target), value in grids.across(5, "relative").items():
        sides[source.startswith("gpt2")][target].append(value)
    masked, gpt2 = ([np.mean(side[t], axis=0) for t in sides[0] if t in sides[1]] for side in sides)
    return _versus(gpt2, masked, ("from GPT-2", "from masked models"), side=-1, **grids.drawn("table5"))


def _classification(grids: Grids) -> Effect:
    """Criterion: relative has a higher mean than the manual prompts of the same suite."""
    ours, manual = grids.pick(6, "relative"), grids.on_target(6, "manual")
    theirs = [manual[e.place.target, e.suite] for e in ours]
    suites, drawn = [e.suite for e in ours], grids.drawn("table6")
    return _versus([*map(percent, ours)], theirs, ("relative", "manual"), apart=suites, **drawn)


def _loss_tells(grids: Grids) -> Effect:
    """Criterion: along a curve, Spearman's rank correlation of loss and accuracy is negative, on average."""
    curves: dict[str, list[Array]] = defaultdict(list)
    for _, _, cell in grids.figure("figure2"):
        curves[cell.pair].append(np.stack([np.array(cell.losses or [[cell.matching_loss]]), rows(cell)]))
    cells = np.stack([np.stack(curve, axis=1) for curve in curves.values()])  # [curves, 2, points, seeds, units]
    shape = cells.shape[:3]
    if shape[2] < 3:
        raise Untold("no curve of figure2 has three points: run `ptx run figure2`")

    def each(means: Array) -> Array:
        loss, accuracy = np.moveaxis(means.reshape(*means.shape[:-1], *shape), -2, 0)
        return rank_correlation(loss, accuracy)

    negative = int((each(cells.mean((3, 4)).ravel()) < 0).sum())
    text, tail = "rank correlation, mean over curves", f"; negative in {negative} of {len(curves)} curves"
    of = grids.drawn("figure2")
    return Effect(text, [_columns(cells)], lambda m: average(each(m)), side=-1, tail=tail, decimals=2, **of)


def _eq6(grids: Grids, *, own: bool) -> tuple[list[Array], list[Array]]:
    """Cells without and with Eq. 6, pair by pair, within one model or across models."""
    found = [(x, rows(cell)) for _, x, cell in grids.figure("figure3") if cell.self_transfer is own]
    if not found:
        raise Untold("self-transfer or transfer across models is missing: run `ptx run figure3`")
    off, on = ([row for x, row in found if x == which] for which in (0.0, 1.0))
    return off, on


def _eq6_helps(grids: Grids) -> Effect:
    """Criterion: Eq. 6 raises the mean across models."""
    off, on = _eq6(grids, own=False)
    return _versus(on, off, ("with", "without"), **grids.drawn("figure3"))


def _eq6_costs_less(grids: Grids) -> Effect:
    """Criterion: Eq. 6 lowers the mean within one model by less than it raises that across models."""
    across, within = ([np.mean(side, axis=0) for side in _eq6(grids, own=own)] for own in (False, True))
    gain, cost = across[1] - across[0], within[0] - within[1]
    text = f"gain across {gain.mean():+.1f}, cost within {cost.mean() + 0.0:+.1f}"
    return Effect(text, [(gain - cost)[..., None]], **grids.drawn("figure3"))


def _curve(grids: Grids, series: str) -> tuple[list[float], Array, str]:
    """The values that varied, the means over all pairs as columns, and both spelled; at least three values."""
    found: dict[float, list[Array]] = defaultdict(list)
    for own, x, cell in grids.figure("figure4"):
        if own == series:
            found[x].append(rows(cell))
    if len(found) < 3:
        raise Untold(f"fewer than three values of {series}: run `ptx run figure4`")
    values = sorted(found)
    columns = np.stack([np.mean(found[x], axis=0) for x in values], axis=-1)
    every = np.inf if grids.anchors is None else grids.anchors
    names = ["all" if x == every and series != BY_LENGTH else f"{x:,.0f}" for x in values]
    points = zip(names, columns.mean((0, 1)), strict=True)
    return values, columns, ", ".join(f"{name}: {y:.1f}" for name, y in points)


def _more_is_better(grids: Grids, series: str) -> Effect:
    """Criterion: the rank correlation of their number with mean accuracy is positive."""
    values, columns, text = _curve(grids, series)

    def correlation(means: Array) -> Array:
        return rank_correlation(np.broadcast_to(np.array(values), means.shape), means)

    return Effect(f"{text}; rank correlation", [columns], correlation, decimals=2, **grids.drawn("figure4"))


def _moderate_length(grids: Grids) -> Effect:
    """Criterion: the best length between the shortest and the longest tried is better than both."""
    values, columns, text = _curve(grids, BY_LENGTH)
    best = values[1 + int(columns.mean((0, 1))[1:-1].argmax())]

    def gain(means: Array) -> Array:
        return means[..., 1:-1].max(-1) - means[..., [0, -1]].max(-1)

    return Effect(f"{text}; {best:.0f} over the better end", [columns], gain, **grids.drawn("figure4"))


CLAIMS: tuple[tuple[str, Judge], ...] = (
    ("A prompt carried over unchanged fails: it scores below the majority class", _direct),
    ("Relative transfer beats discretization across models", partial(_beats, method="discretize")),
    (
        "Relative transfer beats a trained projector across models (neither chosen on target labels; in the paper both "
        "are)",
        partial(_beats, method="projector"),
    ),
    ("From base models, relative transfer beats manual prompts", _base_beats_manual),
    ("Prompts of larger models transfer worse than those of smaller ones to the same models", _larger_is_worse),
    (f"BERT base and large together are no worse on unseen models {THAN}", partial(_two_sources, pair=BERTS)),
    (f"BERT and RoBERTa base together are no worse on unseen models {THAN}", partial(_two_sources, pair=BASE)),
    ("Lower matching loss goes with higher accuracy", _loss_tells),
    ("Eq. 6 helps across models", _eq6_helps),
    ("Eq. 6 costs less within one model than it gains across models", _eq6_costs_less),
    ("The more anchors are kept by top-k, the better", partial(_more_is_better, series=BY_TOP_K)),
    ("The more anchors there are, the better", partial(_more_is_better, series=BY_COUNT)),
    ("A prompt of moderate length transfers best: 5 in the paper (chosen on target test labels)", _moderate_length),
    ("GPT-2 is a poor source", _gpt2_is_poor),
    ("Transferred classification prompts beat manual ones", _classification),
)
