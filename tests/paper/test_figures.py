from __future__ import annotations

import builtins
import math
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest
from paper_cells import FIGURES, MINI, PAIRS, REAL, but, cell

from ptx.errors import PtxError, UsageError
from ptx.paper.figures import draw
from ptx.paper.frames import BY_COUNT, BY_LENGTH, BY_TOP_K, figure_table, frame
from ptx.results.sheet import render

LABELS = {
    "figure2": [
        "matching loss after Eq. 6, 1 − cosine (falls to the right)",
        "accuracy on the dev split (%)",
        "to roberta-micro",
    ],
    "figure3": ["accuracy, P@1 (%)", "within one model", "across models", "with Eq. 6", "bert-micro → roberta-micro"],
    "figure4": ["number of anchors (log scale)", "prompt length (vectors)", "accuracy, P@1 (%), mean over pairs"],
}


@pytest.mark.parametrize("name", LABELS)
def test_a_figure_is_a_png_an_svg_and_its_data(name: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    png, svg, pdf, data = draw(name, FIGURES[name], tmp_path / "new", MINI, anchors=100)
    assert png.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert pdf.read_bytes().startswith(b"%PDF-")
    words = " ".join("".join(node.itertext()) for node in ElementTree.parse(svg).iter())
    for label in [*LABELS[name], "in miniature", "bert-micro\u00a0(for\u00a0bert-base)"]:
        assert label in words
    pd.testing.assert_frame_equal(pd.read_csv(data), frame(name, FIGURES[name], anchors=100), check_dtype=False)
    again = draw(name, FIGURES[name][::-1], tmp_path / "again", MINI, anchors=100)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in (png, svg, pdf, data)]


def test_the_papers_own_models_are_no_miniature(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    cells = [cell("relative", ("bert-base",), "roberta-base", 0.3, settings={"search.normalize": on}) for on in (0, 1)]
    _, svg, *_ = draw("figure3", cells, tmp_path, REAL)
    assert "miniature" not in svg.read_text("utf-8")


def test_figure4_puts_all_at_the_number_of_anchors_where_its_curves_meet() -> None:
    data = frame("figure4", FIGURES["figure4"], anchors=100)
    for series, want in ((BY_TOP_K, {16: 30, 64: 40, 100: 50}), (BY_COUNT, {16: 25, 64: 35, 100: 50}),
                         (BY_LENGTH, {1: 30, 3: 40, 5: 50, 10: 45})):  # fmt: skip
        assert data[data["series"] == series].groupby("x")["percent"].mean().round(6).to_dict() == want
    assert frame("figure4", FIGURES["figure4"])["x"].max() == math.inf
    more = [cell("relative", (s,), t, 0.4, settings={"encode.top_k": 4096}) for s, t in PAIRS]  # of 100: all
    pd.testing.assert_frame_equal(frame("figure4", more + FIGURES["figure4"], anchors=100), data)


def test_figure4_needs_to_know_what_all_is(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(ValueError, match="give it as `anchors`"):
        draw("figure4", FIGURES["figure4"], tmp_path, MINI)


def test_text_forms() -> None:
    assert [[item.text for item in row] for row in figure_table("figure2", FIGURES["figure2"], MINI).rows] == [
        ["0", "0.900", "40.0", "0.900", "10.0"],
        ["8", "0.800", "50.0", "0.800", "20.0"],
        ["64", "0.650", "65.0", "0.650", "35.0"],
        ["1000", "0.500", "80.0", "0.500", "50.0"],
    ]
    three = figure_table("figure3", FIGURES["figure3"], MINI)
    assert [[item.text for item in row] for row in three.rows] == [
        ["bert-micro → bert-micro", "71.0", "70.0", "-1.0"],
        ["mean of self-transfer", "71.0", "70.0", "-1.0"],
        ["bert-micro → roberta-micro", "30.0", "40.0", "+10.0"],
        ["roberta-micro → bert-mini", "30.0", "40.0", "+10.0"],
        ["mean across models", "30.0", "40.0", "+10.0"],
    ]
    four = figure_table("figure4", FIGURES["figure4"], MINI)
    assert [item.text for item in four.rows[-1]] == [BY_TOP_K, "all", "50.0", "70.0", "40.0"]
    assert four.notes == [
        "Models: bert-micro (for bert-base), roberta-micro (for roberta-base), bert-mini (for bert-large)"
    ]
    assert "in miniature" in render(four, "text")
    seeded = [but(c, seeds=(0, 2)) for c in FIGURES["figure4"]]
    assert figure_table("figure4", seeded, MINI).notes == [f"{four.notes[0]}; means over seeds 0, 2"]
    assert len(render(three, "csv").splitlines()) == 1 + 2 * len(PAIRS)


def test_without_matplotlib_the_data_is_still_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(PtxError) as error:
        draw("figure3", FIGURES["figure3"], tmp_path / "none", MINI)
    assert (error.value.message, error.value.hint) == (
        "figures need matplotlib", "run `pip install matplotlib`, which is the extra `figures` of ptx"
    )  # fmt: skip
    assert not (tmp_path / "none").exists()
    assert len(frame("figure3", FIGURES["figure3"])) == 6


def test_errors_say_what_to_do() -> None:
    with pytest.raises(PtxError) as error:
        frame("figure2", FIGURES["figure3"])
    assert (error.value.message, error.value.hint) == ("no cells of figure2 are in the cache", "run `ptx run figure2`")
    with pytest.raises(UsageError) as usage:
        frame("figure1", FIGURES["figure3"])
    assert (usage.value.message, usage.value.hint) == (
        "no figure named 'figure1'", "choose one of figure2, figure3, figure4"
    )  # fmt: skip


def test_importing_the_package_is_light() -> None:
    code = "import sys, ptx.paper.tables, ptx.paper.figures, ptx.paper.claims; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "ptx.paper.claims" in loaded
    assert not {"pandas", "matplotlib", "torch", "transformers"} & set(loaded)
