"""`direct`: the source's vectors, unchanged (Table 1): possible only between equal embedding widths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ptx.errors import PtxError
from ptx.stages.methods.method import Found, Method

if TYPE_CHECKING:
    from ptx.cache import Store
    from ptx.engine.step import Step
    from ptx.lms.embeddings import WordEmbeddings


def build(steps: Sequence[Step], model: WordEmbeddings, store: Store) -> Iterator[tuple[Step, Found | PtxError]]:
    """See Method."""
    from ptx.stages.tune import read_prompt

    for step in steps:
        prompt, width = read_prompt(step.parents[0], store), model.matrix.shape[1]
        if prompt.shape[1] == width:
            yield step, Found(prompt)
        else:
            source = step.labels["sources"][0]
            widths = f"{source} has {prompt.shape[1]}, {model.name} {width}"
            hint = f"run `ptx search --sources {source} --target {model.name} --method relative`"
            yield step, PtxError(f"direct transfer needs equal embedding widths: {widths}", hint)


def _exists(sources: Sequence[str], target: str) -> bool:
    """Between different models of one width."""
    from ptx.lms.catalogue import embedding_width
    from ptx.lms.models import resolve

    models = [resolve(name) for name in (*sources, target)]
    return len({model.digest for model in models}) > 1 == len(set(map(embedding_width, models)))


METHOD = Method("direct", sources=1, needs=("prompts",), build=build, exists=_exists, variants=({},))
