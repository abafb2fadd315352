"""`random`: noise with the mean and std of the target's word embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ptx.stages.methods.method import Found, Method

if TYPE_CHECKING:
    from ptx.cache import Store
    from ptx.engine.step import Step
    from ptx.lms.embeddings import WordEmbeddings


def build(steps: Sequence[Step], model: WordEmbeddings, store: Store) -> Iterator[tuple[Step, Found]]:
    """See Method."""
    from ptx.transfer.starts import generator, random_prompt

    for step in steps:
        noise = generator(step.settings["seed"], step.settings["task"])
        shape = step.settings["prompt_length"], model.matrix.shape[1]
        yield step, Found(random_prompt(*shape, model.statistics, noise))


METHOD = Method(
    "random",
    settings=lambda asked, task: {"prompt_length": asked.tune.prompt_length, "seed": asked.seed, "task": task.name},
    build=build,
)
