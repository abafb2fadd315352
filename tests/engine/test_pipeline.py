"""Keys, reuse and resumption, counted on tiny models."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from conftest import PAPER, PAPER_TUNING

from ptx.config.tune import TuneConfig
from ptx.lms.models import resolve
from ptx.stages.anchors import anchors_step
from ptx.stages.settings import Settings
from ptx.stages.tune import tune_step

FAST = ["--epochs", "2"]


@pytest.fixture
def search(ptx, tiny, suite):
    def run(sources: str, target: str, *more: str, anchors: str = ""):
        named = ",".join(tiny[name] for name in sources.split(","))
        args = ["--suite", suite, *FAST, "--anchors", anchors] if anchors else ["--suite", suite, *FAST]
        return ptx("search", "--sources", named, "--target", tiny[target], "--json", *args, *more)

    return run


@pytest.fixture
def shared(ptx, tiny) -> str:
    return ptx("anchors", "--models", ",".join(tiny.values()), "--json").lines[0]["key"]


def test_a_grid_builds_prompts_and_encodings_once_per_source(search, shared) -> None:
    built = {"tune": 0, "encode": 0, "search": 0}
    for target in ("a", "b", "narrow"):
        for sources in ("a", "b", "a,b"):
            result = search(sources, target, anchors=shared)
            assert result.code == 0, result.err
            for stage in built:
                built[stage] += sum(not line["reused"] for line in result.at(stage))
    assert built == {"tune": 2 * 2, "encode": 2 * 2, "search": 3 * 3 * 2}  # two tasks


def test_the_order_of_sources_does_not_matter(search, shared) -> None:
    search("a,b", "narrow", anchors=shared)
    assert all(line["reused"] for line in search("b,a", "narrow", anchors=shared).lines)


def test_every_setting_of_the_search_makes_another_key(search, shared) -> None:
    settings = [
        (),
        ("--mask", "source"),
        ("--ridge", "0.1"),
        ("--ridge", "gcv"),
        ("--no-normalize",),
        ("--top-k", "20"),
    ]
    keys = [search("a", "b", *more, anchors=shared).at("search")[0]["key"] for more in settings]
    assert len(set(keys)) == len(settings)


def test_a_missing_encoding_is_not_rebuilt_unless_needed(search, shared, tmp_path) -> None:
    search("a", "b", anchors=shared)
    shutil.rmtree(tmp_path / "cache" / "v1" / "encode")
    again = search("a", "b", anchors=shared)
    assert all(line["reused"] for line in again.lines)
    assert again.at("encode") == []
    assert {line["stage"]: line["reused"] for line in search("a", "narrow", anchors=shared).lines} == {
        "anchors": True, "tune": True, "encode": False, "search": False,
    }  # fmt: skip


def test_a_changed_parent_makes_a_miss(search, shared, ptx, tiny, suite, tmp_path) -> None:
    """A prompt rebuilt with other bytes (another machine, say) under the same key must not keep old encodings."""
    import json

    from safetensors.torch import load_file, save_file

    from ptx.cache import canonical, digest, file_digest

    search("a", "b", anchors=shared)
    folder = next((tmp_path / "cache" / "v1" / "tune").iterdir())
    prompt = load_file(folder / "prompt.safetensors")["prompt"]
    save_file({"prompt": prompt + 1}, folder / "prompt.safetensors")
    meta = json.loads((folder / "meta.json").read_text())
    del meta["sha256"]
    meta["payload"] = {"prompt.safetensors": file_digest(folder / "prompt.safetensors")}
    (folder / "meta.json").write_bytes(canonical(meta | {"sha256": digest(meta)}) + b"\n")
    again = search("a", "b", anchors=shared)
    assert sum(not line["reused"] for line in again.at("encode")) == 1
    assert sum(not line["reused"] for line in again.at("search")) == 1
    assert all(line["reused"] for line in again.at("tune"))


def test_a_damaged_entry_is_rebuilt_with_a_warning(search, shared, tmp_path) -> None:
    before = {line["key"] for line in search("a", "b", anchors=shared).at("encode")}
    folder = next((tmp_path / "cache" / "v1" / "encode").iterdir())
    (folder / "relative.safetensors").write_bytes(b"junk")
    again = search("a", "b", "--force", anchors=shared)
    assert again.code == 0
    assert again.err.count("damaged encode") == 1
    assert {line["key"] for line in again.at("encode")} == before
    assert sum(not line["reused"] for line in again.at("encode")) == 1


def test_force_rebuilds_the_named_stage_only(search, shared) -> None:
    search("a", "b", anchors=shared)
    again = search("a", "b", "--force", anchors=shared)
    assert {(line["stage"], line["reused"]) for line in again.lines} == {
        ("anchors", True), ("tune", True), ("encode", True), ("search", False),
    }  # fmt: skip


def test_dry_run_builds_nothing(search, shared, tmp_path) -> None:
    result = search("a", "b", "--dry-run", anchors=shared)
    assert {(line["stage"], line["cache"]) for line in result.lines} == {
        ("anchors", "hit"), ("tune", "miss"), ("encode", "miss"), ("search", "miss"),
    }  # fmt: skip
    assert not (tmp_path / "cache" / "v1" / "tune").exists()


def test_jobs_give_the_same_results(ptx, tiny, suite, tmp_path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        f'suite = "{suite}"\nsources = [["{tiny["a"]}"]]\ntargets = ["{tiny["b"]}", "{tiny["narrow"]}"]\n'
        "[tune]\nepochs = 2\n"
    )
    runs = [
        ptx("run", str(recipe), "--json", "--jobs", jobs, "--cache-dir", f"cache{jobs}").at("eval")
        for jobs in ("1", "2")
    ]
    assert [line["key"] for line in runs[0]] == [line["key"] for line in runs[1]]
    for one, two in zip(*runs, strict=True):
        assert one["accuracy"] == two["accuracy"]
        assert one.get("matching_loss", 0) == pytest.approx(two.get("matching_loss", 0), abs=1e-6)


def test_golden_keys() -> None:
    """Keys are promises to every cache out there. If this fails, either undo the change or raise a stage's VERSION."""
    settings = Settings(tune=TuneConfig(**PAPER))
    task = settings.chosen_tasks()[0]
    assert anchors_step(["bert-micro"], settings).key == "d6853e9afe9d0af7bacd02d68bc515aa"
    assert tune_step(resolve("bert-micro"), task, settings).key == "138a8dd3bbaacb5514bccb7f57e83eb2"
    other = Settings(tune=TuneConfig(**PAPER | {"lr": 0.02}))
    assert tune_step(resolve("bert-micro"), task, other).key != tune_step(resolve("bert-micro"), task, settings).key


def test_weights_stay_with_the_sources_that_they_were_given_for(ptx, tiny, suite) -> None:
    """In every task, though keys do not depend on the order of sources: two weightings are two rows of one table."""
    common = ["--target", tiny["b"], "--suite", suite, *FAST, "--json"]
    a, narrow = tiny["a"], tiny["narrow"]
    for sources, weights in ((f"{narrow},{a}", "3,1"), (f"{a},{narrow}", "3,1")):
        for line in ptx("eval", "--sources", sources, "--weights", weights, *common).at("eval"):
            assert line["weights"] == [0.75, 0.25]
            assert line["sources"] == sources.split(",")
    again = ptx("eval", "--sources", f"{a},{narrow}", "--weights", "1,3", *common)
    assert all(line["reused"] for line in again.lines)
    shown = ptx("table", "--json")
    assert "left out" not in shown.err
    rows = {row["sources"]: row["tasks"] for row in shown.lines if row["method"] == "relative"}
    assert rows == {"narrow+a (0.75:0.25)": 2, "a+narrow (0.75:0.25)": 2}
    assert len({row["settings"] for row in shown.lines}) == 1
    by_task = [row for row in ptx("table", "--by", "task", "--json").lines if row["method"] == "relative"]
    assert sorted((row["task"], row["sources"]) for row in by_task) == sorted(
        (t, s) for t in ("R1", "R2") for s in rows
    )


def test_a_sweep_of_weights_gives_rows(ptx, tiny, suite, tmp_path) -> None:
    (tmp_path / "r.toml").write_text(
        f'suite = "{suite}"\nsources = [["{tiny["a"]}", "{tiny["narrow"]}"]]\ntargets = ["{tiny["b"]}"]\n'
        'methods = ["relative"]\ntune.epochs = 2\n[[sweep]]\nsearch.weights = ["1,1", "2,1", "1,2"]\n'
    )
    result = ptx("run", "r.toml", "--jobs", "1", "--json")
    assert result.code == 0, result.err
    names = "a+narrow"
    rows = {row["sources"]: row["tasks"] for row in result.at("table") if row["method"] == "relative"}
    assert rows == {names: 2, f"{names} (0.67:0.33)": 2, f"{names} (0.33:0.67)": 2}


def test_self_transfer_gives_back_the_prompt(search, shared, tmp_path, tiny) -> None:
    """Before Eq. 6, without masking and with --mask both, the direction of every vector is the source's to 1e-5."""
    import torch
    from torch.nn.functional import normalize

    from ptx.formats import read_prompt
    from ptx.stages.tune import FILE

    for more in (["--top-k", "1000"], ["--top-k", "40", "--mask", "both"]):
        result = search("a", "a", "--no-normalize", *more, anchors=shared)
        for line, own in zip(result.at("search"), result.at("tune"), strict=True):
            assert line["task"] == own["task"]
            found, tuned = (read_prompt(tmp_path / x["path"] / FILE) for x in (line, own))
            torch.testing.assert_close(normalize(found, dim=-1), normalize(tuned, dim=-1), rtol=0, atol=1e-5)
            assert line["matching_loss"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("solver", [[], ["--solver", "adam", "--steps", "30"]])
def test_what_eq_6_costs_stands_beside_what_the_search_attained(search, shared, solver: list[str]) -> None:
    """It shifts all numbers by one constant: from the optimum, a prompt that matches less well."""
    with_eq_6, without = (search("a", "b", *solver, *more, anchors=shared) for more in ([], ["--no-normalize"]))
    for used, raw in zip(with_eq_6.at("search"), without.at("search"), strict=True):
        assert used["key"] != raw["key"]
        assert used["search_loss"] == raw["search_loss"] == raw["matching_loss"]
        assert used["matching_loss"] != used["search_loss"]
        assert solver or used["matching_loss"] > used["search_loss"]


def test_without_eq_6_the_prompt_is_the_least_squares_solution_itself(search, shared, tmp_path) -> None:
    """With a length of its own for every vector, by numpy."""
    from ptx.formats import read_prompt
    from ptx.lms.embeddings import load_embeddings
    from ptx.stages.tune import FILE

    result = search("a", "b", *PAPER_TUNING, "--no-normalize", "--top-k", "1000", anchors=shared)
    anchors, tuned, found = (result.at(stage)[0] for stage in ("anchors", "tune", "search"))
    words = (tmp_path / anchors["path"] / "words.csv").read_text().split()[1:]
    source, target = (
        load_embeddings(resolve(name), "cpu").word_embeddings(words).double().numpy()
        for name in (found["sources"][0], found["target"])
    )
    a, b = (of / np.linalg.norm(of, axis=1, keepdims=True) for of in (source, target))
    v = read_prompt(tmp_path / tuned["path"] / FILE).double().numpy()
    r = v / np.linalg.norm(v, axis=1, keepdims=True) @ a.T
    c = r / np.linalg.norm(r, axis=1, keepdims=True)
    wanted = np.linalg.lstsq(b, c.T, rcond=None)[0].T
    np.testing.assert_allclose(read_prompt(tmp_path / found["path"] / FILE).numpy(), wanted, rtol=0, atol=1e-6)
    assert np.ptp(np.linalg.norm(wanted, axis=1)) > 1e-2
