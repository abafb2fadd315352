from __future__ import annotations

import pytest
from paper_cells import FLOOR, MINI, REAL, but, cell, grid

from ptx.errors import PtxError, UsageError
from ptx.paper.published import TABLES, published
from ptx.paper.tables import model_table, paper_table
from ptx.results.sheet import Sheet


def text(table: Sheet) -> list[list[str]]:
    return [[item.text for item in row] for row in table.rows]


def test_table3_has_the_papers_rows_columns_and_order() -> None:
    table = paper_table(3, grid(3), MINI)
    methods = [row[0] for row in text(table)]
    assert methods == ["discretize"] * 4 + ["projector"] * 4 + ["relative"] * 6 + ["majority class"]
    assert text(table)[-2][1] == "bert-micro (for bert-base) + roberta-micro (for roberta-base)"
    assert table.header[2:4] == ["bert-micro (for bert-base)", "bert-mini (for bert-large)"]
    assert text(table)[8][2:] == ["69.8", "51.4", "37.7", "41.1", "40.8", "36.8"]
    assert text(table)[-1][1:] == ["(not in the paper)"] + ["18.0"] * 6


@pytest.mark.parametrize(("number", "shape"), [(1, (5, 3)), (2, (4, 7)), (3, (15, 8)), (5, (7, 7)), (6, (5, 3))])
def test_shapes_with_the_floor_row(number: int, shape: tuple[int, int]) -> None:
    table = paper_table(number, grid(number), MINI)
    assert (len(table.rows), len(table.header)) == shape
    assert all(len(row) == shape[1] for row in table.rows)
    assert not any("not in the cache" in note for note in table.notes)


def test_a_miniature_says_so_and_never_passes_for_the_paper() -> None:
    for number in TABLES:
        table = paper_table(number, grid(number), MINI)
        assert table.title.startswith(f"Table {number} in miniature: ")
        for name in [*table.header, *(item.text for row in table.rows for item in row[: table.labels])]:
            for part in name.split(" + "):
                assert part not in REAL


def test_the_papers_own_models_are_named_plainly() -> None:
    cells = [cell(p.method, p.sources, p.target, v / 100) for p, v in published(3).items()]
    table = paper_table(3, cells, REAL, compare=True)
    assert table.title.startswith("Table 3: ")
    assert table.header[2] == "bert-base"
    assert table.rows[0][3].after == f" [{table.rows[0][3].text}]"
    assert "[in brackets] the paper's numbers" in table.notes


@pytest.mark.parametrize("number", [2, 3, 5, 6])
def test_marks_are_those_of_a_ranking_by_hand(number: int) -> None:
    table = paper_table(number, grid(number), MINI)
    records = [r for r in table.records if r["method"] != "floor" and r["percent"] is not None]
    for target in {r["target"] for r in records}:
        column = [r for r in records if r["target"] == target]
        rivals = [
            r for r in column
            if target not in r["sources"].split("+") and (number == 2 or r["method"] not in ("tuned", "manual"))
        ]  # fmt: skip
        values = sorted({round(r["percent"], 1) for r in rivals}, reverse=True)
        for r in column:
            place = values.index(round(r["percent"], 1)) if r in rivals else 9
            assert r["mark"] == {0: "best", 1: "second"}.get(place, "")


def test_cells_that_read_alike_share_a_mark() -> None:
    cells = [cell("random", (), "bert-micro", 0.30001), cell("manual", (), "bert-micro", 0.30002)]
    table = paper_table(2, [*cells, cell("tuned", (), "bert-micro", 0.2)], MINI)
    assert [row[1].mark for row in table.rows[:3]] == ["best", "best", "second"]


def test_one_transfer_alone_is_not_the_best() -> None:
    table = paper_table(3, [cell("relative", ("bert-micro",), "bert-mini", 0.3)], MINI)
    assert {item.mark for row in table.rows for item in row} == {""}


def test_a_cell_over_fewer_tasks_is_marked_and_does_not_compete() -> None:
    cells = [but(c, tasks=39, accuracy=0.99) if c.method == "tuned" else c for c in grid(2)]
    table = paper_table(2, cells, MINI)
    assert [(item.mark, item.after) for item in table.rows[2][1:]] == [("", "†")] * 6
    assert table.rows[1][1].mark == "best"
    assert "† covers fewer tasks than the others: compare it with care" in table.notes
    everywhere = paper_table(2, grid(2), MINI, tasks=41)
    assert {item.after for row in everywhere.rows[:3] for item in row[1:]} == {"†"}


def test_missing_cells_are_blank_and_counted() -> None:
    table = paper_table(3, grid(3)[2:], MINI)
    assert text(table)[0][2:4] == ["", ""]
    assert table.notes == ["2 of 84 cells are not in the cache: run `ptx run table3`"]
    empty = paper_table(1, [], MINI)
    assert empty.notes == ["4 of 4 cells are not in the cache: run `ptx run table1`"]
    assert len(empty.rows) == 4  # and no floor


def test_self_transfer_is_marked_for_two_sources_too_and_their_order_means_nothing() -> None:
    swapped = [but(c, sources=c.sources[::-1]) for c in grid(3)]
    table = paper_table(3, swapped, MINI)
    assert [item.mark == "self" for item in table.rows[12][2:]] == [True, True, False, False, False, False]
    assert table.rows == paper_table(3, grid(3), MINI).rows


def test_table5_keeps_the_diagonal_and_gpt2_large_blank() -> None:
    table = paper_table(5, [*grid(5), cell("relative", ("bert-micro",), "bert-micro", 0.9)], MINI)
    assert text(table)[2][2:] == ["", "37.7", "30.5", "31.5", ""]
    assert table.header[-1] == "none (for gpt2-large)"
    assert "gpt2-large has no stand-in here: its cells stay blank" in table.notes


def test_table6_in_miniature_is_compared_with_nothing() -> None:
    table = paper_table(6, grid(6), MINI, compare=True)
    assert table.header == ["method", "source", "topics"]
    assert {item.after for row in table.rows for item in row} == {""}
    assert any(note.startswith("the paper has SST-2 and DBpedia; topics is neither") for note in table.notes)
    assert {r["published"] for r in table.records} == {None}
    real = paper_table(6, [cell("manual", (), "roberta-large", 0.7, suite="sst2")], REAL, compare=True)
    assert real.header[2:] == ["SST-2", "DBpedia"]
    assert (real.rows[1][2].text, real.rows[1][2].after, real.rows[1][3].after) == ("70.0", " [70.0]", "[72.3]")


def test_cells_of_other_suites_stay_out() -> None:
    assert paper_table(2, [but(c, suite="topics") for c in grid(2)], MINI).notes[-1].startswith("18 of 18")


def test_compare_puts_the_papers_number_beside_ours_with_a_warning() -> None:
    table = paper_table(3, grid(3), MINI, compare=True)
    assert (table.rows[8][4].text, table.rows[8][4].after) == ("37.7", " [17.7]")
    assert table.notes == [
        "[in brackets] the paper's numbers for the models stood in for, on LAMA: compare patterns, never levels"
    ]


def test_records_are_the_long_form() -> None:
    table = paper_table(3, grid(3), MINI)
    record = table.records[-9]
    assert record == {
        "table": 3, "method": "relative", "sources": "bert-micro+roberta-micro", "target": "roberta-mini",
        "sources_stand_for": "bert-base+roberta-base", "target_stands_for": "roberta-large", "suite": "facts",
        "percent": 45.26, "percent_std": None, "seeds": 1,
        "published": 25.26, "self_transfer": False, "mark": "best", "tasks": 40, "facts": 3000,
    }  # fmt: skip
    assert [r["percent"] for r in table.records[-6:]] == [100 * FLOOR] * 6


def test_model_table_names_whom_a_model_stands_for() -> None:
    about = {"name": "bert-micro", "parameters": 1234567, "hidden": 128, "embedding": 64, "task": "MLM", "data": "x"}
    table = model_table([about], MINI)
    assert table.title == "Table 4 in miniature: the models"
    assert text(table) == [["bert-micro (for bert-base)", "MLM", "x", "1,234,567", "128", "64"]]
    assert table.notes == ["gpt2-large has no stand-in here"]


def test_errors_say_what_to_do() -> None:
    with pytest.raises(UsageError) as error:
        paper_table(4, [], MINI)
    assert (error.value.message, error.value.hint) == (
        "no table 4 to fill from results", "choose 1, 2, 3, 5 or 6, or 4 for the models"
    )  # fmt: skip
    with pytest.raises(PtxError) as twice:
        paper_table(1, [*grid(1), but(grid(1)[0], accuracy=0.9)], MINI)
    assert twice.value.message == "two results for one cell: direct bert-micro → roberta-micro"
    assert twice.value.hint == "compare them with `ptx table`: settings never share a table"
    with pytest.raises(PtxError, match="two results for one cell: manual on bert-micro"):
        paper_table(2, [cell("manual", (), "bert-micro", 0.1), cell("manual", (), "bert-micro", 0.2)], MINI)
