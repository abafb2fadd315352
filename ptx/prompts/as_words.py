"""Any prompt of the cache as weighted words, in JSON that people read: what `ptx export KEY --to words` writes."""

import os
from dataclasses import dataclass
from pathlib import Path

from ptx import formats
from ptx.cache import Artifact, Store
from ptx.config.tune import TuneConfig
from ptx.errors import PtxError
from ptx.files import write_whole
from ptx.formats import words as files
from ptx.formats.words import VERSION, Source, Words
from ptx.lms.embeddings import vocabulary_words
from ptx.lms.lm import load_model
from ptx.prompts.given import layout_of, task_of
from ptx.prompts.record import model_of
from ptx.stages import portable, tune
from ptx.transfer.examples import examples
from ptx.transfer.mixtures import embedded, nearest_mixtures
from ptx.transfer.scoring import DevChoice


@dataclass(frozen=True)
class AsWords:
    """A prompt as words; of one that was vectors, the accuracy on dev facts of its own model, before and after."""

    words: Words
    before: float | None = None
    after: float | None = None
    facts: int = 0

    def __str__(self) -> str:
        if self.before is None or self.after is None:
            return "words as they were learned"
        (model,) = self.words.models
        on = f"{self.facts} dev facts of {model.model}"
        return f"as words the prompt scores {self.after:.1%} on {on}, in place of {self.before:.1%}"


def as_words(artifact: Artifact, store: Store, device: str, dtype: str) -> AsWords:
    """A prompt as it was learned as words, or each vector as the few words that come nearest to it. Raises PtxError if
    the model has changed since, or the task's suite has gone."""
    if (learned := _learned(artifact, store)) is not None:
        return AsWords(files.read(learned.path / portable.FILE))
    model, task, layout = model_of(artifact), task_of(artifact), layout_of(artifact) or "postfix"
    prompt = formats.read_prompt(artifact.path / tune.FILE)
    lm = load_model(model, device, dtype)
    known = [word for word in vocabulary_words(lm.tokenizer) if files.plain(word)]
    mixtures = nearest_mixtures(prompt, embeddings=lm.word_embeddings(known), words=known)
    config = TuneConfig(prompt_length=len(prompt), layout="prefix" if layout == "prefix" else "postfix")
    dev = examples(lm, task, config).dev
    before, after = DevChoice(lm, [dev, dev]).score([lm.fit(prompt), embedded(lm, mixtures).prompt])
    source = Source(model.name, model.digest, round(after, files.DIGITS))
    said = Words(VERSION, artifact.meta["labels"]["suite"], task.name, config.layout, mixtures, task.template, [source])
    return AsWords(said, before, after, len(dev.rows))


def _learned(artifact: Artifact, store: Store) -> Artifact | None:
    """The portable prompt that an artifact is, or was made of; None for any other, or if that is gone."""
    if artifact.meta["stage"] == portable.STAGE.name:
        return artifact
    if artifact.meta["labels"].get("method") != portable.STAGE.name:
        return None
    stages = (portable.STAGE.name, "search")  # with a forecast, there is a search between them
    parents = [store.read(of["stage"], of["key"]) for of in artifact.meta["parents"] if of["stage"] in stages]
    return _learned(parents[0], store) if parents and parents[0] is not None else None


def export_words(
    artifact: Artifact, store: Store, output: Path, *, force: bool, dry_run: bool, device: str, dtype: str
) -> AsWords:
    """Write a prompt as words. Raises PtxError, unless `force`, where something stands already."""
    if os.path.lexists(output) and not force:
        raise PtxError(f"{output} exists already", "choose another --output, or add --force to replace it")
    made = as_words(artifact, store, device, dtype)
    if not dry_run:
        try:
            write_whole(output, files.to_bytes(made.words))
        except OSError as error:
            raise PtxError(f"cannot write {output}: {error.strerror or error}", "choose another --output") from None
    return made
