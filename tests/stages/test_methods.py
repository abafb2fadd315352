"""What is not the paper's own method: discretize and the neural projector."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ptx.formats import read_prompt
from ptx.lms.lm import load_model
from ptx.lms.models import resolve
from ptx.stages.methods.projector import SETTINGS as PROJECTOR
from ptx.stages.tune import FILE
from ptx.transfer.maps import train_projector


@pytest.fixture
def search(ptx, tiny, suite):
    def run(*args: str):
        common = ["--suite", suite, "--epochs", "2", "--json"]
        return ptx("search", "--sources", tiny["a"], "--target", tiny["narrow"], *args, *common)

    return run


def test_discretize_is_the_nearest_word_in_the_target(search, tiny, ptx) -> None:
    result = search("--method", "discretize")
    assert result.code == 0, result.err
    anchors = (Path(result.at("anchors")[0]["path"]) / "words.csv").read_text().split()[1:]
    source, target = (load_model(resolve(tiny[name]), "cpu") for name in ("a", "narrow"))
    for line, own in zip(result.at("search"), result.at("tune"), strict=True):
        found, tuned = (read_prompt(Path(x["path"]) / FILE) for x in (line, own))
        for u, v, word in zip(found, tuned, line["words"], strict=True):
            scores = {w: torch.cosine_similarity(v, source.word_embeddings([w])[0], dim=0).item() for w in anchors}
            assert word == max(scores, key=lambda w: scores[w])
            assert torch.equal(u, target.word_embeddings([word])[0])


def test_the_projector_learns_a_linear_map() -> None:
    """Held-out words are predicted far better than by their mean."""
    generator = torch.Generator().manual_seed(1)
    source = torch.randn(600, 16, generator=generator)
    target = source @ torch.randn(16, 8, generator=generator)
    epochs = train_projector(source, target, PROJECTOR | {"seed": 0, "select": "none"})
    assert len(epochs) == 10
    assert min(error for _, error in epochs) < 0.02 * target.var().item()


def test_the_projector_is_the_network_of_the_appendix() -> None:
    """Against the same training written with a plain loop over modules, with every word in it."""
    generator = torch.Generator().manual_seed(1)
    source, target = torch.randn(40, 6, generator=generator), torch.randn(40, 4, generator=generator)
    settings = PROJECTOR | {"seed": 3, "select": "dev", "epochs": 2}
    got = train_projector(source, target, settings)[-1][0](source)
    torch.manual_seed(3)
    first, second = torch.nn.Linear(6, 768), torch.nn.Linear(768, 4)
    shuffles = torch.Generator().manual_seed(3)
    kept = torch.randperm(40, generator=shuffles)
    adam = torch.optim.Adam([*first.parameters(), *second.parameters()], lr=5e-3)
    for _ in range(2):
        order = kept[torch.randperm(40, generator=shuffles)]
        for start in range(0, 40, 16):
            rows = order[start : start + 16]
            error = second(torch.nn.functional.leaky_relu(first(source[rows]))) - target[rows]
            adam.zero_grad()
            (error**2).mean().backward()
            adam.step()
    with torch.no_grad():
        wanted = second(torch.nn.functional.leaky_relu(first(source)))
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


def test_projector_by_command(search) -> None:
    """Chosen without labels by default; on labelled dev facts only if asked, under another key."""
    free = search("--method", "projector")
    assert free.code == 0, free.err
    assert all("held_out_mse" in line for line in free.at("search"))
    chosen = search("--method", "projector", "--select", "dev")
    assert all(1 <= line["epoch"] <= 10 and "dev_accuracy" in line for line in chosen.at("search"))
    assert not {line["key"] for line in free.at("search")} & {line["key"] for line in chosen.at("search")}


def test_one_source_only(ptx, tiny) -> None:
    for method in ("discretize", "projector", "direct"):
        result = ptx("search", "--sources", f"{tiny['a']},{tiny['b']}", "--target", tiny["b"], "--method", method)
        assert (result.code, "takes one source" in result.err) == (2, True)


def test_masked_and_causal_both_ways(ptx, tiny, suite) -> None:
    """A causal LM as a target, as a source, with a template, and beside a masked one as a second source."""
    common = ["--suite", suite, "--epochs", "1", "--json"]
    a, b, causal = tiny["a"], tiny["b"], tiny["next"]
    for sources, target in ((a, causal), (causal, a), (f"{a},{causal}", b)):
        for method in ("relative", "discretize", "projector")[: 1 if "," in sources else 3]:
            result = ptx("eval", "--sources", sources, "--target", target, "--method", method, *common)
            assert result.code == 0, result.err
            assert len(result.at("eval")) == 2
    assert ptx("eval", "--target", causal, "--method", "manual", *common).code == 0
