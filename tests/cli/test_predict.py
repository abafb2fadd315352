"""Several prompts asked at once say what each says alone, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import write_topics
from foreign import save_safetensors

from ptx import api


@pytest.fixture
def prompts(ptx: Any, tiny: Any, suite: str, tmp_path: Path) -> list[str]:
    """Keys of two prompts for facts and one for topics, and a file: all for one model."""
    found = []
    for number, of in enumerate((suite, suite, str(write_topics(tmp_path / "moods")))):
        vectors = torch.randn(3, 16, generator=torch.Generator().manual_seed(number))
        path = save_safetensors(tmp_path / f"p{number}", {"x": vectors})
        task = [] if number == 2 else ["--task", "R1"]
        line = ptx("import", path, "--model", tiny["a"], "--suite", of, *task, "--json").lines[0]
        found.append(line["key"])
    return [*found, str(tmp_path / "p0")]


def test_each_prompt_says_what_it_says_alone(ptx: Any, tiny: Any, prompts: list[str]) -> None:
    asked = ["predict", "--target", tiny["a"], "name1", "name2", "name1", "--top", "3", "--json"]
    alone = {name: ptx(*asked, "--prompt", name).lines for name in prompts}
    both = ptx(*asked, "--prompt", ",".join(prompts))
    assert both.code == 0, both.err
    for name in prompts:
        mine = [
            {key: value for key, value in row.items() if key != "prompt"} for row in both.lines if row["prompt"] == name
        ]
        assert [{**row, "probability": 0} for row in mine] == [{**row, "probability": 0} for row in alone[name]]
        for row, one in zip(mine, alone[name], strict=True):
            assert row["probability"] == pytest.approx(one["probability"], rel=1e-4)
        assert all("prompt" not in row for row in alone[name])
    frame = api.predict("name1", "name2", "name1", target=tiny["a"], prompt=prompts, top=3)
    assert frame.answer.tolist() == [row["answer"] for row in both.lines]
    assert alone[prompts[0]] == alone[prompts[3]]
    assert {row["answer"] for row in alone[prompts[2]]} == {"France", "Japan"}  # of its labels there are two


def test_columns_by_prompt(ptx: Any, tiny: Any, prompts: list[str]) -> None:
    asked = ["predict", "--target", tiny["a"], "name1", "word2 name2", "name1", "--top", "3"]
    rows = ptx(*asked, "--prompt", ",".join(prompts[1:3]), "--json").lines
    header, *lines = ptx(*asked, "--prompt", ",".join(prompts[1:3])).out.splitlines()
    assert header.split() == ["subject", "rank", *(prompt[:12] for prompt in prompts[1:3])]
    assert len(lines) == 9
    for number, (subject, rank) in enumerate((s, r) for s in ("name1", "word2 name2", "name1") for r in (1, 2, 3)):
        there = [row for row in rows if (row["subject"], row["rank"]) == (subject, rank)]
        shown = [next((row for row in there if row["prompt"] == prompt), None) for prompt in prompts[1:3]]
        cells = [word for row in shown if row for word in (row["answer"], f"{100 * row['probability']:.1f}")]
        assert lines[number].split() == [*subject.split(), str(rank), *cells]
    assert ptx(*asked, "--prompt", ",".join(prompts[1:3]), "-q").out.split() == [row["answer"] for row in rows]


def test_one_of_several_that_does_not_fit(ptx: Any, tiny: Any, prompts: list[str]) -> None:
    wrong = ptx("predict", "--target", tiny["b"], "name1", "--prompt", ",".join(prompts))
    assert (wrong.code, "was made for" in wrong.err) == (1, True)
    unknown = ptx("predict", "--target", tiny["a"], "name1", "--prompt", f"{prompts[0]},zz")
    assert (unknown.code, "zz" in unknown.err) == (1, True)


def test_prompts_say_which_model_they_are_for(ptx: Any, tiny: Any, suite: str, prompts: list[str]) -> None:
    keys = ",".join(prompts[:3])
    named = ptx("predict", "--target", tiny["a"], "name1", "--prompt", keys, "--json")
    alone = ptx("predict", "name1", "--prompt", keys, "--json")
    assert (alone.code, alone.lines) == (0, named.lines)
    assert api.predict("name1", prompt=prompts[:3]).answer.tolist() == [row["answer"] for row in named.lines]
    file = ptx("predict", "name1", "--prompt", prompts[3])
    assert (file.code, "--target MODEL" in file.err) == (2, True)
    other = save_safetensors(Path("other"), {"x": torch.randn(3, 16)})
    key = ptx("import", other, "--model", tiny["b"], "--suite", suite, "--task", "R1", "--json").lines[0]["key"]
    several = ptx("predict", "name1", "--prompt", f"{prompts[0]},{key}")
    assert (several.code, "they are for" in several.err) == (2, True)


def test_a_list_of_the_cache_names_models_in_folders_shortly(ptx: Any, tiny: Any, prompts: list[str]) -> None:
    listed = ptx("cache", "ls")
    assert Path(tiny["a"]).name in listed.out.split()
    assert tiny["a"] not in listed.out
    assert {row["model"] for row in ptx("cache", "ls", "--json").lines} == {tiny["a"]}
