"""`tune`: one soft prompt for a model and a task (Eq. 2; the arithmetic is in transfer/tuning.py)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ptx.cache import Artifact, Store, digest
from ptx.config.dtypes import FLOAT32, Role
from ptx.config.fields import keyed
from ptx.config.tune import DRAWN, TEXT, TuneConfig, names_prompts
from ptx.engine.build import Stopwatch, payload_of
from ptx.engine.checks import not_finite
from ptx.engine.step import Payload, Stage, Step, Tick
from ptx.engine.work import some_of
from ptx.errors import PtxError
from ptx.lms.frames import framed
from ptx.lms.models import Model
from ptx.stages import checkpoint
from ptx.stages.checkpoint import Checkpoint
from ptx.stages.epochs import compared, config_of, told, units, work
from ptx.stages.settings import Settings
from ptx.stages.texts import kinds_of, with_kinds, wordings_of
from ptx.suites import Task

if TYPE_CHECKING:
    from torch import Tensor

    from ptx.lms.lm import LanguageModel
    from ptx.transfer.examples import Examples

    Ready = tuple[Step, Task, Examples]

FILE = "prompt.safetensors"
TASKS_TOGETHER = 8


def tune_step(model: Model, task: Task, settings: Settings, role: Role = "source") -> Step:
    """One prompt, begun from a text, from noise, from words, or from the one of `settings.initial` for this model and
    task."""
    asked = settings.tune
    own = {**keyed(asked), "seed": settings.seed, "task": task.name, **framed(model), **settings.computed(model, role)}
    own |= {"lr": float(asked.lr)} if asked.lr is not None else {"lr_scale": float(asked.lr_scale)}
    del own["lr_scale" if asked.lr is not None else "lr"]
    own.pop("warmup", None)
    del own["purpose"]  # what is refused, not what is done
    if asked.schedule == "linear" and asked.warmup:
        own["warmup"] = float(asked.warmup)
    if asked.init == "text":  # the template is no reason for another table
        texts = wordings_of(task)
        kinds = kinds_of(model, task)
        if not texts and asked.purpose == "transfer":
            what = f"task {task.name} has no manual template, and so no text to start from, as --for transfer does"
            raise PtxError(what, "give it one: --init 'text:is the capital of', or --template")
        several = len(texts) > 1 or kinds
        own |= {"texts": texts, **kinds} if several else {"text": texts[0]} if texts else {"init": "random"}
    elif asked.init.startswith(TEXT):
        own["init"] = TEXT + asked.init.removeprefix(TEXT).strip()
    if own["init"] == "random":
        own["init_scale"] = shortest(asked.init_scale)
    else:
        del own["init_scale"]
    inputs = {"model": model.digest, "facts": task.digest("train", "dev")}
    labels = {"model": model.name, "suite": settings.suite, "task": task.name, "seed": settings.seed}
    group = (model.digest, digest(vars(asked)), own["init"], str(settings.seed), own.get("dtype", FLOAT32))
    step = Step(STAGE, own, inputs, (), labels, group, models=(model,), task=task)
    if not names_prompts(own["init"]):
        return step
    if settings.initial is None:
        raise PtxError(f"tune.init {asked.init!r} will not do here", "write text, random or words")
    parent, m, named = settings.initial(model, task, len(settings.chosen_tasks("train", "dev")))
    own |= {"init": "prompt"}
    if asked.prompt_length == TuneConfig().prompt_length:  # those of a text have as many vectors as it has tokens
        own["prompt_length"] = m
    labels, whose = {**labels, **named}, (*group, str(own["prompt_length"]))
    return dataclasses.replace(step, settings=own, parents=(parent,), labels=labels, group=whose)


def shortest(number: str) -> str:
    """One spelling of a number for the key: "0.10" and "1e-1" are "0.1". A word stays what it is."""
    try:
        return repr(float(number)).removesuffix(".0")
    except ValueError:
        return number


def read_prompt(step: Step, store: Store) -> Tensor:
    """The prompt [m, d] of a finished tuning or search, in float32."""
    from ptx import formats

    return formats.read_prompt(payload_of(step, store, FILE))


def build(steps: Sequence[Step], store: Store, device: str, tick: Tick) -> Iterator[tuple[Step, Payload | PtxError]]:
    """See engine.step.Stage."""
    from ptx.lms.lm import load_model
    from ptx.transfer.examples import examples, side_by_side

    watch = Stopwatch()
    model = load_model(steps[0].models[0], device, steps[0].settings.get("dtype", FLOAT32))
    config = config_of(steps[0])
    seconds: dict[str, float] = {}
    begun = checkpoint.taken_up(store, steps)
    texts = {key: text for _, of in begun for key, text in of.texts.items()}
    known = {key for _, of in begun for key in of.states}
    ready: dict[str, Ready] = {}
    tick(0, "the texts to start from")
    for step in steps:
        assert step.task is not None
        try:
            found = examples(model, step.task, config)
            if step.key not in known:
                start, texts[step.key] = _start(step, model, found, store, tick)
                found = dataclasses.replace(found, start=start)
            ready[step.key] = step, step.task, found
            seconds[step.key] = watch.lap()
        except PtxError as error:
            yield step, error
    tick(0, "a first look at dev")
    rest = [step for step in steps if step.key in ready and step.key not in known]
    cut = side_by_side([[ready[step.key][2]] for step in rest], [model], TASKS_TOGETHER)
    new = [(rest[of_part], Checkpoint()) for of_part in cut]
    parts = [([ready[step.key] for step in part if step.key in ready], before) for part, before in [*begun, *new]]
    later = sum(units(step, config.epochs) for part, _ in parts for step, _, _ in part)
    for part, before in parts:
        later -= sum(units(step, config.epochs) for step, _, _ in part)
        if part:
            yield from _together(part, before, seconds, texts, model, config, store, tick, later)


def _together(
    part: Sequence[Ready], before: Checkpoint, begun: Mapping[str, float], texts: Mapping[str, str],
    model: LanguageModel, config: TuneConfig, store: Store, tick: Tick, later: float,
) -> Iterator[tuple[Step, Payload]]:  # fmt: skip
    """Tunes tasks side by side, from where they stood; each is handed out when it ends. `later` are the units of
    those that are tuned after these."""
    from ptx.formats.tensors import to_bytes
    from ptx.transfer.baselines import baselines
    from ptx.transfer.tuning import Standing, tunings

    watch = Stopwatch()
    steps = [step for step, _, _ in part]
    own_texts = {step.key: texts[step.key] for step in steps}
    seconds = {step.key: before.seconds.get(step.key, 0.0) + begun[step.key] for step in steps}
    stood = {i: before.states[step.key] for i, step in enumerate(steps) if step.key in before.states}
    waiting = [step.key for step in steps]
    said = told([(steps[i], state) for i, state in stood.items()], tick, later) if stood else ""

    def spent() -> None:
        lap = watch.lap() / len(waiting)
        seconds.update({key: seconds[key] + lap for key in waiting})

    def after(standing: Standing) -> None:
        spent()
        nonlocal said
        states = [(steps[i], state) for i, state in standing.states.items()]
        of = Checkpoint({step.key: state for step, state in states}, own_texts, seconds, standing.kept)
        checkpoint.keep(store, steps, of)
        said = told(states, tick, later)

    def stepped(inputs: float, now: str) -> None:
        names = [step.labels["task"] for step in steps if step.key in waiting]
        tick(inputs, ", ".join(filter(None, [now, said])), of=some_of(names))

    standing = Standing(stood, before.kept) if stood else None
    try:
        asked = [of_task for _, _, of_task in part]
        for i, tuned in tunings(
            model, asked, config, seed=steps[0].settings["seed"], before=standing, tick=stepped, after=after
        ):
            step, task, of_task = part[i]
            beside = dataclasses.asdict(baselines(model, task))
            stepped(compared(step), "the manual template")
            spent()
            waiting.remove(step.key)
            metrics: dict[str, Any] = {
                "dev_accuracy": tuned.dev_accuracy,
                **beside,
                "epoch": tuned.epoch,
                "facts": len(of_task.train),
                "dropped": len(task.splits["train"]) - len(of_task.train),
                "history": tuned.history,
            }
            metrics |= {"text": own_texts[step.key]} if own_texts[step.key] else {}
            yield step, Payload({FILE: to_bytes(tuned.prompt)}, metrics, seconds[step.key])
    except PtxError:  # begun again, it would end in the same way
        checkpoint.drop(store, steps)
        raise
    checkpoint.drop(store, steps)


def _start(step: Step, model: LanguageModel, examples: Examples, store: Store, tick: Tick) -> tuple[Tensor | None, str]:
    """The prompt that a step starts from, None if it draws one, and its text, if that is one. Raises PtxError if it has
    another length."""
    from ptx.transfer.starts import best_text, text_prompt

    init, wanted = step.settings["init"], step.settings["prompt_length"]
    if init in DRAWN:
        return None, ""
    if init == "text" or init.startswith(TEXT):
        text = step.settings.get("text", init.removeprefix(TEXT))
        if several := step.settings.get("texts"):
            text = best_text(model, with_kinds(several, step, model), wanted, examples, tick=tick)
        return text_prompt(model, text, wanted), text
    prompt = read_prompt(step.parents[0], store)
    if (m := len(prompt)) != wanted:
        named = f"the initial prompt for {step.settings['task']}, {step.labels['init']},"
        raise PtxError(f"{named} has {m} vectors, not {wanted}", f"add --prompt-length {m}")
    return prompt, ""


def blame(step: Step, where: str) -> PtxError:
    return not_finite(step, where, f"try a smaller rate, such as {config_of(step).smaller}; ")


def strict(step: Step, artifact: Artifact, store: Store) -> None:
    """Raise PtxError if the tuning left facts out, since their objects are not one token in a model."""
    from ptx.lms.embeddings import one_token_words, tokenizer_of
    from ptx.suites.strict import refuse_unknown

    assert step.task is not None
    objects = {a for split in ("train", "dev") for fact in step.task.splits[split] for a in fact.answers}
    for model in step.models:
        refuse_unknown(step.task, one_token_words(tokenizer_of(model), objects), model.name)


STAGE = Stage(
    "tune",
    version=1,
    build=build,
    work=work,
    columns=("model", "task", "dev_accuracy", "majority", "template", "epoch", "facts", "dropped"),
    parents_as="init.",  # the prompt that a tuning starts from has settings of its own for the same stages
    blame=blame,
    strict=strict,
)
