"""The gradients of prompts on a frozen model: those of Eq. 2 for a batch of each of several tasks, in as many passes as
memory asks for."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy

from ptx.lms.batches import BYTES, batches
from ptx.lms.inputs import Row
from ptx.lms.lm import LanguageModel

WITH_GRADIENTS = 3  # times the memory of a forward pass: what backward needs of it, and its own


def add_gradients(
    model: LanguageModel, present: Sequence[tuple[int, Sequence[tuple[Row, int]]]], prompts: Sequence[Tensor]
) -> Float[Tensor, " tasks"]:
    """The mean loss of each task's batch, whose gradients are added to the prompts.

    Inputs of one length go through the network together, and as many as fit into memory: gradients add up.
    """
    inputs = [(n, i, row, answer) for n, (i, batch) in enumerate(present) for row, answer in batch]
    inputs.sort(key=lambda own: len(own[2].ids))
    plain: dict[str, Any] = {"dtype": torch.float32, "device": model.device}
    shares, means = torch.tensor([1 / len(batch) for _, batch in present], **plain), torch.zeros(len(present), **plain)
    for part in batches([len(row.ids) for _, _, row, _ in inputs], model.sizes, limit=BYTES // WITH_GRADIENTS):
        tasks, places, rows, answers = zip(*inputs[part], strict=True)
        which = torch.tensor(tasks, device=model.device)
        logits = model.scores(rows, torch.stack([prompts[i] for i in places]))
        each = cross_entropy(logits, torch.tensor(answers, device=model.device), reduction="none") * shares[which]
        each.sum().backward()
        means.index_add_(0, which, each.detach())
    return means
