"""`ptx table --curve` as a plot: a panel for each model and setting, a line for each way to begin."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ptx.errors import PtxError
from ptx.results import plots
from ptx.results.curve import NOTE
from ptx.results.sheet import Page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Tuning: dev accuracy against gradient steps"


def draw(pages: Sequence[Page], file: Path) -> Path:
    """Write a PNG, SVG or PDF, by the file's ending. Raises PtxError without matplotlib, or if it cannot be written."""
    names = list(dict.fromkeys(row["init"] for page in pages for row in page.records))
    looks = {name: {**plots.look(i), "label": name, "markersize": 4.5} for i, name in enumerate(names)}

    def panels(figure: Figure) -> None:
        figure.set_size_inches(plots.WIDTH, 1.3 + 2.9 * len(pages))
        for panel, page in zip(figure.subplots(len(pages), 1, squeeze=False).flatten(), pages, strict=True):
            for name in dict.fromkeys(row["init"] for row in page.records):
                points = [(row["steps"], 100 * row["dev_accuracy"]) for row in page.records if row["init"] == name]
                panel.plot(*zip(*points, strict=True), **looks[name])
            panel.set_title(page.title, fontsize=10)
            panel.set_xlabel("gradient steps, mean of tasks")
            panel.set_ylabel("accuracy on the dev split (%)")
            panel.legend(loc="lower right")

    try:
        return plots.save(panels, TITLE, file.with_suffix(""), NOTE, ends=[file.suffix.removeprefix(".").lower()])[0]
    except OSError as error:
        raise PtxError(f"cannot write {file}: {error.strerror}", "choose another --output") from None
