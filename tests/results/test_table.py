from __future__ import annotations

from pathlib import Path

import pytest

from ptx.cache import Artifact
from ptx.results.collect import Result, for_people
from ptx.results.table import tables

BASE = {"suite": "facts", "split": "test", "words": "w"}
TUNED = {**BASE, "tune.lr": 0.01}
SEARCHED = {**TUNED, "search.mask": "both"}


def result(method: str, target: str, task: str, accuracy: float, facts: int, settings: dict, **more) -> Result:
    labels = {"method": method, "target": target, "task": task, "sources": more.pop("sources", []), "suite": "facts"}
    labels |= {"split": "test", "seed": more.pop("seed", 0)}
    labels |= {"weights": more.pop("weights")} if "weights" in more else {}
    created = more.pop("created", "2026-01-01")
    key = more.pop("key", f"{method}{target}{task}{labels['seed']}")
    metrics = {"accuracy": accuracy, "correct": accuracy * facts, "facts": facts, "dropped": 0, "floor": 0.1, **more}
    artifact = Artifact(Path(), {"key": key, "created": created, "config": {}})
    return Result(artifact, labels, metrics, settings)


def test_micro_is_the_mean_of_tasks_and_macro_is_pooled() -> None:
    (table,) = tables([result("tuned", "m", "A", 0.5, 10, TUNED), result("tuned", "m", "B", 1.0, 30, TUNED)])
    (row,) = [row for row in table.records if row["method"] == "tuned"]
    assert row["micro"] == pytest.approx(0.75)
    assert row["macro"] == pytest.approx(35 / 40)
    assert (row["tasks"], row["facts"]) == (2, 40)


def test_settings_never_mix_but_manual_prompts_join_every_table() -> None:
    made = tables(
        [
            result("relative", "m", "A", 0.5, 10, SEARCHED, sources=["s"], matching_loss=0.2),
            result("relative", "m", "A", 0.7, 10, {**SEARCHED, "search.mask": "source"}, sources=["s"]),
            result("tuned", "m", "A", 0.9, 10, TUNED),
            result("manual", "m", "A", 0.3, 10, BASE),
        ]
    )
    assert len(made) == 2
    for table in made:
        assert sorted(row["method"] for row in table.records) == ["floor", "manual", "relative", "tuned"]
    assert {table.notes[0] for table in made} == {"with mask both", "with mask source"}


def test_seeds_become_mean_and_standard_deviation() -> None:
    (table,) = tables([result("tuned", "m", "A", x, 10, TUNED, seed=i) for i, x in enumerate((0.4, 0.6))])
    (row,) = [row for row in table.records if row["method"] == "tuned"]
    assert (row["micro"], row["seeds"]) == (pytest.approx(0.5), 2)
    assert row["micro_std"] == pytest.approx(0.1414, abs=1e-4)


def test_cells_of_other_numbers_of_seeds_say_so() -> None:
    """The usual number is that of cells with a deviation; what draws nothing has neither."""
    manual = result("manual", "m", "A", 0.2, 10, BASE)
    del manual.labels["seed"]  # type: ignore[attr-defined]
    results = [result("tuned", "m", "A", x, 10, TUNED, seed=i) for i, x in enumerate((0.4, 0.6, 0.5))]
    results += [result("random", "m", "A", 0.1, 10, TUNED), result("relative", "m", "A", 0.3, 10, TUNED, sources=["s"])]
    (table,) = tables([*results, manual])
    shown = {row[0].text: row[-1].text for row in table.sheets[0].rows}
    assert shown == {
        "majority class": "10.0", "manual": "20.0", "random": "10.0 n=1", "relative": "30.0 n=1",
        "tuned on target": "50.0 ± 10.0",
    }  # fmt: skip
    assert any("over n = 3 seeds of the mean over tasks, and no interval over tasks" in note for note in table.notes)


def test_a_cell_over_fewer_tasks_is_marked() -> None:
    (table,) = tables(
        [
            result("tuned", "m", "A", 0.5, 10, TUNED),
            result("tuned", "m", "B", 0.5, 10, TUNED),
            result("manual", "m", "A", 0.5, 10, BASE),
        ]
    )
    sheet = table.sheets[0]
    shown = {row[0].text: row[sheet.header.index("m")].text for row in sheet.rows}
    assert shown["manual"] == "50.0 (1)"
    assert any("covers n of the 2 tasks" in note for note in table.notes)


def weighted(accuracy: float, names: str, *weights: float, task: str = "A", **more) -> Result:
    more |= {"weights": [*weights]} if weights else {}
    return result("relative", "m", task, accuracy, 10, SEARCHED, sources=[*names], **more)


def rows(*results: Result, by: str = "method") -> dict[str, float]:
    """Of one table, in its order: the names of sources, and the numbers beside them."""
    (page,) = tables(results, by=by, warn=pytest.fail)
    return {row["sources"]: row["micro"] for row in page.records if row["method"] != "floor"}


def test_other_weights_are_another_row_of_the_same_table() -> None:
    """Named as the sources were, whatever order that was."""
    found = rows(weighted(0.1, "ba", 0.75, 0.25), weighted(0.3, "ab"), weighted(0.2, "ba", 0.25, 0.75))
    assert found == pytest.approx({"a+b": 0.3, "b+a (0.25:0.75)": 0.2, "b+a (0.75:0.25)": 0.1})
    assert [*found] == ["a+b", "b+a (0.75:0.25)", "b+a (0.25:0.75)"]  # by the weight of a


def test_sources_that_were_named_in_another_order_are_one_row() -> None:
    """One command's results may be partly those of an earlier one: each weight stays with its source."""
    found = rows(weighted(0.2, "ba", 0.7, 0.3), weighted(0.4, "ab", 0.3, 0.7, task="B"))
    assert found == {"b+a (0.7:0.3)": pytest.approx(0.3)}
    assert rows(weighted(0.2, "ba"), weighted(0.4, "ab", task="B")) == {"b+a": pytest.approx(0.3)}


def test_weights_are_written_with_as_many_digits_as_tell_them_apart() -> None:
    found = rows(weighted(0.1, "ab", 2 / 3, 1 / 3), weighted(0.2, "ab", 0.67, 0.33), weighted(0.3, "ab", 0.5, 0.5))
    assert found == pytest.approx({"a+b (0.667:0.333)": 0.1, "a+b (0.67:0.33)": 0.2, "a+b (0.5:0.5)": 0.3})


def test_prompts_of_one_model_keep_their_own_weights() -> None:
    found = rows(weighted(0.1, "aa", 0.7, 0.3), weighted(0.2, "aa", 0.3, 0.7))
    assert found == pytest.approx({"a+a (0.3:0.7)": 0.2, "a+a (0.7:0.3)": 0.1})


def test_weights_and_seeds() -> None:
    """A mean over the seeds of one weighting, rows of which are there by task too."""
    results = [weighted(x, "ab", *w, seed=seed) for seed, x in enumerate((0.1, 0.3)) for w in ((0.8, 0.2), (0.2, 0.8))]
    for by in ("method", "task"):
        assert rows(*results, by=by) == pytest.approx({"a+b (0.2:0.8)": 0.2, "a+b (0.8:0.2)": 0.2})


def test_one_result_under_two_orders_of_its_sources_counts_once() -> None:
    (page,) = tables([weighted(0.2, "ba", key="x"), weighted(0.2, "ab", key="x")], warn=pytest.fail)
    (row,) = [row for row in page.records if row["method"] != "floor"]
    assert (row["sources"], row["facts"], row["tasks"]) == ("b+a", 10, 1)


def test_results_that_differ_in_a_file_are_shown_apart() -> None:
    """Of the same names and settings, but of other content: neither is taken for the other, whatever their dates."""
    warned: list[str] = []
    results = [
        weighted(0.4, "ba", 0.2, 0.8, created="2026-01-02", key="x"),
        weighted(0.1, "ab", 0.8, 0.2, created="2026-01-01", key="y"),
        weighted(0.3, "ab", 0.7, 0.3, created="2026-01-01"),
    ]
    found = {
        page.notes[0]: {row["sources"]: row["micro"] for row in page.records if row["method"] != "floor"}
        for page in tables(results, warn=warned.append)
    }
    assert sorted(found) == ["with version 1", "with version 2"]
    assert found["with version 1"] == pytest.approx({"a+b (0.7:0.3)": 0.3, "a+b (0.8:0.2)": 0.1})
    assert found["with version 2"] == pytest.approx({"a+b (0.7:0.3)": 0.3, "b+a (0.2:0.8)": 0.4})
    (text,) = warned
    assert text == "2 results have the same names and settings and differ in a file that was read: they are shown apart"


def test_results_of_one_method_never_mix_where_some_lack_a_setting() -> None:
    """Made before there was that setting, say; other methods join both."""
    now = {**SEARCHED, "search.chosen by": "kappa"}
    results = [
        result("auto", "m", "A", 0.2, 10, SEARCHED, sources=["s"], key="old A"),
        result("auto", "m", "B", 0.2, 10, SEARCHED, sources=["s"], key="old B"),
        result("auto", "m", "A", 0.6, 10, now, sources=["s"], key="new A"),
        result("relative", "m", "A", 0.1, 10, SEARCHED, sources=["s"]),
    ]
    found = {
        page.notes[0]: {row["method"]: (row["micro"], row["tasks"]) for row in page.records if row["method"] != "floor"}
        for page in tables(results, warn=pytest.fail)
    }
    assert found == {
        "with chosen by none": {"auto": (pytest.approx(0.2), 2), "relative": (pytest.approx(0.1), 1)},
        "with chosen by kappa": {"auto": (pytest.approx(0.6), 1), "relative": (pytest.approx(0.1), 1)},
    }


def test_what_the_search_attained_stands_beside_the_loss_of_its_prompts() -> None:
    losses = {"matching_loss": 0.25, "search_loss": 0.2}
    (page,) = tables([result("relative", "m", "A", 0.5, 10, SEARCHED, sources=["s"], **losses)])
    (row,) = [row for row in page.records if row["method"] == "relative"]
    assert (row["matching_loss"], row["search_loss"]) == (0.25, 0.2)
    assert {sheet.name: sheet.rows[-1][-1].text for sheet in page.sheets[-2:]} == {
        "matching_loss": "0.250", "search_loss": "0.200",
    }  # fmt: skip


def test_suites_are_named_shortly_and_told_apart() -> None:
    names = ["/data/one/facts.csv?limit=20", "/data/two/facts.csv", "/data/other", "facts", "hf:org/name", "two/local"]
    results = [
        result("tuned", "m", "A", 0.5, 10, {**TUNED, "suite": name, "tuned on": "/data/other"}) for name in names
    ]
    shown = [of.settings for of in for_people(results)]
    assert [of["suite"] for of in shown] == [
        "one/facts.csv?limit=20", "two/facts.csv", "other", "facts", "hf:org/name", "two/local",
    ]  # fmt: skip
    assert {of["tuned on"] for of in shown} == {"other"}
