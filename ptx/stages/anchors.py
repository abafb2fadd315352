"""`anchors`: the words that several models share, and of these the ones that serve as anchors."""

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ptx.cache import Artifact, Store
from ptx.engine.build import Stopwatch, payload_of
from ptx.engine.step import Payload, Stage, Step, Tick
from ptx.engine.work import Work
from ptx.errors import PtxError
from ptx.files import changed
from ptx.lms.known import anchor_models
from ptx.lms.models import Model, resolve
from ptx.lms.names import shown
from ptx.lms.places import located
from ptx.stages.settings import Settings, some
from ptx.suites.lines import words_of

FILE = "words.csv"


def anchors_step(names: Sequence[str], settings: Settings) -> Step:
    """The words that the named models share, and of these, with `--count`, some."""
    names = [*map(located, names)]
    models = _models(names)
    own = _kept(settings)
    shared = Step(STAGE, own, _tokenizers(models), labels={"models": list(names)}, models=models)
    return _counted(shared, settings)


def word_file_step(path: Path, names: Sequence[str], settings: Settings) -> Step:
    """The words of a user's file, one a line, that are one token in every named model."""
    names = [*map(located, names)]
    models = _models(names)
    path = path.absolute()  # workers may be elsewhere
    inputs = {**_tokenizers(models), "words": hashlib.sha256(_content(path)).hexdigest()}
    labels = {"models": list(names), "words": path.name}
    shared = Step(STAGE, _kept(settings), inputs, labels=labels, models=models, file=path)
    return _counted(shared, settings)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        hint = "check the path and its permissions"
        raise PtxError(f"cannot read {path}: {error.strerror or error}", hint) from None


def _words_in(step: Step) -> list[str]:
    """The words of a step's file, of the very bytes that its key is of. Raises PtxError if they are others now."""
    if step.file is None:
        return []
    content = _content(step.file)
    if hashlib.sha256(content).hexdigest() != step.inputs["words"]:
        raise changed(str(step.file))
    return words_of(step.file, content)


def _models(names: Sequence[str]) -> tuple[Model, ...]:
    return tuple(sorted((resolve(name, tokenizer_only=True) for name in names), key=lambda m: m.tokenizer))


def _tokenizers(models: Sequence[Model]) -> dict[str, Any]:
    return {"tokenizers": sorted({model.tokenizer for model in models})}


def _kept(settings: Settings) -> dict[str, Any]:
    return {"keep_words": True} if settings.anchors.keep_words else {}


def _counted(shared: Step, settings: Settings) -> Step:
    if settings.anchors.count is None:
        return shared
    own: dict[str, Any] = {"count": settings.anchors.count, "order": settings.anchors.order}
    if settings.anchors.order == "random":
        own["seed"] = settings.seed
    return Step(STAGE, own, parents=(shared,), labels=shared.labels)


def stored_anchors(artifact: Artifact, store: Store) -> Step:
    """A finished anchor set that the user named, with the shared words it was chosen from."""
    parents = tuple(stored_anchors(store.find(p["key"], ("anchors",)), store) for p in artifact.meta["parents"])
    return Step(STAGE, {}, parents=parents, labels=artifact.meta["labels"], stored=artifact)


def default_anchors(models: Sequence[str], settings: Settings) -> tuple[Step, str]:
    """The anchors of a command that names `models`, and a description of the set for the user."""
    names, description = anchor_models(models)
    return anchors_step(names, settings), description


def shared_words(anchors: Step) -> Step:
    """The set that predictions are restricted to: all shared words, whatever `--count`."""
    return anchors.parents[0] if anchors.parents else anchors


def same_words(anchors: Step, models: Sequence[str], settings: Settings) -> Step:
    """What the anchors of a command are for these models alone: its artifact or file, or by default all that they
    share."""
    shared = shared_words(anchors)
    if shared.stored is not None:
        return shared
    if shared.file is not None:
        return shared_words(word_file_step(shared.file, models, settings))
    return shared_words(default_anchors(models, settings)[0])


def allowed_words(models: Sequence[str], words: Sequence[str] = (), *, keep: bool = False) -> tuple[set[str], str]:
    """The words (of `words`, if given) that these models share, by default the zoo's masked LMs, and whose they are."""
    from ptx.lms.embeddings import tokenizer_of
    from ptx.transfer import words as shared

    names, whose = (list(models), "") if models else anchor_models(models)
    whose = f"{'the word file and ' * bool(words)}{whose + ': ' if whose else ''}{some([*shown(names).values()])}"
    tokenizers = [tokenizer_of(resolve(name, tokenizer_only=True)) for name in names]
    return set(shared.shared_words(tokenizers, list(words), keep=keep)), whose


def read_words(step: Step, store: Store) -> list[str]:
    """The words of a finished anchor set."""
    with payload_of(step, store, FILE).open(encoding="utf-8", newline="") as file:
        return [row["word"] for row in csv.DictReader(file)]


def build(steps: Sequence[Step], store: Store, device: str, tick: Tick) -> Iterator[tuple[Step, Payload | PtxError]]:
    """See engine.step.Stage."""
    import ptx.lms.embeddings  # noqa: F401  (takes longer than the work does, the first time)

    tick(0, "reading vocabularies")
    watch = Stopwatch()
    for step in steps:
        try:
            words, figures = _chosen(step, store) if step.parents else _shared(step)
        except PtxError as error:
            yield step, error
        else:
            yield step, Payload({FILE: _csv(words)}, {"count": len(words), **figures}, watch.lap())
        tick(work(step).units)


def work(step: Step) -> Work:
    models = 0 if step.parents else len(step.models)
    return Work(1, "", 1, seconds=0.05 + 0.5 * models)


def _chosen(step: Step, store: Store) -> tuple[list[str], dict[str, Any]]:
    from ptx.transfer.words import choose

    words, settings = read_words(step.parents[0], store), step.settings
    return choose(words, count=settings["count"], order=settings["order"], seed=settings.get("seed", 0)), {}


def _shared(step: Step) -> tuple[list[str], dict[str, Any]]:
    from ptx.lms.embeddings import tokenizer_of
    from ptx.transfer.words import account, common_words, known_words

    given = _words_in(step)
    models = sorted(step.models, key=lambda model: step.labels["models"].index(model.name))
    names = [model.name for model in models]
    tokenizers = [tokenizer_of(model) for model in models]
    known = known_words(tokenizers, given)
    keep = step.settings.get("keep_words", False)
    words = common_words(known, keep=keep)
    if not words:
        raise PtxError(f"{', '.join(names)} share no anchors", "choose models whose vocabularies have words in common")
    figures = account(names, tokenizers, known, keep=keep)
    if given:
        figures |= {"given": len(set(given)), "dropped": len(set(given) - set(words))}
    return words, figures


def _csv(words: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["word"], *([word] for word in words)])
    return text.getvalue().encode("utf-8")


STAGE = Stage("anchors", version=1, build=build, work=work, columns=("models", "count"), on_device=False)
