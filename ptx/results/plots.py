"""Drawings as PNG, SVG and PDF: the same numbers give the same bytes."""

from __future__ import annotations

import importlib.util
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptx.errors import PtxError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, DPI = 9.0, 100  # inches and dots: 900 pixels, the width of a README
ENDS = ("png", "svg", "pdf")
# What would tell when or by which version a file was written.
DATELESS: dict[str, dict[str, None]] = {
    "png": {"Software": None}, "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}  # fmt: skip
# Okabe and Ito's palette, which colour-blind readers can tell apart; a marker each, for print without colour.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "ptx",  # ids in the SVG do not change from run to run
    "svg.fonttype": "none",  # text stays text: searchable, and small
    "pdf.fonttype": 42,  # as printers and publishers take it
    "text.parse_math": False,  # a name with $ in it is no formula
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "axes.axisbelow": True, "grid.color": "#DDDDDD", "legend.frameon": False,
}  # fmt: skip


def check() -> None:
    """Raise PtxError without matplotlib: asked before anything runs whose result is to be drawn."""
    try:
        found = importlib.util.find_spec("matplotlib") is not None
    except ValueError:  # something was put in its place
        found = False
    if not found:
        raise PtxError("figures need matplotlib", "run `pip install matplotlib`, which is the extra `figures` of ptx")


def look(i: int) -> dict[str, Any]:
    return {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)]}


def save(
    draw: Callable[[Figure], None], title: str, path: Path, note: str = "", *, ends: Sequence[str] = ENDS
) -> list[Path]:
    """Write `path`.png, .svg and .pdf, their folder made if need be. Raises PtxError without matplotlib."""
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        hint = "run `pip install matplotlib`, which is the extra `figures` of ptx"
        raise PtxError("figures need matplotlib", hint) from None
    path.parent.mkdir(parents=True, exist_ok=True)
    paths = [path.with_name(f"{path.name}.{end}") for end in ends]
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a matplotlibrc of the user's would change the bytes
        matplotlib.rcParams.update(STYLE)
        figure = Figure(figsize=(WIDTH, 4.5), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        figure.suptitle(title, fontsize=11, fontweight="bold")
        if note:
            figure.supxlabel(textwrap.fill(note, 150, break_on_hyphens=False), fontsize=7.5, color="#555555")
        for end, file in zip(ends, paths, strict=True):
            figure.savefig(file, metadata=DATELESS[end])
    return paths
