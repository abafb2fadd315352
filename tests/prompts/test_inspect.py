"""What `ptx inspect` says of a prompt, against brute force and against what the search recorded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import COUNTRIES

from ptx.lms.embeddings import load_embeddings
from ptx.lms.models import resolve

OPTIONS = [
    (),
    ("--mask", "source", "--top-k", "30"),
    ("--top-k", "20"),
    ("--no-normalize",),
    ("--ridge", "0.1"),
    ("--solver", "adam", "--steps", "20"),
    ("--prompt-length", "1"),
]


@pytest.fixture
def search(ptx, tiny, suite):
    def run(*more: str, sources: str = "a,narrow", target: str = "b") -> dict:
        named = ",".join(tiny[name] for name in sources.split(","))
        args = ["--sources", named, "--target", tiny[target], "--suite", suite, "--epochs", "1", "--tasks", "R1"]
        return ptx("search", *args, "--json", *more).at("search")[0]

    return run


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_the_losses_of_the_vectors_average_to_the_recorded_one(search, ptx, options: tuple[str, ...]) -> None:
    """Read back from the prompt in float32, to 1e-6."""
    found = search(*options, "--weights", "2,1")
    rows = ptx("inspect", found["key"], "--json").lines
    losses = [row["matching_loss"] for row in rows]
    assert len(losses) == (1 if "--prompt-length" in options else 5)
    assert sum(losses) / len(losses) == pytest.approx(found["matching_loss"], abs=1e-6)


@pytest.mark.parametrize("options", [("--forecast",), ("--method", "auto", "--candidates", "direct")], ids=" ".join)
def test_of_a_choice_the_candidate_that_it_is_shows_before_and_after(search, ptx, options: tuple[str, ...]) -> None:
    """A forecast's prompt is its only candidate's, whose loss it has."""
    found = search(*options, sources="a")
    shown = ptx("inspect", found["key"], "--json")
    assert shown.code == 0
    assert [len(row["sources"]) for row in shown.lines] == [1] * 5
    if "--forecast" in options:
        plain = ptx("inspect", search(sources="a")["key"], "--json").lines
        assert [row["matching_loss"] for row in shown.lines] == [row["matching_loss"] for row in plain]


@pytest.mark.parametrize("options", [(), ("--no-normalize",)], ids=" ".join)
def test_the_loss_of_one_vector_by_the_definition(search, ptx, tiny, tmp_path, options: tuple[str, ...]) -> None:
    """One source, no mask: 1 - cosine of two rows of cosines, each computed with numpy, of the prompt as it is kept."""
    from ptx.formats import read_prompt
    from ptx.stages.tune import FILE

    found = search(*options, "--top-k", "all", sources="a")
    meta = json.loads((Path(found["path"]) / "meta.json").read_text())
    anchors = next(p["key"] for p in meta["parents"] if p["stage"] == "anchors")
    words = (tmp_path / "cache" / "v1" / "anchors" / anchors / "words.csv").read_text().split()[1:]
    tuned = json.loads(ptx("cache", "ls", "--stage", "tune", "--json").lines[0]["path"].join('""'))
    rows = []
    for model, path in ((tiny["a"], tuned), (tiny["b"], found["path"])):
        anchor = load_embeddings(resolve(model), "cpu").word_embeddings(words).double().numpy()
        vectors = read_prompt(Path(path) / FILE).double().numpy()
        unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (vectors, anchor)]
        cosines = unit[0] @ unit[1].T
        rows.append(cosines / np.linalg.norm(cosines, axis=1, keepdims=True))
    expected = 1 - (rows[0] * rows[1]).sum(1)
    assert [row["matching_loss"] for row in ptx("inspect", found["key"], "--json").lines] == pytest.approx(expected)
    assert found["matching_loss"] == pytest.approx(expected.mean(), abs=1e-6)


def test_nearest_words_and_norms_of_known_vectors(ptx, tiny, tmp_path) -> None:
    """A prompt made of word embeddings, at other lengths, is read as these words."""
    embeddings = load_embeddings(resolve(tiny["a"]), "cpu")
    known = embeddings.word_embeddings(COUNTRIES)
    lengths = torch.tensor([0.5, 1, 2, 3, 4])[:, None]
    np.save(tmp_path / "known.npy", (known / known.norm(dim=-1, keepdim=True) * lengths).numpy())
    rows = ptx("inspect", "known.npy", "--model", tiny["a"], "--json", "--top", "3").lines
    assert [row["words"][0]["word"] for row in rows] == COUNTRIES
    assert [row["words"][0]["cosine"] for row in rows] == pytest.approx([1] * 5)
    assert [row["norm"] for row in rows] == pytest.approx([0.5, 1, 2, 3, 4])
    mean = embeddings.matrix.norm(dim=-1).mean().item()
    assert [row["relative_norm"] for row in rows] == pytest.approx([x / mean for x in (0.5, 1, 2, 3, 4)])
    for row in rows:
        cosines = [entry["cosine"] for entry in row["words"]]
        assert len(cosines) == 3
        assert cosines == sorted(cosines, reverse=True)
        for entry in row["words"]:
            one = embeddings.word_embeddings([entry["word"]])
            alone = torch.nn.functional.cosine_similarity(known[row["vector"] - 1], one[0], dim=0)
            assert entry["cosine"] == pytest.approx(alone.item(), abs=1e-6)


def test_before_and_after_a_transfer(search, ptx, tiny) -> None:
    """Onto its own model a prompt keeps its neighbours; onto another the cosine to the source's words is as defined."""
    same = ptx("inspect", search("--no-normalize", sources="a", target="a")["key"], "--json").lines
    for row in same:
        (source,) = row["sources"]
        assert [e["word"] for e in row["words"]] == [e["word"] for e in source["words"]]
        assert row["words_kept"] == 5
        assert row["cosine_to_source_words"] == pytest.approx(np.mean([e["cosine"] for e in source["words"]]), abs=1e-5)
    found = search()
    embeddings = load_embeddings(resolve(tiny["b"]), "cpu")
    from ptx.formats import read_prompt
    from ptx.stages.tune import FILE

    prompt = read_prompt(Path(found["path"]) / FILE)
    for row in ptx("inspect", found["key"], "--json", "--top", "4").lines:
        assert [source["model"] for source in row["sources"]] == [tiny["a"], tiny["narrow"]]
        words = {entry["word"] for source in row["sources"] for entry in source["words"]}
        assert 4 <= len(words) <= 8
        cosines = torch.nn.functional.cosine_similarity(
            prompt[row["vector"] - 1], embeddings.word_embeddings(sorted(words)), dim=-1
        )
        assert row["cosine_to_source_words"] == pytest.approx(cosines.mean().item(), abs=1e-6)
        assert row["words_kept"] == len(words & {entry["word"] for entry in row["words"]})


@pytest.mark.parametrize("width", [80, 120])
def test_the_text_fits_a_terminal_and_explains_itself(search, ptx, width: int, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    found = search()
    shown = ptx("inspect", found["key"][:12], "--top", "8")
    assert shown.code == 0, shown.err
    assert max(len(line) for line in shown.out.splitlines()[1:]) <= width  # folders have long names
    assert "a (source)" in shown.out
    assert "one token in each of these models" in " ".join(shown.out.split())
    assert "matching losses" not in shown.err
    for word in ("x mean:", "to source's:", "loss:"):
        assert word in shown.out
    assert ptx("inspect", found["key"], "-q").out.strip() == found["path"]


def test_an_evaluation_stands_for_its_prompt(search, ptx, tiny, suite) -> None:
    found = search()
    args = ["--target", tiny["b"], "--suite", suite, "--tasks", "R1", "--json"]
    scored = ptx("eval", "--prompt", found["key"], *args).at("eval")[0]
    assert ptx("inspect", scored["key"], "--json").lines == ptx("inspect", found["key"], "--json").lines
    manual = ptx("eval", "--method", "manual", *args).at("eval")[0]
    assert "of a manual template" in ptx("inspect", manual["key"]).err


def test_vectors_of_another_number_are_not_compared_one_by_one(search, ptx) -> None:
    """A text has as many as it has tokens in the target; so has what stands for it."""
    found = search("--method", "residual", "--prompt-length", "3", sources="a")
    result = ptx("inspect", found["key"], "--json")
    assert result.code == 0, result.err
    assert len(result.lines) != 3
    assert all("sources" not in row for row in result.lines)
    assert "has 3 vectors and this one" in result.err


def test_what_cannot_be_inspected_is_an_error_and_a_hint(search, ptx, tiny, tmp_path) -> None:
    np.save(tmp_path / "wide.npy", np.zeros((5, 9), np.float32))
    found = search()
    for args, code, message, hint in [
        (["zz"], 1, "artifact zz", "ptx cache ls"),
        (["wide.npy"], 2, "wide.npy does not say which model", "add --model"),
        (["wide.npy", "--model", tiny["a"]], 1, "have 9 numbers, the word embeddings of", "--model"),
        ([found["key"], "--model", tiny["a"]], 1, " was made for ", "--model"),
    ]:
        result = ptx("inspect", *args)
        assert result.code == code, result.err
        assert message in result.err
        assert hint in result.err.partition("hint:")[2]


def test_a_model_that_moved_is_named_by_an_option(search, ptx, tiny, tmp_path) -> None:
    moved = shutil.copytree(tiny["b"], tmp_path / "moved")
    assert ptx("inspect", search()["key"], "--model", moved).code == 0


def test_an_exported_file_names_its_model(search, ptx) -> None:
    found = search()
    Path("b").symlink_to(found["target"])  # a folder, of which the card has the name
    assert ptx("export", found["key"], "--to", "npy", "--output", "p.npy").code == 0
    rows = ptx("inspect", "p.npy", "--json").lines
    assert [row["norm"] for row in rows] == [row["norm"] for row in ptx("inspect", found["key"], "--json").lines]


def test_what_is_gone_is_left_out_with_a_warning(search, ptx, tmp_path) -> None:
    found = search()
    shutil.rmtree(tmp_path / "cache" / "v1" / "encode")
    shown = ptx("inspect", found["key"], "--json")
    assert shown.code == 0
    assert "sources" not in shown.lines[0]
    assert "matching_loss" not in shown.lines[0]
    assert shown.err.count("warning:") == 2
