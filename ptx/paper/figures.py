"""The paper's Figures 2, 3 and 4 as PNG, SVG, PDF and CSV: the same cells give the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptx.media import cell
from ptx.paper.cells import Cell, Standins, title
from ptx.paper.frames import BY_COUNT, BY_LENGTH, BY_TOP_K, TITLES, frame, models_note, ordered
from ptx.results.plots import COLOURS, WIDTH, look, save

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw(name: str, cells: Sequence[Cell], folder: Path, standins: Standins, anchors: int | None = None) -> list[Path]:
    """Write `name`.png, .svg, .pdf and .csv (the data, in long form) into a folder, made if need be; their paths.

    `anchors` is the number of anchors that "all" means, which figure4 needs. Raises PtxError without matplotlib or
    without cells, UsageError for another name than figure2, figure3 or figure4.
    """
    cells = ordered(cells, standins)
    data = frame(name, cells, anchors=anchors)
    if name == "figure4" and anchors is None and (data["x"] == float("inf")).any():
        raise ValueError("figure4 draws `all` at the number of anchors: give it as `anchors`")
    drawn: Callable[[Figure, pd.DataFrame], None] = {"figure2": _losses, "figure3": _bars, "figure4": _ablations}[name]
    note = models_note(cells, standins).replace(" (for ", "\u00a0(for\u00a0")  # a name is not broken
    drawing = title(name, TITLES[name], standins)
    paths = save(lambda figure: drawn(figure, data), drawing, folder / name, note)
    data.map(cell).to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    return [*paths, folder / f"{name}.csv"]


def _losses(figure: Figure, data: pd.DataFrame) -> None:
    """Figure 2: a panel per source, a curve per target. Loss falls to the right, as the search goes on."""
    sources, targets = list(data["sources"].unique()), list(data["target"].unique())
    columns = min(len(sources), 2)
    lines = -(-len(sources) // columns)
    figure.set_size_inches(WIDTH, 1.3 + 2.9 * lines)
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flatten()
    looks = {target: {**look(i), "markersize": 4.5, "linewidth": 1.4} for i, target in enumerate(targets)}
    for panel, source in zip(panels, sources, strict=False):
        for target, curve in data[data["sources"] == source].groupby("target"):
            dashed = "--" if curve["self_transfer"].iloc[0] else "-"
            panel.plot(curve["x"], curve["percent"], linestyle=dashed, **looks[str(target)])
        _floor(panel, data)
        panel.set_title(f"from {source.replace('+', ' + ')}", fontsize=10)
        panel.set_xlabel("matching loss after Eq. 6, 1 − cosine (falls to the right)")
    for panel in panels[::columns]:
        panel.set_ylabel("accuracy on the dev split (%)")
    for panel in panels[len(sources) :]:
        panel.set_visible(False)
    panels[0].invert_xaxis()  # all panels share it
    legend = {f"to {target}": look for target, look in looks.items()}
    _legend(figure, legend | ({"self-transfer": {"linestyle": "--"}} if data["self_transfer"].any() else {}))


def _bars(figure: Figure, data: pd.DataFrame) -> None:
    """Figure 3: two bars a pair, self-transfer above and across models below, each with its mean on top; as high as
    there are pairs."""
    sides = [("within one model", data[data["self_transfer"]]), ("across models", data[~data["self_transfer"]])]
    sides = [(heading, side) for heading, side in sides if len(side)]
    pairs = [list(dict.fromkeys(zip(side["sources"], side["target"], strict=True))) for _, side in sides]
    heights = [len(names) + 2.2 for names in pairs]
    figure.set_size_inches(WIDTH, 1.5 + 0.34 * sum(heights) + 0.5 * len(sides))
    panels = figure.subplots(len(sides), 1, sharex=True, squeeze=False, height_ratios=heights).flatten()
    for panel, (heading, side), names in zip(panels, sides, pairs, strict=True):
        places = [0.0, *(i + 1.5 for i in range(len(names)))]  # the mean stands apart
        for series, shift, colour, hatch in (("with Eq. 6", -0.2, COLOURS[0], ""), ("without", 0.2, COLOURS[4], "//")):
            bars = side[side["series"] == series].groupby(["sources", "target"])["percent"].mean()
            values = [bars.mean(), *(bars.get(name, float("nan")) for name in names)]
            look: dict[str, Any] = {"color": colour, "hatch": hatch, "edgecolor": "white", "label": series}
            drawn = panel.barh([place + shift for place in places], values, 0.38, **look)
            panel.bar_label(drawn, [f"{v:.1f}" if v == v else "" for v in values], padding=2, fontsize=7.5)
        labels = ["mean", *(f"{source.replace('+', ' + ')} → {target}" for source, target in names)]
        panel.set_yticks(places, labels)
        panel.get_yticklabels()[0].set_fontweight("bold")
        panel.axhline(0.75, color="#555555", linewidth=0.8)
        panel.set_ylim(len(names) + 1.1, -0.6)  # the first pair on top
        panel.set_title(heading, fontsize=10)
        panel.grid(visible=False, axis="y")
        panel.margins(x=0.16)
    panels[-1].set_xlabel("accuracy, P@1 (%)")
    handles, names_of_series = panels[0].get_legend_handles_labels()
    figure.legend(handles, names_of_series, loc="outside right center", fontsize=9)


def _ablations(figure: Figure, data: pd.DataFrame) -> None:
    """Figure 4: anchors on a logarithmic axis on the left, prompt length on the right; means over pairs."""
    there = [series for series in (BY_TOP_K, BY_COUNT, BY_LENGTH) if (data["series"] == series).any()]
    looks = {series: look(i) for i, series in enumerate(there)}
    counts, lengths = data[data["series"] != BY_LENGTH], data[data["series"] == BY_LENGTH]
    sides = [side for side in (counts, lengths) if len(side)]
    panels = figure.subplots(1, len(sides), sharey=True, squeeze=False).flatten()
    for panel, side in zip(panels, sides, strict=True):
        for series, curve in side.groupby("series"):
            _mean_curve(panel, curve, linewidth=2, **looks[str(series)])
            across = curve[~curve["self_transfer"]]
            if 0 < len(across) < len(curve):
                _mean_curve(panel, across, markersize=3, linewidth=0.9, linestyle="--", **looks[str(series)])
        ticks = sorted(set(side["x"]))
        if side is counts:
            panel.set_xscale("log", base=2)
        panel.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks], rotation=45 if len(ticks) > 6 else 0)
        panel.minorticks_off()
        _floor(panel, data)
        panel.set_xlabel("number of anchors (log scale)" if side is counts else "prompt length (vectors)")
        panel.set_title("(a) anchors" if side is counts else "(b) prompt length", fontsize=10)
    panels[0].set_ylabel("accuracy, P@1 (%), mean over pairs")
    lines = {series: {**look, "linewidth": 2} for series, look in looks.items()}
    _legend(figure, lines | {"thin: across models only": {"linewidth": 0.9, "linestyle": "--"}})


def _legend(figure: Figure, lines: dict[str, dict[str, Any]]) -> None:
    """Beside the panels: these lines by label, grey unless they say otherwise, and last the majority class."""
    from matplotlib.lines import Line2D

    lines = lines | {"majority class": {"linestyle": ":"}}
    handles = [Line2D([], [], label=label, **{"color": "#555555"} | look) for label, look in lines.items()]
    figure.legend(handles=handles, loc="outside right center", fontsize=9)


def _mean_curve(panel: Axes, data: pd.DataFrame, **look: Any) -> None:
    means = data.groupby("x")["percent"].mean()
    panel.plot(means.index.to_numpy(), means.to_numpy(), **look)


def _floor(panel: Axes, data: pd.DataFrame) -> None:
    if (floor := data["floor"].mean()) == floor:
        panel.axhline(floor, color="#555555", linestyle=":", linewidth=1.2)
