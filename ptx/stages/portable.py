"""`portable`: one prompt for a task as weighted words, learned on several models at once (transfer/portable.py).

The words are those that the sources share, whatever the target: the prompt goes to any model.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ptx.cache import Store, digest
from ptx.config.dtypes import FLOAT32
from ptx.config.tune import A_STEP, TuneConfig
from ptx.engine.build import Stopwatch, payload_of
from ptx.engine.step import Payload, Stage, Step, Tick
from ptx.engine.work import Work
from ptx.errors import PtxError, UsageError
from ptx.lms.frames import framed
from ptx.lms.models import Model
from ptx.lms.names import shown
from ptx.stages import tune
from ptx.stages.anchors import read_words, same_words
from ptx.stages.settings import Settings
from ptx.suites import Task

if TYPE_CHECKING:
    from ptx.formats.words import Mixture
    from ptx.transfer.examples import Examples

FILE = "prompt.words.json"
USED = ("prompt_length", "layout", "epochs", "batch_size")  # of the settings of a tuning
# Of the weights and of the scales. At lr 0.3 some sixty words carry weight and do not travel; at 3.0 hardly more than
# one does.
RATES = {"lr": 1.0, "scale_lr": 0.02}
TRY = "try more --epochs, other --models, or a longer --prompt-length"
EACH = "+"  # between what is said of each model


def check_options(asked: TuneConfig) -> None:
    """Raise UsageError for a setting of tuning vectors, which words do not have."""
    for own in dataclasses.fields(asked):
        if own.name not in (*USED, "purpose") and getattr(asked, own.name) != own.default:
            flag = "--" + own.name.replace("_", "-")
            raise UsageError(f"--space words has no {flag}: words have rates and a start of their own", "leave it out")


def portable_step(models: Sequence[Model], task: Task, anchors: Step, settings: Settings) -> Step:
    """One prompt as words for all these models; `anchors` are those of the command. Raises PtxError for two models that
    are one."""
    ordered = tuple(sorted(models, key=lambda model: model.digest))  # how they are named must not change the key
    names = [model.name for model in models]
    if len({model.digest for model in models}) < len(models):
        what = f"of the models {' and '.join(shown(names).values())} two are one, by equal files"
        raise PtxError(what, "name it once; a copy or a link of a model is that model")
    own: dict[str, Any] = {name: getattr(settings.tune, name) for name in USED}
    own |= {**RATES, "seed": settings.seed, "task": task.name}
    for name, default, said in (
        ("dtype", FLOAT32, [settings.computed(model, "source").get("dtype", FLOAT32) for model in ordered]),
        ("frame", "", [framed(model).get("frame", "") for model in ordered]),
    ):
        if {*said} != {default}:
            own[name] = said[0] if len({*said}) == 1 else EACH.join(said)
    inputs = {"models": [model.digest for model in ordered], "facts": task.digest("train", "dev")}
    labels = {"sources": names, "method": "portable", "suite": settings.suite, "task": task.name, "seed": settings.seed}
    words = same_words(anchors, names, settings)
    group = (*inputs["models"], words.key, digest({name: value for name, value in own.items() if name != "task"}))
    return Step(STAGE, own, inputs, (words,), labels, group, models=ordered, task=task)


def read_mixtures(step: Step, store: Store) -> list[Mixture]:
    """The vectors of a finished portable prompt."""
    from ptx.formats import words

    return [*words.read(payload_of(step, store, FILE)).vectors]


def work(step: Step) -> Work:
    assert step.task is not None
    epochs, facts = step.settings["epochs"], len(step.task.splits["train"])
    units = 0.9 * epochs * (A_STEP * facts + len(step.task.splits["dev"]))  # as fast as was measured
    return Work(epochs * math.ceil(facts / step.settings["batch_size"]), "steps", units, reading=True)


def build(steps: Sequence[Step], store: Store, device: str, tick: Tick) -> Iterator[tuple[Step, Payload | PtxError]]:
    """See engine.step.Stage. All sources are in memory together."""
    from ptx.formats import words as files
    from ptx.lms.lm import load_model
    from ptx.transfer.baselines import baselines
    from ptx.transfer.examples import examples, side_by_side
    from ptx.transfer.portable import learn_words

    watch = Stopwatch()
    settings = steps[0].settings
    dtypes = settings.get("dtype", FLOAT32).split(EACH)
    dtypes = dtypes if len(dtypes) > 1 else dtypes * len(steps[0].models)
    models = [load_model(model, device, dtype) for model, dtype in zip(steps[0].models, dtypes, strict=True)]
    words = read_words(steps[0].parents_at("anchors")[0], store)
    config = TuneConfig(**{name: settings[name] for name in USED})
    ready: list[tuple[Step, Task, list[Examples]]] = []
    for step in steps:
        assert step.task is not None
        try:
            ready.append((step, step.task, [examples(model, step.task, config) for model in models]))
        except PtxError as error:
            tick(work(step).units)
            yield step, error
    tick(0, "a first epoch")
    for of_part in side_by_side([of for _, _, of in ready], models, tune.TASKS_TOGETHER):
        part = ready[of_part]
        units = sum(work(step).units for step, _, _ in part)
        share = functools.partial(_share, tick, units / settings["epochs"], settings["epochs"])
        found = learn_words(models, words, [of for _, _, of in part], settings, after=share)
        seconds = watch.lap() / len(part)
        for (step, task, of_task), learned in zip(part, found, strict=True):
            sources = [
                files.Source(model.name, model.digest, round(score, 4))
                for model, score in zip(step.models, learned.dev_accuracies, strict=True)
            ]
            said = step.labels["suite"], task.name, settings["layout"], learned.prompt, task.template, sources
            beaten = [baselines(model, task) for model in models]
            templates = [of.template for of in beaten if of.template is not None]
            least = min(len(of.train) for of in of_task)
            metrics = {
                "dev_accuracy": sum(learned.dev_accuracies) / len(models),
                "majority": sum(of.majority for of in beaten) / len(models),
                "template": sum(templates) / len(templates) if templates else None,
                "epoch": learned.epoch,
                "facts": least,  # of the source that knows the fewest
                "dropped": len(task.splits["train"]) - least,
                "words": len({word for of in learned.prompt for word in of.words}),
            }
            yield step, Payload({FILE: files.to_bytes(files.Words(files.VERSION, *said))}, metrics, seconds)


def _share(tick: Tick, units: float, epochs: int, epoch: int) -> None:
    tick(units, f"epoch {epoch} of {epochs} is done")


STAGE = Stage(
    "portable",
    version=1,
    build=build,
    work=work,
    columns=("sources", "task", "dev_accuracy", "majority", "template", "epoch", "words", "facts", "dropped"),
    strict=tune.strict,
)
