"""A prompt after steps on the target towards what the sources, and the target with its own text, answer to unlabelled
inputs (transfer/distil.py; the parents of such a step are named in stages/aims.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ptx.errors import PtxError
from ptx.stages.answers import rows_of, sources_say
from ptx.stages.tune import read_prompt

if TYPE_CHECKING:
    from torch import Tensor

    from ptx.cache import Store
    from ptx.engine.step import Step
    from ptx.lms.lm import LanguageModel

LEAST = 4  # inputs, of which one is held back


def stepped(
    step: Step, model: LanguageModel, store: Store, *, steps: int, forward: bool = False
) -> tuple[Tensor, dict[str, Any]]:
    """The prompt [m, d] of the best look, with gradients or by `forward` passes alone, and figures. Raises PtxError for
    too few inputs."""
    from ptx.transfer.distil import distil, held_back, product, statistics, word_logs

    settings, task, sources = step.settings, step.task, step.parents_at("answers")
    assert task is not None
    inputs, words, said = sources_say(sources, settings["weights"], task, model, store)
    if len(inputs) < LEAST:
        what = f"task {task.name}: {len(inputs)} inputs are too few to learn from, as a quarter is held back"
        raise PtxError(what, f"give {LEAST} or more with --inputs FILE, or use --inputs words")
    start, *texts = (model.fit(read_prompt(parent, store)) for parent in step.parents_at("search"))
    rows = {m: rows_of(model, task, inputs, settings["layout"], m) for m in {len(start), *map(len, texts)}}
    own = [word_logs(model, rows[len(text)], text, words) for text in texts]
    trust, seed = float(settings["trust"]), settings["seed"]
    aim = product(said, own[0], trust) if trust else said
    found = distil(model, rows[len(start)], aim, start, words=words, steps=steps, seed=seed, forward=forward)
    return found.prompt, {
        "trust": trust,
        "held_back": len(held_back(len(inputs))[1]),
        "selected_step": found.step,
        **statistics(said, own[0].exp() if own else None),
        "history": found.history,
    }
