"""Which words a command works with: the anchors that it searches with, and the answers that count."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ptx.cache import Store
from ptx.config.nearby import word_models
from ptx.engine.step import Step
from ptx.errors import UsageError
from ptx.lms.models import Model
from ptx.lms.names import named_in
from ptx.results import sets
from ptx.session.named import each_once, not_among, shortly
from ptx.stages.anchors import anchors_step, default_anchors, stored_anchors, word_file_step
from ptx.stages.settings import Settings, some


@dataclass(frozen=True)
class Words:
    """The words of a command with these settings; where nobody names them, it is said whose they are."""

    settings: Settings
    store: Store
    say: Callable[[str], None]

    def anchors(self, text: str, models: Sequence[str], words_of: Sequence[str] = ()) -> Step:
        """The anchors that `--anchors` or `--words-of` names, else those of the settings file, if the `models` of this
        command are among its models, else the default ones."""
        if text and not Path(text).is_file():
            if words_of:
                raise UsageError("--anchors KEY and --words-of both say which words", "leave one of them out")
            return stored_anchors(self.store.find(text, ("anchors",)), self.store)
        named = each_once(words_of, "--words-of") if words_of else self._of_settings(models)
        if words_of and (other := not_among(models, named)):
            what = f"--words-of names {some(shortly(named))}, but not {some(shortly(other))}, as this command does"
            raise UsageError(what, f"write it like --words-of {','.join([*named, *other])}")
        if text:
            return word_file_step(Path(text), named or models, self.settings)
        if named:
            self.say(f"anchors: words shared by {some(shortly(named))}")
            return anchors_step(named, self.settings)
        shared, description = default_anchors(models, self.settings)
        self.say(f"anchors: words shared by {description}")
        return shared

    def _of_settings(self, models: Sequence[str]) -> list[str]:
        """The models of the settings file whose words are to count; none, which is told, if it lacks one of these."""
        path, named = word_models()
        if named and (other := not_among(models, named)):
            self.say(f"{path.name} names models whose words count, and not {some(shortly(other))}: they do not here")
            return []
        return named

    def answers(
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
            return [stored_anchors(artifact, self.store) for artifact in found]
        return [self.anchors(text, models, words_of)]
