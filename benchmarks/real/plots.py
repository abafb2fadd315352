"""Plots: tuned, manual and majority by relation; the share of the gap that methods close; forecasts against truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.real.results import Results, gap
from ptx.results.plots import COLOURS, MARKERS, WIDTH, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOOKS = {"tuned": (COLOURS[0], MARKERS[0]), "manual": (COLOURS[1], MARKERS[1]), "majority": ("#555555", "|")}


def tuned(found: Results, models: Sequence[str], path: Path) -> None:
    """A panel for each model, a line for each relation, by the tuned prompt's accuracy on the first model."""

    def draw(figure: Figure) -> None:
        tasks = {model: found.of(model, "test", "majority") for model in models}
        order = sorted(tasks[models[0]], key=lambda task: found.of(models[0], "test", "tuned").get(task, 0.0))
        figure.set_size_inches(WIDTH, 1.4 + 0.2 * len(order))
        panels = figure.subplots(1, len(models), sharey=True, squeeze=False).flatten()
        for panel, model in zip(panels, models, strict=True):
            for row, (colour, marker) in LOOKS.items():
                values = found.of(model, "test", row)
                places = [i for i, task in enumerate(order) if task in values]
                look: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": "", "label": row}
                panel.plot([values[order[i]] for i in places], places, **look)
            panel.set_title(model, fontsize=10)
            panel.set_xlabel("accuracy on test facts, P@1 (%)")
            panel.set_xlim(-3, 103)
        panels[0].set_yticks(range(len(order)), order)
        panels[-1].legend(loc="lower right", framealpha=1)

    save(draw, "Prompts tuned on real models, with ptx's defaults", path)


def gaps(found: Results, directions: Sequence[tuple[str, str]], tasks: Sequence[str], path: Path) -> None:
    """A panel for each direction, a bar for each method with its 95% interval."""

    def draw(figure: Figure) -> None:
        rows = {(s, t): [r for r in found.rows(t) if r[1] in ("", s)] for s, t in directions}
        figure.set_size_inches(WIDTH, 1.4 + 0.3 * max(map(len, rows.values())))
        panels = figure.subplots(1, len(directions), squeeze=False).flatten()
        for panel, ((source, target), of) in zip(panels, rows.items(), strict=True):
            floor, ceiling = (found.of(target, "test", row) for row in ("majority", "tuned"))
            names = [("manual", ""), *of]
            for place, (row, by) in enumerate(names):
                numbers = gap(found.of(target, "test", row, by), floor, ceiling, tasks)
                if numbers is None:
                    continue
                value, interval = numbers
                panel.barh(place, value, 0.6, color=COLOURS[0] if by else "#999999")
                if interval:
                    panel.plot(interval, (place, place), color="black", linewidth=1.2, marker="|")
            panel.set_yticks(range(len(names)), [row for row, _ in names])
            panel.set_ylim(len(names) - 0.4, -0.6)
            panel.axvline(0, color="#555555", linewidth=0.8)
            panel.axvline(100, color="#555555", linewidth=0.8, linestyle=":")
            panel.set_title(f"{source} → {target}", fontsize=10)
            panel.set_xlabel("share of the gap from majority to tuned (%)")
            panel.grid(visible=False, axis="y")

    save(draw, "What is carried to the other model (grey: without a source)", path)


def forecasts(found: Results, path: Path) -> None:
    """A panel for dev facts and one for test facts, a point for each prompt."""

    def draw(figure: Figure) -> None:
        figure.set_size_inches(WIDTH, 0.55 * WIDTH)
        panels = figure.subplots(1, 2, sharey=True).flatten()
        for panel, split in zip(panels, ("dev", "test"), strict=True):
            for (row, points), colour, marker in zip(found.forecasts(split).items(), COLOURS, MARKERS, strict=False):
                panel.plot(*100 * points[:, :2].T, marker, color=colour, alpha=0.7, markersize=5, label=row)
            panel.plot((0, 100), (0, 100), color="#555555", linewidth=0.8)
            panel.set_xlabel("accuracy that was to be expected (%)")
            panel.set_ylabel(f"accuracy on {split} facts, P@1 (%)")
        panels[0].legend(loc="upper left", framealpha=1)

    save(draw, "What was to be expected on real models, and what came", path)
