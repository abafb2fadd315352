from __future__ import annotations

import pandas as pd
import pytest
from paper_cells import FIGURES, MINI, but, grid

from ptx.errors import UsageError
from ptx.paper.cells import Cell
from ptx.paper.claims import LIMITS, Claim, claims, render_claims
from ptx.paper.judges import CLAIMS, _spearman

CELLS: dict[str, list[Cell]] = {f"table{n}": grid(n, shift=0) for n in (1, 2, 3, 5, 6)} | FIGURES
(DIRECT, DISCRETIZE, PROJECTOR, MANUAL, LARGER, BERTS, BASES, LOSS, EQ6, TOP_K, COUNT, LENGTH, GPT2, TOPICS) = (
    text for text, _ in CLAIMS
)


def found(cells: dict[str, list[Cell]] = CELLS) -> dict[str, Claim]:
    return {claim.text: claim for claim in claims(cells, MINI)}


def test_the_published_numbers_are_judged_alike_here_and_there() -> None:
    judged = found()
    for text in (DISCRETIZE, PROJECTOR, MANUAL, LARGER, BERTS, BASES):
        word = "yes" if judged[text].holds else "no"
        assert judged[text].paper == f"{word}: {judged[text].numbers}"
    assert judged[DIRECT].paper == ""


@pytest.mark.parametrize(
    ("text", "holds", "numbers"),
    [
        (DIRECT, True, "direct 1.7, majority class 18.0; below it in 4 of 4 cells"),
        (
            DISCRETIZE,
            True,
            "relative 17.5, discretize 8.2 on average; higher in 20 of 20 cells (back on its own model: relative 46.5, "
            "discretize 10.9)",
        ),
        (
            PROJECTOR,
            True,
            "relative 17.5, projector 10.8 on average; higher in 15 of 20 cells (back on its own model: relative 46.5, "
            "projector 19.9)",
        ),
        (MANUAL, False, "relative 24.3, manual 24.9 on average; higher in 5 of 10 cells"),
        (LARGER, True, "relative from the larger 10.7, from the smaller 24.3 on average"),
        (BERTS, True, "two 24.2, the better one 19.1 on average; no lower in 4 of 4 cells"),
        (BASES, True, "two 27.9, the better one 26.8 on average; no lower in 4 of 4 cells"),
        (LOSS, True, "rank correlation -1.00 on average, -1.00 across models; negative in 3 of 3 curves"),
        (EQ6, True, "across models 30.0 without, 40.0 with; within one model 71.0 without, 70.0 with"),
        (TOP_K, True, "16: 30.0, 64: 40.0, all: 50.0; rank correlation +1.00"),
        (COUNT, True, "16: 25.0, 64: 35.0, all: 50.0; rank correlation +1.00"),
        (LENGTH, True, "1: 30.0, 3: 40.0, 5: 50.0, 10: 45.0; best at 5"),
        (GPT2, True, "from masked models 18.5, from GPT-2 6.1 on average; higher in 3 of 4 cells"),
        (TOPICS, True, "relative 83.5, manual 70.0 on average; higher in 2 of 2 cells"),
    ],
)
def test_each_claim_with_its_numbers(text: str, holds: bool, numbers: str) -> None:
    claim = found()[text]
    assert (claim.holds, claim.numbers) == (holds, numbers)


def test_each_claim_can_fail() -> None:
    worse = {name: [but(c, accuracy=1 - c.accuracy) for c in cells] for name, cells in CELLS.items()}
    judged = found(worse)
    flipped = [text for text in judged if found()[text].holds is not judged[text].holds]
    assert flipped == list(judged)
    costly = [but(c, accuracy=0.1) if c.self_transfer and c.settings["search.normalize"] else c
              for c in CELLS["figure3"]]  # fmt: skip
    assert found({**CELLS, "figure3": costly})[EQ6].holds is False


def test_without_cells_nothing_can_be_told() -> None:
    for claim in claims({}, MINI):
        assert claim.holds is None
        assert "run `ptx run " in claim.numbers
    assert found({})[GPT2].numbers == "12 of 12 cells are missing or cover fewer tasks: run `ptx run table5`"


def test_one_missing_or_partial_cell_is_enough_not_to_tell() -> None:
    gap = {**CELLS, "table1": CELLS["table1"][1:]}
    assert found(gap)[DIRECT].numbers == "1 of 4 cells are missing or cover fewer tasks: run `ptx run table1`"
    partial = {**CELLS, "table1": [but(CELLS["table1"][0], tasks=3), *CELLS["table1"][1:]]}
    assert found(partial)[DIRECT].holds is None
    other = {**CELLS, "table2": [but(c, tasks=3) for c in CELLS["table2"]]}
    assert found(other)[MANUAL].numbers.startswith("the two tables cover different tasks")
    assert found(other)[LARGER].holds is True
    unpaired = {**CELLS, "figure3": CELLS["figure3"][1:]}
    assert found(unpaired)[EQ6].numbers == "some pairs lack points of figure3: run `ptx run figure3`"
    fewer = {**CELLS, "figure2": [but(CELLS["figure2"][0], tasks=3), *CELLS["figure2"][1:]]}
    assert found(fewer)[LOSS].numbers == "some cells cover fewer tasks than others: run `ptx run figure2`"


def test_rank_correlation_by_hand() -> None:
    a, b = [1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 1.0, 4.0, 3.0, 5.0]
    squares = sum((x - y) ** 2 for x, y in zip(a, b, strict=True))
    assert _spearman(pd.Series(a), pd.Series(b)) == pytest.approx(1 - 6 * squares / (5 * 24))
    assert pd.isna(_spearman(pd.Series([1.0, 2.0, 3.0]), pd.Series([1.0, 1.0, 1.0])))


def test_rendering() -> None:
    made = [Claim("It works", True, "1 against 0", "yes: 2 against 1"), Claim("It flies", None, "none")]
    assert render_claims(made, "text") == (
        "yes             It works\n                1 against 0\n                in the paper yes: 2 against 1\n"
        "cannot be told  It flies\n                none\n"
    )
    assert render_claims(made, "md") == (
        "| claim | here | numbers here | in the paper |\n| --- | --- | --- | --- |\n"
        "| It works | yes | 1 against 0 | yes: 2 against 1 |\n| It flies | cannot be told | none |  |\n"
    )
    with pytest.raises(UsageError) as error:
        render_claims(made, "pdf")
    assert (error.value.message, error.value.hint) == ("no format named 'pdf' for claims", "choose text or md")


def test_limits_are_sentences() -> None:
    assert all(limit.endswith(".") and limit.count(". ") == 0 for limit in LIMITS)
