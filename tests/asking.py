"""What prompts on disk are, and what models answer with them: one forward pass for each input, in float64."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from ptx.formats import read_prompt
from ptx.lms.lm import load_model
from ptx.lms.models import resolve
from ptx.stages.tune import FILE
from ptx.transfer.starts import whole_text

TEXT = "word1 word2"  # the words of the suite's templates


def prompt_of(line: dict[str, Any]) -> torch.Tensor:
    return read_prompt(Path(line["path"]) / FILE)


def history_of(line: dict[str, Any]) -> list[dict[str, Any]]:
    history: list[dict[str, Any]] = json.loads((Path(line["path"]) / "meta.json").read_text())["metrics"]["history"]
    return history


def words_of(result: Any) -> list[str]:
    return (Path(result.at("anchors")[0]["path"]) / "words.csv").read_text().split()[1:]


def said(name: str, prompt: torch.Tensor, subjects: list[str], words: list[str]) -> torch.Tensor:
    """A model's probabilities of the words, one input at a time."""
    model = load_model(resolve(name), "cpu")
    rows = model.rows("[X] [V] [Y] .", subjects, prompt_length=len(prompt))
    with torch.no_grad():
        scores = [model.logits(model.collate([row]), prompt[None])[0, model.word_ids(words)] for row in rows]
    return torch.stack(scores).double().softmax(-1)


def product(sources: list[torch.Tensor], own: torch.Tensor, trust: float) -> torch.Tensor:
    raw = torch.stack(sources).mean(0) * (own / own.mean(0)) ** trust
    return raw / raw.sum(-1, keepdim=True)


def both(result: Any, tiny: dict[str, str], target: str, subjects: list[str]) -> tuple[list[Any], torch.Tensor]:
    """What the sources answer, and the target to its text."""
    words = words_of(result)
    sources = [said(line["model"], prompt_of(line), subjects, words) for line in result.at("tune")]
    text = whole_text(load_model(resolve(tiny[target]), "cpu"), TEXT)
    return sources, said(tiny[target], text, subjects, words)
