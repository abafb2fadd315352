from __future__ import annotations

import numpy as np
import pytest
from paper_cells import FIGURES, MINI, REAL, RELATIONS, but, cell, grid, varied

from ptx.errors import UsageError
from ptx.paper.cells import Cell
from ptx.paper.claims import LIMITS, ONE_SEED, READING, SEEDS, Claim, claims, render_claims
from ptx.paper.judges import CLAIMS
from ptx.paper.published import published
from ptx.paper.recipe import load_recipe

CELLS: dict[str, list[Cell]] = {f"table{n}": grid(n, shift=0) for n in (1, 2, 3, 5, 6)} | FIGURES
(DIRECT, DISCRETIZE, PROJECTOR, MANUAL, LARGER, BERTS, BASES, LOSS, EQ6, COST, TOP_K, COUNT, LENGTH, GPT2, TOPICS) = (
    text for text, _ in CLAIMS
)


def found(cells: dict[str, list[Cell]] = CELLS, anchors: int | None = 100) -> dict[str, Claim]:
    return {claim.text: claim for claim in claims(cells, MINI, anchors)}


HERE = found()


def test_the_published_numbers_are_judged_alike_but_have_no_interval_and_no_verdict() -> None:
    judged = HERE
    for text in (DISCRETIZE, PROJECTOR, MANUAL, LARGER, BERTS, BASES):
        here, interval = judged[text].numbers.split(" [")
        assert judged[text].paper == here + interval[interval.index(";") :]
    assert judged[DIRECT].paper == ""


@pytest.mark.parametrize(
    ("text", "holds", "begins", "ends"),
    [
        (DIRECT, True, "direct 1.7, majority class 18.0: -16.3 [", "; lower in 4 of 4 cells"),
        (
            DISCRETIZE,
            True,
            "relative 17.5, discretize 8.2: +9.3 [",
            "; higher in 20 of 20 cells (back on its own model: relative 46.5, discretize 10.9)",
        ),
        (
            PROJECTOR,
            True,
            "relative 17.5, projector 10.8: +6.6 [",
            "; higher in 15 of 20 cells (back on its own model: relative 46.5, projector 19.9)",
        ),
        (MANUAL, False, "relative 24.3, manual 24.9: -0.6 [", "; higher in 5 of 10 cells"),
        (LARGER, True, "from the larger 9.6, from the smaller 23.3: -13.7 [", "; lower in 8 of 8 cells"),
        (BERTS, True, "two 24.2, the better one 19.1: +5.1 [", "; no lower in 4 of 4 cells"),
        (BASES, True, "two 27.9, the better one 26.8: +1.1 [", "; no lower in 4 of 4 cells"),
        (LOSS, True, "rank correlation, mean over curves: -1.00 [", "; negative in 3 of 3 curves"),
        (EQ6, True, "with 40.0, without 30.0: +10.0 [", "; higher in 2 of 2 cells"),
        (COST, True, "gain across +10.0, cost within +1.0: +9.0 [", ""),
        (TOP_K, True, "16: 30.0, 64: 40.0, all: 50.0; rank correlation: +1.00 [", ""),
        (COUNT, True, "16: 25.0, 64: 35.0, all: 50.0; rank correlation: +1.00 [", ""),
        (LENGTH, True, "1: 30.0, 3: 40.0, 5: 50.0, 10: 45.0; 5 over the better end: +5.0 [", ""),
        (GPT2, True, "from GPT-2 6.1, from masked models 18.5: -12.3 [", "; lower in 3 of 4 cells"),
        (TOPICS, True, "relative 83.5, manual 70.0: +13.6 [", "; higher in 2 of 2 cells"),
    ],
)
def test_each_claim_with_its_numbers(text: str, holds: bool, begins: str, ends: str) -> None:
    claim = HERE[text]
    assert claim.holds is holds
    assert claim.numbers.startswith(begins)
    assert claim.numbers.endswith(f"] over 40 relations, seed 0{ends}")
    figures = claim.figures
    assert figures["low"] <= figures["value"] <= figures["high"]
    assert (figures["units"], figures["seeds"]) == (40, [0])


def test_each_claim_can_fail() -> None:
    worse = {name: [but(c, accuracy=1 - c.accuracy) for c in cells] for name, cells in CELLS.items()}
    judged = found(worse)
    for text, claim in judged.items():
        assert {claim.holds, HERE[text].holds} == {True, False}
    costly = [but(c, accuracy=0.1) if c.self_transfer and c.settings["search.normalize"] else c
              for c in CELLS["figure3"]]  # fmt: skip
    assert found({**CELLS, "figure3": costly})[COST].holds is False


def test_relations_that_disagree_leave_a_claim_open() -> None:
    """The same means as before, and more noise than difference."""

    def noisy(c: Cell) -> Cell:
        return but(c, scores=(varied(c.accuracy, f"{c.method} {c.pair} {c.settings}", spread=3),))

    judged = found({name: [noisy(c) for c in cells] for name, cells in CELLS.items()})
    for text in (MANUAL, EQ6, GPT2):
        assert judged[text].holds is None
        assert "] includes 0, over 40 relations" in judged[text].numbers
        assert judged[text].numbers.split(" [")[0] == HERE[text].numbers.split(" [")[0]


def test_larger_and_smaller_are_compared_on_the_same_targets() -> None:
    """Of a family's two sizes neither is a target, on either side; here from the published numbers by hand."""
    percents = {(p.sources, p.target): v for p, v in published(3).items() if p.method == "relative"}
    differences = [
        percents[(f"{family}-large",), target] - percents[(f"{family}-base",), target]
        for family in ("bert", "roberta")
        for target in {target for _, target in percents} - {f"{family}-large", f"{family}-base"}
    ]
    assert len(differences) == 8
    assert HERE[LARGER].figures["value"] == pytest.approx(np.mean(differences), abs=0.05)


def test_texts_are_drawn_where_there_is_one_task() -> None:
    """Classification's: its texts are drawn, 1 or 0 each, paired with the same text's by the other side."""
    right = np.random.default_rng(1).random((3, 300)) < [[0.75], [0.6], [0.7]]

    def texts(row: int) -> dict:
        scores = tuple(map(float, right[row]))
        return {"unit": "text", "units": tuple(map(str, range(300))), "scores": (scores,), "floors": ()}

    pair, target = ("bert-micro", "roberta-micro"), "roberta-mini"
    cells = [cell("manual", (), target, right[1].mean(), suite="topics", tasks=1, **texts(1))]
    cells += [
        cell("relative", (source,), target, right[i].mean(), suite="topics", tasks=1, **texts(i))
        for source, i in zip(pair, (0, 2), strict=True)
    ]
    claim = found({"table6": cells})[TOPICS]
    assert "] over 300 texts, seed 0; higher in 2 of 2 cells" in claim.numbers
    differences = (right[0] * 1.0 + right[2]) / 2 - right[1]
    half = 196 * differences.std() / 300**0.5
    assert claim.figures["low"] == pytest.approx(100 * differences.mean() - half, abs=0.5)
    assert claim.figures["high"] == pytest.approx(100 * differences.mean() + half, abs=0.5)


def test_each_suites_texts_are_drawn_apart() -> None:
    """Two suites count alike, however many texts each has."""

    def texts(method: str, source: str, suite: str, right: int, n: int) -> Cell:
        unit = {"unit": "text", "units": tuple(map(str, range(n))), "scores": ((1.0,) * right + (0.0,) * (n - right),)}
        return cell(method, (source,) * bool(source), "roberta-large", right / n, suite=suite, tasks=1, **unit)

    cells = []
    for suite, n, (manual, relative) in (("sst2", 100, (50, 70)), ("dbpedia", 300, (150, 180))):
        cells += [texts("manual", "", suite, manual, n)]
        cells += [texts("relative", source, suite, relative, n) for source in ("bert-base", "roberta-base")]
    claim = next(c for c in claims({"table6": cells}, REAL) if c.text == TOPICS)
    assert claim.numbers.startswith("relative 65.0, manual 50.0: +15.0 [")
    assert claim.figures["units"] == 400
    half = 196 / 2 * (0.2 * 0.8 / 100 + 0.1 * 0.9 / 300) ** 0.5
    assert claim.figures["high"] - claim.figures["low"] == pytest.approx(2 * half, rel=0.05)


def test_several_seeds_are_named_each_with_what_it_gives() -> None:
    def seeded(c: Cell) -> Cell:
        rows = c.scores + tuple(varied(c.accuracy, f"{c} {seed}") for seed in (1, 2))
        return but(c, seeds=(0, 1, 2), scores=rows, losses=c.losses * 3, floors=c.floors * 3)

    judged = found({name: [seeded(c) for c in cells] for name, cells in CELLS.items()})
    for claim in judged.values():
        assert " over 40 relations, seeds 0, 1, 2 (" in claim.numbers
        assert claim.figures["seeds"] == [0, 1, 2]
    narrow, wide = judged[MANUAL].figures, HERE[MANUAL].figures
    assert narrow["high"] - narrow["low"] < wide["high"] - wide["low"]
    assert SEEDS in " ".join(render_claims([*judged.values()], "text").split())
    text = render_claims([*HERE.values()], "text", miniature=True)
    assert ONE_SEED in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80


def test_without_cells_nothing_can_be_told() -> None:
    for claim in claims({}, MINI):
        assert claim.holds is None
        assert "run `ptx run " in claim.numbers
        assert claim.record()["value"] is None
    assert found({})[GPT2].numbers == "12 of 12 cells are missing or cover fewer tasks: run `ptx run table5`"


def test_one_missing_or_partial_cell_is_enough_not_to_tell() -> None:
    gap = {"table1": CELLS["table1"][1:]}
    assert found(gap)[DIRECT].numbers == "1 of 4 cells are missing or cover fewer tasks: run `ptx run table1`"
    three = {"tasks": 3, "units": RELATIONS[:3]}
    partial = {"table1": [but(CELLS["table1"][0], **three), *CELLS["table1"][1:]]}
    assert found(partial)[DIRECT].holds is None
    other = found({"table2": [but(c, **three) for c in CELLS["table2"]], "table3": CELLS["table3"]})
    assert other[MANUAL].numbers.startswith("the two tables cover different tasks")
    assert other[LARGER].holds is True
    unpaired = {"figure3": CELLS["figure3"][1:]}
    assert found(unpaired)[EQ6].numbers == "some pairs lack points of figure3: run `ptx run figure3`"
    fewer = {"figure2": [but(CELLS["figure2"][0], **three), *CELLS["figure2"][1:]]}
    assert found(fewer)[LOSS].numbers == "some cells cover other tasks than others: run `ptx run figure2`"
    swapped = [but(c, units=("Q1", *RELATIONS[1:])) if c.method == "projector" else c for c in CELLS["table3"]]
    assert found({"table3": swapped})[PROJECTOR].numbers == (
        "some cells cover other tasks than others: run `ptx run table3`"
    )


def test_all_anchors_count_once_however_they_are_asked_for() -> None:
    """64 of 64 anchors are all of them."""
    twice = found({"figure4": CELLS["figure4"]}, anchors=64)
    assert twice[COUNT].numbers.startswith("fewer than three values")
    assert twice[TOP_K].numbers.startswith("fewer than three values")
    every = [but(c, settings={"encode.top_k": 4096}) for c in CELLS["figure4"] if c.settings == {"encode.top_k": "all"}]
    assert found({"figure4": CELLS["figure4"] + every})[TOP_K] == HERE[TOP_K]


def test_the_projectors_claim_says_how_the_recipe_chooses() -> None:
    assert "neither chosen on target labels" in PROJECTOR
    assert {variant.configs["search"].select for variant in load_recipe("table3").variants} == {"none"}


def test_rendering() -> None:
    made = [Claim("It works", True, "1 against 0", "2 against 1"), Claim("It flies", None, "none")]
    assert render_claims(made, "text", width=10_000) == (
        "yes             It works\n                1 against 0\n                in the paper: 2 against 1\n"
        "cannot be told  It flies\n                none\n"
        "\nHow to read this:\n\n" + "".join(f"  {note}\n" for note in (*READING, ONE_SEED))
    )
    assert render_claims(made, "md") == (
        "| claim | here | numbers here | in the paper |\n| --- | --- | --- | --- |\n"
        "| It works | yes | 1 against 0 | 2 against 1 |\n| It flies | cannot be told | none |  |\n"
        "\nHow to read this:\n\n" + "".join(f"- {note}\n" for note in (*READING, ONE_SEED))
    )
    with pytest.raises(UsageError) as error:
        render_claims(made, "pdf")
    assert (error.value.message, error.value.hint) == ("no format named 'pdf' for claims", "choose text or md")


def test_limits_are_sentences() -> None:
    assert all(limit.endswith(".") and limit.count(". ") == 0 for limit in LIMITS)
