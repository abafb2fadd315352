"""`distil`: what `auto` found, after a few gradient steps on the target towards what the sources, and itself with its
text, answer to unlabelled inputs (stages/towards.py)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from ptx.errors import PtxError
from ptx.stages.expected import expected
from ptx.stages.held import HeldAgainst
from ptx.stages.methods.method import Found, Method

if TYPE_CHECKING:
    from ptx.cache import Store
    from ptx.engine.step import Step
    from ptx.lms.embeddings import WordEmbeddings


def build(steps: Sequence[Step], model: WordEmbeddings, store: Store) -> Iterator[tuple[Step, Found | PtxError]]:
    """See Method."""
    from ptx.lms.lm import LanguageModel
    from ptx.stages.towards import stepped

    assert isinstance(model, LanguageModel)
    for step in steps:
        try:
            prompt, figures = stepped(step, model, store, steps=step.settings["distil_steps"])
            held = HeldAgainst(step, model, store)
            seen = held.seen(*held.answers([prompt]))
            yield step, Found(prompt, figures | asdict(seen) | expected(step, seen, store))
        except PtxError as error:
            yield step, error


USES = "gradients on the target, unlabelled inputs"
METHOD = Method(
    "distil",
    title=f"distil ({USES})",
    sources=None,
    options=("weights", "texts", "candidates", "trust", "distil_steps"),
    uses=USES,
    build=build,
)
