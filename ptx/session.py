"""What every door may ask for: goals are planned, built with all that they need, and come back as outcomes.

Nothing is printed here; whoever asks gives a `Reporter`. The doors are the command line (cli/) and the functions
(api.py).
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ptx import remarks
from ptx.cache.remote import store_at
from ptx.config import CommonConfig, SearchConfig, SuiteConfig, listed, seeds_of
from ptx.config.dtypes import FLOAT32, dtypes
from ptx.config.nearby import word_models
from ptx.engine.build import Built, Outcome, Reporter
from ptx.engine.pipeline import Pipeline
from ptx.engine.step import Step, closure
from ptx.errors import PtxError, UsageError, raise_last
from ptx.lms import gguf
from ptx.lms.frames import remark
from ptx.lms.models import Model, absent_will_do, hub_commit, is_here, located, place, resolve
from ptx.lms.names import named_in, shown
from ptx.prompts import given, warm
from ptx.results import sets
from ptx.stages import anchors, grid, portable
from ptx.stages.encode import encode_step
from ptx.stages.methods import method_named
from ptx.stages.search import check_options
from ptx.stages.settings import Settings, some
from ptx.stages.tune import TRY, tune_step
from ptx.suites.asked import named

if TYPE_CHECKING:
    from torch import Tensor

    from ptx.paper.claims import Claim
    from ptx.prompts.inspect import Report
    from ptx.prompts.upgrade import Upgrade
    from ptx.results.report.gather import Report as Results
    from ptx.results.shown import Shown
    from ptx.results.why import Node
    from ptx.results.wrong import Wrong


class Session:
    """One run of a command: its settings, its store, and whom to tell."""

    def __init__(
        self, common: CommonConfig, reporter: Reporter, suite: SuiteConfig | None = None, *, seeds: str = "",
        made_by: Mapping[str, str] = MappingProxyType({}), **configs: Any,
    ) -> None:  # fmt: skip
        self.common = common
        self.seeds = seeds_of(seeds)  # of --seeds, which comes before --seed
        self.tell = reporter
        self.store = store_at(common.cache_dir, reporter.warn, made_by)
        gguf.keep_in(self.store, reporter.message)
        absent_will_do(common.dry_run)
        suite = suite or SuiteConfig()
        name = named(suite.suite, suite)
        more: dict[str, Any] = {"seed": common.seed, "dtype": common.dtype, **configs}
        if "tune" in configs:
            more["initial"] = warm.initial(configs["tune"].init, name, self.store, self.tell)
        tasks = tuple(listed(suite.tasks))
        flags: dict[str, Any] = {"truncate": suite.truncate, "strict": suite.strict}
        once = functools.cache(reporter.warn)
        self.say = functools.cache(reporter.message)  # each of several seeds would say it again
        self.settings = Settings(name, tasks, tell=once, **flags, **more)

    def tune(self, model: str, models: Sequence[str] = (), space: str = "vectors", anchors: str = "") -> Built:
        """One prompt a task, for one model; or in the space of words, for several at once."""
        if bool(model) == bool(models):
            raise UsageError("name a --model, or several with --models", "write it like --model bert-micro")
        if space == "words":
            named = [model] if model else models
            return self.build("portable", self._each_seed(lambda: self._portable(named, anchors)))
        if models or anchors:
            what = "--models" if models else "--anchors"
            raise UsageError(f"{what} is for prompts of words", "add --space words, or tune on one --model")
        return self.build("tune", self._each_seed(lambda: self._tuned(model)))

    def anchors(self, models: Sequence[str]) -> Built:
        """The words that models share."""
        return self.build("anchors", [anchors.anchors_step(_some(models, "--models"), self.settings)])

    def encode(self, model: str, prompt: str, anchors: str, words_of: Sequence[str] = ()) -> Built:
        """The prompts of a model, or finished ones by key, as similarities to anchors."""
        if bool(model) == bool(prompt):
            raise UsageError("name a --model, or prompts with --prompt", "write it like --model bert-micro")

        def goals() -> Iterator[Step]:
            tuned = self._given(prompt) if prompt else self._tuned(model)
            models = [model] if model else [step.labels["model"] for step in tuned]
            shared = self.anchors_named(anchors, models, words_of)
            return (encode_step(step, shared, self.settings) for step in tuned)

        return self.build("encode", self._each_seed(goals))

    def search(
        self, sources: Sequence[str], target: str, method: str, prompt: str, anchors: str, words_of: Sequence[str] = ()
    ) -> Built:
        """Prompts for a target: of source models, or of finished prompts by key."""
        check_options(method, self.settings.search)
        if prompt and sources:
            raise UsageError("--prompt takes the place of --sources", "leave one of them out")
        chosen = [] if prompt else sources_for(method, sources)

        def goals() -> Iterator[Step]:
            steps = self._given(prompt) if prompt else []
            models = [*(step.labels["model"] for step in steps), *chosen, target]
            shared = self.anchors_named(anchors, models, words_of)
            if prompt:
                return given.searches(steps, method, resolve(target), shared, self.settings)
            return grid.searches([(method, chosen, target)], self.settings, shared)

        return self.build("search", self._each_seed(goals))

    def eval(
        self, target: str, sources: Sequence[str], method: str | None, prompt: str, anchors: str,
        words_of: Sequence[str] = (), *, on: str = "",
    ) -> Built:  # fmt: skip
        """Scores on a target: of a method, or of finished prompts by key or file, these also on the suite `on`.

        `sources` of a method that takes none are models whose words count, as in a transfer from them.
        """
        if prompt and (sources or method):
            raise UsageError("--prompt names a finished prompt", "leave out --sources and --method")
        how = method or ("relative" if sources else "tuned")
        if not prompt:
            check_options(how, self.settings.search)
        alone = bool(prompt) or method_named(how).sources == 0
        chosen = [] if alone else sources_for(how, sources)

        def goals() -> Iterator[Step]:
            model = resolve(target)
            steps = given.prompt_steps(prompt, model, self.store, self.settings, self.tell) if prompt else []
            if prompt:
                self.keep_to(steps)
            suite = on or self.settings.eval.on or (steps[0].labels["suite"] if prompt else self.settings.suite)
            others = [*(chosen or sources), target]
            for shared in self._answers(model, others, anchors, words_of, suite=suite if alone else ""):
                if prompt:
                    yield from given.evaluations(steps, model, shared, self.settings, on=on)
                else:
                    yield from grid.evaluations([(how, chosen, target)], self.settings, shared)

        return self.build("eval", self._each_seed(goals))

    def predict(
        self, target: str, prompt: str, subjects: Sequence[str], *, top: int, layout: str | None, anchors: str
    ) -> list[dict[str, Any]]:
        """The likeliest answers for each subject, or labels for each text, with a prompt of a classification; with
        several prompts, comma-separated, those of each.

        Probabilities are among the allowed words, and sum to one over all of these.
        """
        from ptx.lms.lm import load_model
        from ptx.transfer.scoring import Questions, answer

        model, names = resolve(target), given.keys(prompt)
        asked = [self._asked(name, model, layout) for name in names]
        words = () if all(labels for _, _, labels in asked) else tuple(self._shared_words(anchors, target))
        self._check_names([model.name])
        lm = load_model(model, self.common.device, self.settings.computed(model, "target").get("dtype", FLOAT32))
        if any(lm.added):
            self.tell.warn(remark(model))
        if words:
            words = lm.distinct(words)[0]
        allowed = [labels or words for _, _, labels in asked]
        questions = []
        for (vectors, template, _), among in zip(asked, allowed, strict=True):
            rows = lm.rows(template, subjects, prompt_length=len(vectors))
            questions.append((Questions(rows, among, None), lm.fit(vectors)))
        answers = answer(lm, questions, top=top)
        return [
            {
                **({"prompt": name} if len(names) > 1 else {}),
                "subject": subject,
                "rank": rank,
                "answer": among[place],
                "probability": probability,
            }
            for number, subject in enumerate(subjects)
            for name, among, found in zip(names, allowed, answers, strict=True)
            for rank, (place, probability) in enumerate(
                zip(found.places[number], found.probabilities[number], strict=True), start=1
            )
        ]

    def _asked(self, name: str, model: Model, layout: str | None) -> tuple[Tensor, str, tuple[str, ...]]:
        """A prompt by key or file for its model: its vectors, the template of its inputs, and the labels of its task
        that has some."""
        from ptx import formats
        from ptx.lms.template import LAYOUTS
        from ptx.prompts import brought
        from ptx.stages.tune import FILE

        found = given.find(name, self.store)
        if isinstance(found, Path):
            read = formats.read(found)
            brought.check_alone(read)
            layout = layout or read.layout or "postfix"
            brought.say_read(read, layout, model, self.tell)
            return brought.in_front(read, model), LAYOUTS[layout], ()
        given.check_target(found, model)
        task = given.task_of(found)
        template = LAYOUTS[given.layout_of(found) or layout or "postfix"]
        return formats.read_prompt(found.path / FILE), task.asked_as(template), task.labels

    def request(
        self, key: str, subjects: Sequence[str], *, url: str, model: str, max_tokens: int
    ) -> list[dict[str, Any]]:
        """What a server writes behind each subject, with a prompt of the cache. Raises PtxError."""
        from ptx.prompts.record import model_of
        from ptx.prompts.server import address, completions
        from ptx.prompts.whole import whole_inputs

        where, found = address(url), given.find(key, self.store)
        if isinstance(found, Path):
            hint = f"store it first: `ptx import {found} --model NAME` says its key"
            raise PtxError(f"{key} is a file, which does not say for sure which model it is for", hint)
        own = model_of(found)
        inputs = whole_inputs(found, own, subjects)
        called = model or hub_commit(own)[0] or own.name
        if self.common.dry_run:
            tokens = sum(map(len, inputs))
            self.tell.message(f"would send {len(inputs)} inputs of {tokens} vectors to {where} for {called}")
            return []
        answers = completions(where, called, inputs, max_tokens=max_tokens)
        return [
            {"subject": subject, "completion": one.text, "finish_reason": one.finish_reason}
            for subject, one in zip(subjects, answers, strict=True)
        ]

    def inspect(self, prompt: str, model: str, *, top: int) -> Report:
        """What a prompt looks like, by key or file."""
        from ptx.prompts.inspect import inspect

        return inspect(prompt, model, self.store, top=top, device=self.common.device, warn=self.tell.warn)

    def upgrade(
        self, named: str, target: str, search: SearchConfig, *, base: str = "", suite: str = "", task: str = "",
        gradients: bool = False, to: str | None = None, output: Path | None = None, check: float | None = None,
        anyway: bool = False,
    ) -> Upgrade:  # fmt: skip
        """A prompt, by key or file, for another model: searched by agreement, measured where there are test facts, and
        written unless it is not to be expected to do as well as `check`. Raises PtxError if a step fails."""
        from ptx.prompts import upgrade

        if check is not None and not 0 <= check <= 1:
            raise UsageError(f"--check {check:g} is no share between 0 and 1", "write it like --check 0.6")
        model = upgrade.target(target)
        source = upgrade.source(named, self.store, self.tell, base=base, suite=suite, task=task)
        assert source.task is not None
        self.keep_to([source])
        own = upgrade.asked(search, source.task, self.tell)
        self.settings = dataclasses.replace(self.settings, suite=source.labels["suite"], search=own)
        shared = self.anchors_named("", [source.labels["model"], target])
        (goal,) = given.searches([source], "distil" if gradients else "auto", model, shared, self.settings)
        goals = [goal]
        if source.task.splits["test"]:
            goals += given.evaluations([goal], model, shared, self.settings, on="")
        built = self.build("upgrade", goals)  # --force replaces the user's file, nothing in the cache
        raise_last(built.errors, lambda error: self.tell.warn(error.message))
        if self.common.dry_run:
            return upgrade.Upgrade(built, {})
        (found,) = (artifact for artifact in built.done if artifact.key == goal.key)
        to = to or upgrade.format_for(model, goal.settings["layout"])
        where, force = output or upgrade.file_for(named, model, to), self.common.force
        return upgrade.finished(
            built, found, self.store, self.tell, to=to, output=where, check=check, anyway=anyway, force=force
        )

    def table(
        self,
        *,
        paper: str = "",
        compare: bool = False,
        models: str | None = None,
        seeds: str = "",
        by: str,
        split: str,
        curve: bool,
        keys: bool = False,
    ) -> Shown:
        """The evaluations in the cache, by method or task; or a table of the paper, or the curve of tuning."""
        from ptx.paper.run import cached_table
        from ptx.results.shown import cached_curves, cached_tables

        if curve and (paper or compare or models):
            raise UsageError("--curve is about tuning, not about the paper's tables", "leave out --paper")
        if keys and (curve or paper):
            what = "--curve" if curve else "--paper"
            raise UsageError(f"--keys are those of evaluations, in the table without {what}", f"leave {what} out")
        if (compare or models) and not paper:
            raise UsageError("--compare and --models belong to --paper", "add --paper 3, say")
        if paper:
            drawn: dict[str, Any] = {"seeds": self._seeds(seeds), "dtype": self.common.dtype}
            return cached_table(paper, self.store, models=models, compare=compare, **drawn)
        if curve:
            return cached_curves(self.store)
        return cached_tables(self.store, split=split, by=by, keys=keys, seeds=seeds_of(seeds))

    def why(self, key: str) -> Node:
        """An artifact of any stage, by key, with all that it was made from."""
        from ptx.results.why import lineage

        return lineage(self.store.find(key), self.store)

    def wrong(self, key: str, other: str = "") -> Wrong:
        """The wrong answers of an evaluation, or of two of the same facts, by key."""
        from ptx.results.wrong import wrong

        return wrong(self.store, key, other)

    def report(self, *, split: str, words: int) -> Results:
        """All that a page about the evaluations in the cache shows, with the words of so many transfers."""
        from ptx.results.report.gather import gather

        return gather(self.store, split=split, look_at=words, device=self.common.device)

    def claims(self, models: str | None, seeds: str = "") -> tuple[list[Claim], bool]:
        """The paper's claims, judged on the evaluations in the cache, and whether they are about a miniature."""
        from ptx.paper.run import cached_claims

        return cached_claims(self.store, models=models, seeds=self._seeds(seeds), dtype=self.common.dtype)

    def _seeds(self, named: str) -> tuple[int, ...]:
        """Those of `--seeds`, or that of `--seed`; none if neither is given: then all in the cache count."""
        return seeds_of(named) or ((self.common.seed,) if self.common.seed else ())

    def anchors_named(self, text: str, models: Sequence[str], words_of: Sequence[str] = ()) -> Step:
        """The anchors that `--anchors` or `--words-of` names, else those of the settings file, if the `models` of this
        command are among its models, else the default ones."""
        if text and not Path(text).is_file():
            if words_of:
                raise UsageError("--anchors KEY and --words-of both say which words", "leave one of them out")
            return anchors.stored_anchors(self.store.find(text, ("anchors",)), self.store)
        named = _some(words_of, "--words-of") if words_of else self._of_settings(models)
        if words_of and (other := _not_among(models, named)):
            what = f"--words-of names {some(_shortly(named))}, but not {some(_shortly(other))}, as this command does"
            raise UsageError(what, f"write it like --words-of {','.join([*named, *other])}")
        if text:
            return anchors.word_file_step(Path(text), named or models, self.settings)
        if named:
            self.say(f"anchors: words shared by {some(_shortly(named))}")
            return anchors.anchors_step(named, self.settings)
        shared, description = anchors.default_anchors(models, self.settings)
        self.say(f"anchors: words shared by {description}")
        return shared

    def _of_settings(self, models: Sequence[str]) -> list[str]:
        """The models of the settings file whose words are to count; none, which is told, if it lacks one of these."""
        path, named = word_models()
        if named and (other := _not_among(models, named)):
            self.say(f"{path.name} names models whose words count, and not {some(_shortly(other))}: they do not here")
            return []
        return named

    def _answers(
        self, target: Model, models: Sequence[str], text: str, words_of: Sequence[str], *, suite: str
    ) -> list[Step]:
        """Which words are to answer, as anchors: for what needs no other model than the target, all that the cache has
        for it and a `suite`, so that the results stand beside those that are there."""
        asked = text or words_of or len(models) > 1 or self.settings.anchors.keep_words
        free = suite and not asked and not self._of_settings(models)
        if found := sets.sets_of(target, suite, self.store) if free else []:
            labels = [artifact.meta["labels"] for artifact in found]
            names = named_in([{"target": target.name}, *labels])
            whose = "; and of ".join(sets.title(of, names) for of in labels)
            self.say(f"answers: words of {whose}, as in the cache for {names[target.name]}; see --words-of")
            return [anchors.stored_anchors(artifact, self.store) for artifact in found]
        return [self.anchors_named(text, models, words_of)]

    def _each_seed(self, plan: Callable[[], Iterable[Step]]) -> list[Step]:
        """What is planned with each of `--seeds`."""
        own, goals = self.settings.seed, list[Step]()
        for seed in self.seeds or (own,):
            self.settings = dataclasses.replace(self.settings, seed=seed)
            goals += plan()
        self.settings = dataclasses.replace(self.settings, seed=own)
        return list({(goal.key, str(goal.labels)): goal for goal in goals}.values())

    def keep_to(self, steps: Sequence[Step]) -> None:
        """The tasks of these steps are the ones asked for. Raises UsageError if --tasks names others, and for several
        seeds: a finished prompt has its own."""
        if self.seeds:
            raise UsageError("--prompt names prompts that have seeds of their own", "leave --seeds out")
        tasks = tuple(dict.fromkeys(step.labels["task"] for step in steps))
        if unasked := [task for task in tasks if self.settings.tasks and task not in self.settings.tasks]:
            hint = "leave --tasks out, or give fewer prompts"
            raise UsageError(f"the prompts are for {', '.join(unasked)} too", hint)
        self.settings = dataclasses.replace(self.settings, tasks=tasks)

    def build(self, stage: str, goals: Sequence[Step], **how: Any) -> Built:
        """Build the goals and what they need, failures included. `stage` is what --force rebuilds; for `how` see
        Pipeline."""
        began = time.monotonic()
        for suite in dict.fromkeys(goal.labels["suite"] for goal in goals if goal.task and "suite" in goal.labels):
            self.settings.read(suite)
        self._check_names([model.name for step in closure(goals) for model in step.models])
        self._say(remarks.before(goals, all_tasks=not self.settings.tasks))
        forced = stage if self.common.force else None
        pipeline = Pipeline(self.store, self.tell, device=self.common.device, **{"name": stage, **how})
        outcomes = pipeline.run(goals, force=forced, dry_run=self.common.dry_run)
        if self.settings.strict and not self.common.dry_run:
            outcomes = [self._strictly(outcome) for outcome in outcomes]
        advice = {"tune": TRY, "portable": portable.TRY}
        self._say(remarks.after(outcomes, advice.get(stage, ""), self.store))
        self._say_absent(goals)
        before = pipeline.meter([o.step for o in outcomes if not o.reused])[1] if self.common.dry_run else None
        return Built(goals, outcomes, time.monotonic() - began, before)

    def _say(self, texts: remarks.Remarks) -> None:
        for text, warns in texts:
            (self.tell.warn if warns else self.tell.message)(text)

    def _say_absent(self, goals: Sequence[Step]) -> None:
        """What a dry run cannot know of models that are not here."""
        models = {model.name: None for step in closure(goals) for model in step.models if not is_here(model)}
        if models:
            them, they = ("it", "it takes") if len(models) == 1 else ("them", "they take")
            what = f"what the cache has of {them}, the size and how long {they} are not known"
            self.tell.warn(f"not here: {', '.join(models)}; {what}")

    def _check_names(self, models: Sequence[str]) -> None:
        """Raise UsageError if --dtype names a model that the command does not run."""
        names = list(dict.fromkeys(models))
        if unknown := [name for name in dtypes(self.common.dtype).names if located(name) not in names]:
            hint = f"name {' or '.join(_shortly(names)) or 'a model'}, or write source= or target="
            raise UsageError(f"--dtype {unknown[0]}=...: no model of this command is called {unknown[0]!r}", hint)

    def _tuned(self, model: str) -> list[Step]:
        tasks = self.settings.chosen_tasks("train", "dev")
        return [tune_step(resolve(model), task, self.settings) for task in tasks]

    def _portable(self, models: Sequence[str], named: str) -> list[Step]:
        """Raises UsageError for a setting of tuning vectors, which words do not have."""
        asked = self.settings.tune
        for field in dataclasses.fields(asked):
            if field.name not in portable.USED and getattr(asked, field.name) != field.default:
                flag = "--" + field.name.replace("_", "-")
                raise UsageError(
                    f"--space words has no {flag}: words have rates and a start of their own", "leave it out"
                )
        names = _some(models, "--models")
        shared = self.anchors_named(named, names)
        sources, tasks = [resolve(name) for name in names], self.settings.chosen_tasks("train", "dev")
        return [portable.portable_step(sources, task, shared, self.settings) for task in tasks]

    def _given(self, text: str) -> list[Step]:
        """The prompts of `--prompt KEY[,KEY...]` as sources; no other tasks are of interest then."""
        steps = given.sources(text, self.store)
        self.keep_to(steps)
        return steps

    def _shared_words(self, text: str, target: str) -> list[str]:
        shared = anchors.shared_words(self.anchors_named(text, [target]))
        found = Pipeline(self.store, self.tell, device=self.common.device).run([shared])
        if error := next((o.error for o in found if o.error), None):
            raise error
        return anchors.read_words(shared, self.store)

    def _strictly(self, outcome: Outcome) -> Outcome:
        """What was found in the cache must not have dropped facts either: strictness is no part of keys."""
        step = outcome.step
        if outcome.reused and outcome.artifact and step.stored is None and step.task and not step.task.labels:
            try:
                if step.stage.strict is not None:
                    step.stage.strict(step, outcome.artifact, self.store)
            except PtxError as error:
                return Outcome(step, None, False, error)
        return outcome


def _some(names: Sequence[str], flag: str) -> list[str]:
    """Models, once each, however a folder is spelled. Raises UsageError if there is none."""
    if not names:
        raise UsageError(f"{flag} names no model", f"write it like {flag} bert-micro,roberta-micro")
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(place(name), name)
    return list(first.values())


def _not_among(models: Sequence[str], others: Sequence[str]) -> list[str]:
    places = {*map(place, others)}
    return [name for name in models if place(name) not in places]


def _shortly(names: Sequence[str]) -> list[str]:
    return [*shown(map(located, names)).values()]


def sources_for(method: str, names: Sequence[str]) -> list[str]:
    """The sources a method asks for: none, exactly one, or any number. Raises UsageError."""
    takes = method_named(method).sources
    if takes == 0:
        if names:
            raise UsageError(f"--method {method} takes no --sources", "leave them out, or use --method relative")
        return []
    chosen = _some(names, "--sources")
    if takes == 1 and len(chosen) > 1:
        raise UsageError(f"--method {method} takes one source", "name one, or use --method relative")
    return chosen
