"""The paper's claims as judges: each states its criterion, and gives a verdict with the numbers behind it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from statistics import mean
from typing import TYPE_CHECKING

from ptx.paper.frames import BY_COUNT, BY_LENGTH, BY_TOP_K
from ptx.paper.grids import Grids, Untold

if TYPE_CHECKING:
    import pandas as pd

BASE, LARGE, BERTS = ("bert-base", "roberta-base"), ("bert-large", "roberta-large"), ("bert-base", "bert-large")
Verdict = tuple[bool, str]
Judge = Callable[[Grids], Verdict]


def _versus(ours: Sequence[float], theirs: Sequence[float], names: tuple[str, str]) -> Verdict:
    """Whether the mean of the first is higher, with in how many of the paired cells it is."""
    wins = sum(a > b for a, b in zip(ours, theirs, strict=True))
    text = f"{names[0]} {mean(ours):.1f}, {names[1]} {mean(theirs):.1f} on average"
    return mean(ours) > mean(theirs), f"{text}; higher in {wins} of {len(ours)} cells"


def _direct(grids: Grids) -> Verdict:
    """Criterion: on average below the majority class."""
    cells = [e.cell for e in grids.pick(1, "direct") if e.cell is not None]
    direct, floor = 100 * mean(cell.accuracy for cell in cells), 100 * mean(cell.floor for cell in cells)
    if math.isnan(floor):
        raise Untold("the majority-class floor is not known")
    below = sum(cell.accuracy < cell.floor for cell in cells)
    return direct < floor, f"direct {direct:.1f}, majority class {floor:.1f}; below it in {below} of {len(cells)} cells"


def _beats(grids: Grids, method: str) -> Verdict:
    """Criterion: a higher mean over the pairs of different models, one source each."""
    theirs = grids.across(3, method)
    ours = grids.across(3, "relative", [*BASE, *LARGE])
    holds, text = _versus([ours[pair] for pair in theirs], [*theirs.values()], ("relative", method))
    # How near to words, or to what a projector can reach, the prompts were to begin with.
    own = [mean(grids.within(3, name).values()) for name in ("relative", method)]
    return holds, f"{text} (back on its own model: relative {own[0]:.1f}, {method} {own[1]:.1f})"


def _base_beats_manual(grids: Grids) -> Verdict:
    """Criterion: relative from the base models has a higher mean than manual prompts on the same other models."""
    if {e.tasks for e in grids.pick(3, "relative")} != {e.tasks for e in grids.pick(2, "manual")}:
        raise Untold("the two tables cover different tasks: run `ptx run table2` and `ptx run table3` over the same")
    ours, manual = grids.across(3, "relative", BASE), grids.on_target(2, "manual")
    return _versus([*ours.values()], [manual[target, "facts"] for _, target in ours], ("relative", "manual"))


def _larger_is_worse(grids: Grids) -> Verdict:
    """Criterion: relative from the large models has a lower mean over other models than from the base ones."""
    base, large = (mean(grids.across(3, "relative", sources).values()) for sources in (BASE, LARGE))
    return large < base, f"relative from the larger {large:.1f}, from the smaller {base:.1f} on average"


def _two_sources(grids: Grids, pair: tuple[str, str]) -> Verdict:
    """Criterion: on models that are neither source, a mean no lower than that of the better source of each."""
    single = grids.across(3, "relative", pair)
    both = {e.place.target: e.percent for e in grids.pick(3, "relative", [pair]) if e.place.target not in pair}
    best = {target: max(single[source, target] for source in pair) for target in both}
    wins = sum(both[target] >= best[target] for target in both)
    two, one = mean(both.values()), mean(best.values())
    text = f"two {two:.1f}, the better one {one:.1f} on average; no lower in {wins} of {len(both)} cells"
    return two >= one, text


def _gpt2_is_poor(grids: Grids) -> Verdict:
    """Criterion: target by target, the mean from GPT-2 sources is below that from masked ones, on average."""
    pairs = grids.across(5, "relative")
    sides: tuple[dict[str, list[float]], ...] = (defaultdict(list), defaultdict(list))  # by target: masked, GPT-2
    for (source, target), value in pairs.items():
        sides[source.startswith("gpt2")][target].append(value)
    masked, gpt2 = ([mean(side[target]) for target in sides[0] if target in sides[1]] for side in sides)
    return _versus(masked, gpt2, ("from masked models", "from GPT-2"))


def _classification(grids: Grids) -> Verdict:
    """Criterion: relative has a higher mean than the manual prompts of the same suite."""
    ours, manual = grids.pick(6, "relative"), grids.on_target(6, "manual")
    theirs = [manual[e.place.target, e.suite] for e in ours]
    return _versus([e.percent for e in ours], theirs, ("relative", "manual"))


def _loss_tells(grids: Grids) -> Verdict:
    """Criterion: along a curve, Spearman's rank correlation of loss and accuracy is negative, on average."""
    every, across = [], []
    for _, curve in grids.figure("figure2").groupby(["sources", "target"]):
        if not math.isnan(correlation := _spearman(curve["matching_loss"], curve["percent"])):  # a flat curve has none
            every.append(correlation)
            across += [] if curve["self_transfer"].iloc[0] else [correlation]
    if not every:
        raise Untold("no curve of figure2 has three points that differ: run `ptx run figure2`")
    apart = f", {mean(across):+.2f} across models" if across else ""
    negative = sum(value < 0 for value in every)
    text = f"rank correlation {mean(every):+.2f} on average{apart}; negative in {negative} of {len(every)} curves"
    return mean(every) < 0, text


def _spearman(a: pd.Series[float], b: pd.Series[float]) -> float:
    """Ties share their mean rank. NaN below three points, or where either does not vary."""
    if len(a) < 3 or a.nunique() < 2 or b.nunique() < 2:
        return math.nan
    return float(a.rank().corr(b.rank()))


def _normalisation(grids: Grids) -> Verdict:
    """Criterion: Eq. 6 raises the mean across models, by more than it lowers the mean within one."""
    data = grids.figure("figure3")
    means = data.groupby(["self_transfer", "x"])["percent"].mean()
    if len(means) < 4:
        raise Untold("self-transfer or transfer across models is missing: run `ptx run figure3`")
    off, on, own_off, own_on = (float(means[own, x]) for own in (False, True) for x in (0.0, 1.0))
    text = f"across models {off:.1f} without, {on:.1f} with; within one model {own_off:.1f} without, {own_on:.1f} with"
    return on > off and on - off > own_off - own_on, text


def _curve(grids: Grids, series: str) -> pd.Series[float]:
    """Mean percent over all pairs by the value that varies; at least three values."""
    data = grids.figure("figure4")
    curve = data[data["series"] == series].groupby("x")["percent"].mean()
    if len(curve) < 3:
        raise Untold(f"fewer than three values of {series}: run `ptx run figure4`")
    return curve


def _listed(curve: pd.Series[float]) -> str:
    return ", ".join(f"{'all' if x == math.inf else f'{x:,.0f}'}: {y:.1f}" for x, y in curve.items())


def _more_is_better(grids: Grids, series: str) -> Verdict:
    """Criterion: the rank correlation of their number with mean accuracy is positive."""
    curve = _curve(grids, series)
    correlation = _spearman(curve.index.to_series(), curve)
    return correlation > 0, f"{_listed(curve)}; rank correlation {correlation:+.2f}"


def _moderate_length(grids: Grids) -> Verdict:
    """Criterion: the best length is neither the shortest nor the longest tried."""
    curve = _curve(grids, BY_LENGTH)
    best = int(curve.to_numpy().argmax())
    return 0 < best < len(curve) - 1, f"{_listed(curve)}; best at {curve.index[best]:.0f}"


CLAIMS: tuple[tuple[str, Judge], ...] = (
    ("A prompt carried over unchanged fails: it scores below the majority class", _direct),
    ("Relative transfer beats discretization across models", partial(_beats, method="discretize")),
    ("Relative transfer beats a trained projector across models", partial(_beats, method="projector")),
    ("From base models, relative transfer beats manual prompts", _base_beats_manual),
    ("Prompts of larger models transfer worse", _larger_is_worse),
    ("BERT base and large together match the better of the two on unseen models", partial(_two_sources, pair=BERTS)),
    ("BERT and RoBERTa base together match the better of the two on unseen models", partial(_two_sources, pair=BASE)),
    ("Lower matching loss goes with higher accuracy", _loss_tells),
    ("Eq. 6 helps across models and costs less within one", _normalisation),
    ("The more anchors are kept by top-k, the better", partial(_more_is_better, series=BY_TOP_K)),
    ("The more anchors there are, the better", partial(_more_is_better, series=BY_COUNT)),
    ("A prompt of moderate length transfers best (5 in the paper)", _moderate_length),
    ("GPT-2 is a poor source", _gpt2_is_poor),
    ("Transferred classification prompts beat manual ones", _classification),
)
