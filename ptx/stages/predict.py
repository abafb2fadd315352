"""The target's likeliest answers for a user's own subjects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ptx.lms.inputs import LAYOUTS
from ptx.lms.lm import load_model
from ptx.lms.models import Model
from ptx.prompts import read_prompt

BATCH = 256


@torch.inference_mode()
def predict(
    target: Model,
    path: Path,
    subjects: Sequence[str],
    allowed: Sequence[str],
    *,
    top: int,
    layout: str,
    device: str,
    dtype: str = "float32",
) -> list[dict[str, Any]]:
    """`top` answers per subject; probabilities are among the allowed words, and sum to one over all of these."""
    model = load_model(target, device, dtype)
    prompt = model.fit(read_prompt(path))
    ids = model.word_ids(allowed)
    made = model.rows(LAYOUTS[layout], subjects, prompt_length=len(prompt))
    result = []
    for start in range(0, len(made), BATCH):
        part = made[start : start + BATCH]
        logits = model.logits(model.collate(part), prompt.expand(len(part), -1, -1))[:, ids]
        best = logits.softmax(-1).topk(min(top, len(allowed)), dim=-1)
        for subject, places, probabilities in zip(
            subjects[start : start + BATCH], best.indices.tolist(), best.values.tolist(), strict=True
        ):
            for rank, (place, probability) in enumerate(zip(places, probabilities, strict=True), start=1):
                answer = {"subject": subject, "rank": rank, "answer": allowed[place], "probability": probability}
                result.append(answer)
    return result
