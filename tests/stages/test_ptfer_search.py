"""`--solver ptfer` by command: what it makes, that labels choose, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ptx.formats import read_prompt
from ptx.lms.lm import load_model
from ptx.lms.models import resolve
from ptx.transfer import ptfer
from ptx.transfer.scoring import accuracy, answer, facts_to_score
from ptx.transfer.starts import generator, xavier

PTFER = ["--solver", "ptfer", "--select", "dev", "--steps", "160", "--top-k", "30"]


@pytest.fixture
def search(ptx, tiny, suite):
    def run(sources: str, *args: str):
        models = ",".join(tiny[name] for name in sources.split(","))
        common = ["--suite", suite, "--epochs", "1", "--json"]
        return ptx("search", "--sources", models, "--target", tiny["narrow"], *args, *common)

    return run


@pytest.mark.parametrize("sources", ["a", "a,b"])
def test_it_keeps_the_first_best_of_every_fiftieth_step(search, tiny, suite, sources: str) -> None:
    result = search(sources, *PTFER)
    assert result.code == 0, result.err
    assert "labelled target dev facts choose; this is not zero-shot transfer" in result.err
    model = load_model(resolve(tiny["narrow"]), "cpu")
    words = tuple((Path(result.at("anchors")[0]["path"]) / "words.csv").read_text().split()[1:])
    encodings = {
        (line["model"], line["task"]): load_file(Path(line["path"]) / "relative.safetensors")["cosines"]
        for line in result.at("encode")
    }
    from ptx.suites import load_suite

    for line in result.at("search"):
        task = next(task for task in load_suite(suite).tasks if task.name == line["task"])
        of = [encodings[tiny[name], line["task"]] for name in sources.split(",")]
        start = xavier(5, 8, generator(0, line["task"]))
        found = [*ptfer.search(*ptfer.goals(of, 30), start, lengths=[5], anchors=model.word_embeddings(words),
                               statistics=model.statistics, steps=160, lr=5e-3)]  # fmt: skip
        asked = facts_to_score(model, task, "dev", words, layout="postfix", prompt_length=5).questions
        scores = [accuracy(asked, answer(model, [(asked, c.prompts[0])])[0]) for c in found]
        best = found[scores.index(max(scores))]
        assert (line["selected_step"], line["dev_accuracy"]) == (best.step, max(scores))
        assert line["matching_loss"] == pytest.approx(best.losses[0], abs=1e-5)
        prompt = read_prompt(Path(line["path"]) / "prompt.safetensors")
        torch.testing.assert_close(prompt, best.prompts[0], rtol=1e-3, atol=1e-4)


def test_the_order_of_two_sources_matters(search) -> None:
    one, other = search("a,b", *PTFER), search("b,a", *PTFER)
    assert not {line["key"] for line in one.at("search")} & {line["key"] for line in other.at("search")}
    assert {line["key"] for line in one.at("encode")} == {line["key"] for line in other.at("encode")}
    losses = [[line["matching_loss"] for line in result.at("search")] for result in (one, other)]
    assert losses[0] != losses[1]


def test_tables_say_that_labels_chose(ptx, tiny, suite) -> None:
    args = ["eval", "--sources", tiny["a"], "--target", tiny["narrow"], "--suite", suite, "--epochs", "1"]
    made = ptx(*args, *PTFER)
    assert made.code == 0, made.err
    assert "not zero-shot" in made.err
    assert "chosen on LABELLED TARGET dev facts" in ptx("table").out
    key = ptx(*args, *PTFER, "--json").at("eval")[0]["key"]
    assert ptx("inspect", key).code == 0


REFUSED = [
    (["--solver", "ptfer"], "chooses among its steps on labelled target dev facts", "add --select dev"),
    ([*PTFER, "--mask", "source"], "which has no --mask source", "leave it out"),
    ([*PTFER, "--weights", "2"], "which has no --weights", "leave it out"),
    ([*PTFER, "--ridge", "gcv"], "--ridge is a setting of the exact solver", "leave it out"),
    ([*PTFER, "--steps", "49"], "looks at every 50th step: 49 are too few", "give --steps 50 or more"),
]


@pytest.mark.parametrize(("args", "message", "hint"), REFUSED)
def test_what_the_authors_search_does_not_do(search, args, message, hint) -> None:
    result = search("a", *args)
    assert result.code == 2
    assert message in result.err
    assert hint in result.err


def test_three_sources_are_too_many(search) -> None:
    result = search("a,b,narrow", *PTFER)
    assert (result.code, "--solver ptfer takes one source or two" in result.err) == (2, True)


def test_without_eq_6(search) -> None:
    """Which Figure 3 compares."""
    lines = search("a", *PTFER, "--no-normalize").at("search")
    prompts = [read_prompt(Path(line["path"]) / "prompt.safetensors") for line in lines]
    assert all(torch.isfinite(prompt).all() for prompt in prompts)
    assert {line["key"] for line in lines}.isdisjoint(line["key"] for line in search("a", *PTFER).at("search"))
