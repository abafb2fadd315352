"""Methods that need the two word-embedding matrices alone, by command, against numpy and scipy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PAPER, PAPER_TUNING
from scipy.linalg import orthogonal_procrustes
from scipy.special import softmax

from ptx import api
from ptx.errors import PtxError
from ptx.formats import read_prompt
from ptx.lms import embeddings
from ptx.lms.embeddings import WordEmbeddings, load_embeddings
from ptx.lms.models import Model, resolve
from ptx.stages.methods import offered
from ptx.stages.tune import FILE

Array = np.ndarray
METHODS = ("neighbours", "hubs", "procrustes", "linear", "omp")
WIDTHS = {"a": 16, "b": 16, "narrow": 8}


@pytest.fixture
def search(ptx, tiny, suite):
    def run(sources: str, target: str, *args: str) -> Any:
        models = ",".join(tiny[name] for name in sources.split(","))
        common = ["--suite", suite, "--epochs", "2", *PAPER_TUNING, "--json"]
        return ptx("search", "--sources", models, "--target", tiny[target], *args, *common)

    return run


def cosines(x: Array, y: Array) -> Array:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)) @ (y / np.linalg.norm(y, axis=1, keepdims=True)).T


def crowding(x: Array) -> Array:
    every = cosines(x, x)
    np.fill_diagonal(every, -9)
    return np.sort(every)[:, -10:].mean(1)


def mixture(scores: Array, y: Array, words: int, temperature: float) -> Array:
    best = np.argsort(-scores)[:, :words]
    return np.stack([softmax(own[rows] / temperature) @ y[rows] for own, rows in zip(scores, best, strict=True)])


def rotated(v: Array, x: Array, y: Array, centre: bool) -> Array:
    """Equal widths by scipy; others by the symmetric root: R = M (M'M)^(-1/2) with M = X'Y, or the same of Y'X."""
    origin, middle = (x.mean(0), y.mean(0)) if centre else (0.0, 0.0)
    x, y = x - origin, y - middle
    if x.shape[1] == y.shape[1]:
        r = orthogonal_procrustes(x, y)[0]
    else:
        m = x.T @ y if x.shape[1] > y.shape[1] else y.T @ x
        values, vectors = np.linalg.eigh(m.T @ m)
        r = m @ (vectors / np.sqrt(values)) @ vectors.T
        r = r if x.shape[1] > y.shape[1] else r.T
    return np.linalg.norm(y) / np.linalg.norm(x) * (v - origin) @ r + middle


def regressed(v: Array, x: Array, y: Array, ridge: float) -> Array:
    gram = x.T @ x
    return v @ np.linalg.solve(gram + ridge * np.linalg.eigvalsh(gram).mean() * np.eye(len(gram)), x.T @ y)


def pursued(v: Array, x: Array, y: Array, words: int) -> Array:
    found = []
    for vector in v:
        rows: list[int] = []
        rest, weights = vector, np.zeros(0)
        for _ in range(words):
            rows.append(max(set(range(len(x))) - {*rows}, key=lambda i: abs(cosines(rest[None], x[i : i + 1])[0, 0])))
            weights = np.linalg.lstsq(x[rows].T, vector, rcond=None)[0]
            rest = vector - weights @ x[rows]
        found.append(weights @ y[rows])
    return np.stack(found)


# What is asked for, and what it makes of a prompt [m, ds] and of the words' embeddings in source and target.
MAPS: dict[str, Callable[[Array, Array, Array], Array]] = {
    "procrustes": lambda v, x, y: rotated(v, x, y, True),
    "procrustes --no-centre": lambda v, x, y: rotated(v, x, y, False),
    "linear": lambda v, x, y: regressed(v, x, y, 0.0),
    "linear --ridge 0.3": lambda v, x, y: regressed(v, x, y, 0.3),
    "omp": lambda v, x, y: pursued(v, x, y, 8),
    "omp --words 2": lambda v, x, y: pursued(v, x, y, 2),
}
SCORES: dict[str, tuple[Callable[[Array, Array], Array], int, float]] = {
    "neighbours": (cosines, 4, 0.05),
    "neighbours --words 16 --temperature 0.3": (cosines, 16, 0.3),
    "hubs": (lambda v, x: 2 * cosines(v, x) - crowding(x), 1, 1.0),
    "hubs --words 3": (lambda v, x: 2 * cosines(v, x) - crowding(x), 3, 0.05),
}


def as_eq_6(u: Array, whole: Array) -> Array:
    u = u / np.linalg.norm(u, axis=1, keepdims=True)
    return (u - u.mean()) / u.std() * whole.std() + whole.mean()


CASES: dict[str, tuple[dict[str, float], str, bool]] = {
    "equal widths": ({"a": 1.0}, "b", True),
    "two sources by weight, narrower": ({"a": 0.75, "b": 0.25}, "narrow", True),
    "two widths, without Eq. 6": ({"narrow": 0.5, "a": 0.5}, "b", False),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("line", [*MAPS, *SCORES])
def test_against_numpy(search, tiny, line: str, case: str) -> None:
    sources, target, normalize = CASES[case]
    name, *options = line.split()
    if 0.75 in sources.values():
        options += ["--weights", "3,1"]
    if not normalize and line in MAPS:  # the others have no Eq. 6
        options += ["--no-normalize"]
    result = search(",".join(sources), target, "--method", name, *options)
    assert result.code == 0, result.err
    words = (Path(result.at("anchors")[0]["path"]) / "words.csv").read_text().split()[1:]
    models = {name: load_embeddings(resolve(tiny[name]), "cpu") for name in (*sources, target)}
    embedded = {name: model.word_embeddings(words).double().numpy() for name, model in models.items()}
    assert len(result.at("search")) == 2
    for made in result.at("search"):
        tuned = {
            own["model"]: read_prompt(Path(own["path"]) / FILE).double().numpy()
            for own in result.at("tune")
            if own["task"] == made["task"]
        }
        y, of = embedded[target], [(w, tuned[tiny[name]], embedded[name]) for name, w in sources.items()]
        if line in MAPS:
            wanted = np.sum([w * MAPS[line](v, x, y) for w, v, x in of], axis=0)
            wanted = as_eq_6(wanted, models[target].matrix.double().numpy()) if normalize else wanted
        else:
            score, count, temperature = SCORES[line]
            wanted = mixture(np.sum([w * score(v, x) for w, v, x in of], axis=0), y, count, temperature)
        found = read_prompt(Path(made["path"]) / FILE).numpy()
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
        if line in SCORES:
            assert [len(row) for row in made["words"]] == [count] * 5
            assert np.allclose(np.sum(made["shares"], axis=1), 1)


def test_one_neighbour_is_discretize(search) -> None:
    """The very same bytes, and the same words."""
    one, other = (search("a", "narrow", *("--method", *of)) for of in (("neighbours", "--words", "1"), ("discretize",)))
    for neighbours, discretize in zip(one.at("search"), other.at("search"), strict=True):
        bytes_of = [(Path(line["path"]) / FILE).read_bytes() for line in (neighbours, discretize)]
        assert bytes_of[0] == bytes_of[1]
        assert [word for (word,) in neighbours["words"]] == discretize["words"]


def test_the_temperature_of_one_word_is_no_part_of_a_key(search) -> None:
    keys = lambda *options: {line["key"] for line in search("a", "b", *options).at("search")}  # noqa: E731
    assert keys("--method", "hubs") == keys("--method", "hubs", "--temperature", "0.5", "--words", "1")
    assert keys("--method", "neighbours") == keys("--method", "neighbours", "--temperature", "5e-2", "--words", "4")
    assert not keys("--method", "neighbours") & keys("--method", "neighbours", "--temperature", "0.5")


@pytest.mark.parametrize("method", METHODS)
def test_sources_in_any_order(search, method: str) -> None:
    search("a,narrow", "b", "--method", method)
    assert all(line["reused"] for line in search("narrow,a", "b", "--method", method).lines)


@pytest.mark.parametrize("method", ["hubs", "procrustes", "linear", "omp"])
def test_a_source_that_cannot_be_read_costs_no_other(ptx, search, tiny, suite, method: str, monkeypatch) -> None:
    """As when its folder goes away once its prompts are tuned and encoded. (`neighbours` needs no more of it.)"""
    sources = [[tiny["a"]], [tiny["b"]], [tiny["a"], tiny["b"]]]
    tune = {"epochs": 1, **PAPER}
    Path("own.toml").write_text(
        f'suite = "{suite}"\ntasks = ["R1"]\nsources = {sources}\ntargets = ["{tiny["narrow"]}"]\n'
        + "".join(f"tune.{name} = {json.dumps(value)}\n" for name, value in tune.items())
    )
    recipe = Path("own.toml").read_text()
    Path("own.toml").write_text(f'methods = ["neighbours"]\n{recipe}')
    assert ptx("run", "own.toml", "--jobs", "1").code == 0

    def load(model: Model, device: str) -> WordEmbeddings:
        if model.name == tiny["b"]:
            raise PtxError("it is gone", "bring it back")
        return load_embeddings(model, device)

    monkeypatch.setattr(embeddings, "load_embeddings", load)
    Path("own.toml").write_text(f'methods = ["{method}"]\n{recipe}')
    result = ptx("run", "own.toml", "--jobs", "1", "--json")
    assert result.code == 1
    assert result.err.count("it is gone") >= 2
    assert "bring it back" in result.err
    made = [meta for path in Path("cache/v1/search").glob("*/meta.json") if (meta := json.loads(path.read_text()))]
    assert [meta["labels"]["sources"] for meta in made if meta["labels"]["method"] == method] == [[tiny["a"]]]


@pytest.mark.parametrize("method", ["procrustes", "linear", "omp", "neighbours"])
def test_prompts_of_different_lengths(ptx, search, tiny, suite, method: str) -> None:
    keys = []
    for name, length in (("a", "5"), ("b", "3")):
        tuned = ptx("tune", "--model", tiny[name], "--suite", suite, "--tasks", "R1", "--epochs", "1",
                    "--prompt-length", length, "--json")  # fmt: skip
        keys.append(tuned.at("tune")[0]["key"])
    result = ptx("search", "--prompt", ",".join(keys), "--target", tiny["narrow"], "--method", method)
    assert result.code == 1
    assert "prompts differ in length" in result.err
    assert "with the same --prompt-length" in result.err


REFUSED = [
    ("relative --words 3", "--method relative does not use --words", "--method hubs or neighbours or omp"),
    ("relative --no-centre", "--method relative does not use --no-centre", "use --method procrustes"),
    ("discretize --temperature 0.1", "--method discretize does not use --temperature", "--method hubs or neighbours"),
    ("procrustes --ridge 0.1", "--method procrustes does not use --ridge", "--method linear or relative"),
    ("neighbours --no-normalize", "does not use --no-normalize", "--method omp or procrustes or linear or relative"),
    ("linear --solver adam", "--method linear does not use --solver", "--method relative"),
    ("linear --select dev", "--method linear does not use --select", "leave it out"),
    ("omp --temperature 0.1", "--method omp does not use --temperature", "--method hubs or neighbours"),
    ("omp --words 0", "--words 0 is less than 1", "choose --words 1 or more"),
    ("neighbours --temperature 0", "--temperature 0.0 is no number above 0", "choose one like 0.05"),
    ("neighbours --temperature inf", "--temperature inf is no number above 0", "choose one like 0.05"),
    ("linear --ridge x", "--ridge 'x' is neither a number nor 'gcv'", "write it like --ridge 0.1"),
]


@pytest.mark.parametrize("command", ["search", "eval"])
@pytest.mark.parametrize(("line", "message", "hint"), REFUSED)
def test_options_that_a_method_does_not_use(ptx, tiny, command: str, line: str, message: str, hint: str) -> None:
    pair = ["--sources", tiny["a"], "--target", tiny["b"]]
    result = ptx(command, *pair, "--method", *line.split())
    assert result.code == 2
    assert message in " ".join(result.err.split())
    assert hint in " ".join(result.err.split())


def test_a_solver_is_no_matter_of_linear(ptx, tiny, suite) -> None:
    """In a recipe, which has other methods as well; of these `relative` has no ridge but by the exact one."""
    recipe = (
        f'suite = "{suite}"\ntasks = ["R1"]\nsources = [["{tiny["a"]}"]]\ntargets = ["{tiny["b"]}"]\n'
        "tune = { epochs = 1 }\nsearch = { ridge = 0.1, solver = 'adam', steps = 3, select = 'dev' }\n"
    )
    Path("own.toml").write_text(f'methods = ["linear"]\n{recipe}')
    assert ptx("run", "own.toml", "--jobs", "1").code == 0
    Path("own.toml").write_text(f'methods = ["linear", "relative"]\n{recipe}')
    refused = ptx("run", "own.toml", "--jobs", "1")
    assert refused.code != 0
    assert "--ridge is a setting of the exact solver" in refused.err


def test_python_says_what_there_is() -> None:
    """Every method that searches."""
    assert [name for name in offered(searched=True) if name not in (api.search.__doc__ or "")] == []


def test_an_option_without_a_method_that_uses_it(ptx, tiny) -> None:
    """`eval` alone is of a tuned prompt."""
    result = ptx("eval", "--target", tiny["b"], "--words", "3")
    assert (result.code, "--method tuned does not use --words" in result.err) == (2, True)


def test_all_stand_in_one_table(ptx, tiny, suite) -> None:
    """With defaults of their own for the number of words, and beside the paper's method."""
    for method in (*METHODS, "relative"):
        made = ptx("eval", "--sources", tiny["a"], "--target", tiny["b"], "--method", method, "--suite", suite,
                   "--tasks", "R1", "--epochs", "1")  # fmt: skip
        assert made.code == 0, made.err
    rows = [row for row in ptx("table", "--json").lines if row["method"] != "floor"]
    assert [row["method"] for row in rows] == ["hubs", "neighbours", "omp", "procrustes", "linear", "relative"]
    assert len({row["settings"] for row in rows}) == 1
    ptx("eval", "--sources", tiny["a"], "--target", tiny["b"], "--method", "hubs", "--words", "2", "--suite", suite,
        "--tasks", "R1", "--epochs", "1")  # fmt: skip
    tables = {row["settings"] for row in ptx("table", "--json").lines}
    assert len(tables) == 2
    assert sum("hubs words 2" in settings for settings in tables) == 1


def test_embedded_models(ptx) -> None:
    """Between families and widths; what is found is inspected as any prompt is."""
    for method in METHODS:
        options = ["--tasks", "P138", "--epochs", "1", "--patience", "0", "--method", method, "--json"]
        result = ptx("eval", "--sources", "bert-micro,albert-micro", "--target", "roberta-mini", *options)
        assert result.code == 0, result.err
        (line,) = result.at("eval")
        assert 0 <= line["accuracy"] <= 1
        assert ptx("inspect", result.at("search")[0]["key"]).code == 0
