"""What every door may ask for: goals are planned, built with all that they need, and come back as outcomes.

Nothing is printed here; whoever asks gives a `Reporter`. The doors are the command line (cli/) and the functions
(api.py).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ptx.cache.remote import store_at
from ptx.config import CommonConfig, SuiteConfig
from ptx.config.dtypes import FLOAT32
from ptx.config.lists import listed, seeds_of
from ptx.config.search import SearchConfig
from ptx.engine.build import Built, Reporter
from ptx.engine.pipeline import Pipeline
from ptx.engine.step import Step
from ptx.errors import UsageError, raise_last
from ptx.lms import gguf
from ptx.lms.frames import remark
from ptx.lms.models import absent_will_do, resolve
from ptx.prompts import given, warm
from ptx.session.building import build, check_dtype
from ptx.session.named import each_once, sources_for
from ptx.session.results import Results
from ptx.session.words import Words
from ptx.stages import anchors, grid, portable
from ptx.stages.encode import encode_step
from ptx.stages.methods import method_named
from ptx.stages.search import check_options
from ptx.stages.settings import Settings
from ptx.stages.tune import tune_step
from ptx.suites.asked import named

if TYPE_CHECKING:
    from ptx.prompts.inspect import Report
    from ptx.prompts.upgrade import Upgrade


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
        return self.build("anchors", [anchors.anchors_step(each_once(models, "--models"), self.settings)])

    def encode(self, model: str, prompt: str, anchors: str, words_of: Sequence[str] = ()) -> Built:
        """The prompts of a model, or finished ones by key, as similarities to anchors."""
        if bool(model) == bool(prompt):
            raise UsageError("name a --model, or prompts with --prompt", "write it like --model bert-micro")

        def goals() -> Iterator[Step]:
            tuned = self._given(prompt) if prompt else self._tuned(model)
            models = [model] if model else [step.labels["model"] for step in tuned]
            shared = self._words.anchors(anchors, models, words_of)
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
            shared = self._words.anchors(anchors, models, words_of)
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
            for shared in self._words.answers(model, others, anchors, words_of, suite=suite if alone else ""):
                if prompt:
                    yield from given.evaluations(steps, model, shared, self.settings, on=on)
                else:
                    yield from grid.evaluations([(how, chosen, target)], self.settings, shared)

        return self.build("eval", self._each_seed(goals))

    def predict(
        self, target: str, prompt: str, subjects: Sequence[str], *, top: int, layout: str | None, anchors: str
    ) -> list[dict[str, Any]]:
        """The likeliest answers for each subject, or labels for each text, with a prompt of a classification; with
        several prompts, comma-separated, those of each. Without a target, it is the model that they are for.

        Probabilities are among the allowed words, and sum to one over all of these.
        """
        from ptx.lms.lm import load_model
        from ptx.prompts import asking

        target = target or asking.model_named(given.keys(prompt), self.store)
        model = resolve(target)
        asked = [asking.asked(name, model, layout, self.store, self.tell) for name in given.keys(prompt)]
        words = () if all(of.labels for of in asked) else tuple(self._shared_words(anchors, target))
        check_dtype(self.common.dtype, [model.name])
        lm = load_model(model, self.common.device, self.settings.computed(model, "target").get("dtype", FLOAT32))
        if any(lm.added):
            self.tell.warn(remark(model))
        if words:
            words = lm.distinct(words)[0]
        return asking.answers(lm, asked, words, subjects, top=top)

    def _shared_words(self, text: str, target: str) -> list[str]:
        shared = anchors.shared_words(self._words.anchors(text, [target]))
        found = Pipeline(self.store, self.tell, device=self.common.device).run([shared])
        if error := next((o.error for o in found if o.error), None):
            raise error
        return anchors.read_words(shared, self.store)

    def request(
        self, key: str, subjects: Sequence[str], *, url: str, model: str, max_tokens: int
    ) -> list[dict[str, Any]]:
        """What a server writes behind each subject, with a prompt of the cache. Raises PtxError."""
        from ptx.prompts import asking

        how: dict[str, Any] = {"url": url, "model": model, "max_tokens": max_tokens, "dry_run": self.common.dry_run}
        return asking.completed(key, subjects, self.store, self.tell, **how)

    def export(self, key: str, to: str, output: Path, *, inputs: Sequence[str] = (), repo: str = "") -> dict[str, Any]:
        """Write a prompt of the cache for another program, or as words: a row of where it is. Raises PtxError."""
        from ptx.prompts.exported import exported

        own = self.common, self.settings, self.store, self.tell
        return exported(key, to, output, *own, inputs=inputs, repo=repo)

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
        shared = self._words.anchors("", [source.labels["model"], target])
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

    @property
    def results(self) -> Results:
        """What the cache has by now."""
        return Results(self.common, self.store)

    def build(self, stage: str, goals: Sequence[Step], **how: Any) -> Built:
        """Build the goals and what they need, failures included. `stage` is what --force rebuilds; for `how` see
        Pipeline."""
        return build(stage, goals, self.common, self.settings, self.store, self.tell, **how)

    @property
    def _words(self) -> Words:
        return Words(self.settings, self.store, self.say)

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

    def _tuned(self, model: str) -> list[Step]:
        tasks = self.settings.chosen_tasks("train", "dev")
        return [tune_step(resolve(model), task, self.settings) for task in tasks]

    def _portable(self, models: Sequence[str], named: str) -> list[Step]:
        portable.check_options(self.settings.tune)
        names = each_once(models, "--models")
        shared = self._words.anchors(named, names)
        sources, tasks = [resolve(name) for name in names], self.settings.chosen_tasks("train", "dev")
        return [portable.portable_step(sources, task, shared, self.settings) for task in tasks]

    def _given(self, text: str) -> list[Step]:
        """The prompts of `--prompt KEY[,KEY...]` as sources; no other tasks are of interest then."""
        steps = given.sources(text, self.store)
        self.keep_to(steps)
        return steps
