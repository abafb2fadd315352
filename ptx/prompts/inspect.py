"""What a soft prompt looks like: nearest words, norms, and how well a transferred one matches its sources.

Nothing is built: a search's sources and encodings are read where the cache still has them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from ptx import formats
from ptx.cache import Artifact, Store
from ptx.errors import PtxError, UsageError
from ptx.lms.embeddings import ROWS, WordEmbeddings, load_embeddings
from ptx.lms.models import Model, resolve
from ptx.media import counted
from ptx.prompts.brought import in_front, left_out, model_in
from ptx.prompts.given import check_fits, find, made_for
from ptx.stages.anchors import read_words
from ptx.stages.encode import read_similarities
from ptx.stages.search import spelled
from ptx.stages.table import stored_step
from ptx.stages.tune import FILE
from ptx.transfer.equations import combine, matching_loss, relative_representation, unit_rows
from ptx.transfer.nearest import nearest_words
from ptx.transfer.words import shared_words


@dataclass(frozen=True)
class Side:
    """A prompt and the model whose word embeddings it is compared with."""

    prompt: Float[Tensor, "m d"]
    model: WordEmbeddings


@dataclass(frozen=True)
class Report:
    """What `ptx inspect` shows: one row per vector, and the words among which the nearest were sought."""

    title: str
    models: tuple[str, ...]  # the sources, then the prompt's own
    words: int
    rows: list[dict[str, Any]]


def norms(
    prompt: Float[Tensor, "m d"], *, embeddings: Float[Tensor, "v d"]
) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
    """Every vector's Euclidean norm, and that as a multiple of the mean norm of all rows of `embeddings`."""
    own = prompt.double().norm(dim=-1)
    mean = sum(rows.double().norm(dim=-1).sum() for rows in embeddings.split(ROWS)) / len(embeddings)
    return own, own / mean


def cosine_to_words(
    prompt: Float[Tensor, "m d"], *, embeddings: Float[Tensor, "n d"], chosen: Sequence[Sequence[int]]
) -> list[float]:
    """For every vector the mean of its cosines to its own `chosen` rows of `embeddings`.

    With the words nearest to a source's vector in the source, and the target's vector and embeddings, it says how far
    the transfer kept the neighbourhood: compare it with the cosines that those words have in the source.
    """
    all_of = relative_representation(prompt, anchors=unit_rows(embeddings))
    return [row[list(rows)].mean().item() for row, rows in zip(all_of, chosen, strict=True)]


def matching_losses(artifact: Artifact, target: Side, store: Store) -> Float[Tensor, " m"] | None:
    """Per vector of a `relative` search: 1 - cosine of relative representations, with the mask and top-k of the search.
    Their mean is the artifact's `matching_loss`, to the float32 that prompts are kept in.

    None for other methods and the authors' search, or if the encodings are gone.
    """
    config = artifact.meta["config"]["search"]
    if config["method"] != "relative" or config["solver"] == "ptfer":
        return None
    encodings, anchors = (_parents(artifact, stage, store) for stage in ("encode", "anchors"))
    present = [encoding for encoding in encodings if encoding is not None]
    if len(present) < len(encodings) or anchors[0] is None:
        return None
    device = target.prompt.device
    similarities = [read_similarities(stored_step(encoding), store).to(device) for encoding in present]
    top_k = artifact.meta["config"]["encode"]["top_k"]
    c, mask = combine(similarities, weights=config["weights"], top_k=top_k, mask=config["mask"])
    words = read_words(stored_step(anchors[0]), store)
    b = unit_rows(target.model.word_embeddings(words))
    return matching_loss(c, relative_representation(target.prompt, anchors=b), mask=mask)


def _chosen(artifact: Artifact, store: Store) -> Artifact | None:
    """The search that found a prompt: of a choice by agreement, or of a forecast, the candidate whose prompt it is;
    None if that is gone."""
    if "candidates" not in artifact.meta["labels"]:
        return artifact
    candidates = [found for found in _parents(artifact, "search", store) if found is not None]
    prompt = artifact.meta["payload"][FILE]
    return next((found for found in candidates if found.meta["payload"].get(FILE) == prompt), None)


def _parents(artifact: Artifact, stage: str, store: Store) -> list[Artifact | None]:
    """The parents that an artifact was made from; None for one that is gone or was rebuilt with another result."""
    named = [parent for parent in artifact.meta["parents"] if parent["stage"] == stage]
    found = [store.read(stage, parent["key"]) for parent in named]
    return [a if a and a.payload == p["payload"] else None for a, p in zip(found, named, strict=True)]


def inspect(named: str, model: str, store: Store, *, top: int, device: str, warn: Callable[[str], None]) -> Report:
    """Look at a prompt by key (of a tuning, search or evaluation), path or file.

    `model` is needed for a file; for a key it says where the model is now. Words are those that are one token in the
    prompt's model and in all its sources' models. Raises PtxError if there is no such prompt, or a model does not fit.
    """
    prompt = find(named, store)
    if isinstance(prompt, Path):
        found = formats.read(prompt)
        model = model or model_in(found, store)
        if not model:
            hint = "add --model and the model that it was made for; `ptx models` lists names"
            raise UsageError(f"{named} does not say which model it is for", hint)
        if found.beside:
            warn(left_out(found))
        base = resolve(model)
        side = _side(in_front(found, base), base, device)
        title = f"{prompt.name}, for {side.model.name}"
        return _report(title, {"path": str(prompt.absolute())}, side, [], None, top)
    labels = prompt.meta["labels"]
    own, _ = made_for(prompt)
    side = _side_of(prompt, resolve(model or own), device, "give --model the name or folder of that model")
    head = {name: labels[name] for name in ("method", "suite", "task") if name in labels}
    stage = prompt.meta["stage"]
    title = f"{stage} {prompt.key[:12]}: {labels['task']} of {labels['suite']}"
    about = {"stage": stage, "key": prompt.key, "path": str(prompt.path), **head, "model": own}
    if stage == "tune":
        return _report(f"{title}, {labels.get('method', 'tuned')} for {own}", about, side, [], None, top)
    made = _chosen(prompt, store)
    sources = _sources(made or prompt, store, device, warn)
    if others := [of for of in sources if len(of.prompt) != len(side.prompt)]:
        whose = f"the prompt of {others[0].model.name} has {counted(len(others[0].prompt), 'vector')}"
        warn(f"{whose} and this one {len(side.prompt)}, so no vector stands for one of the other")
        sources = [of for of in sources if len(of.prompt) == len(side.prompt)]
    pair = " > ".join(part for part in (spelled(labels["sources"], labels.get("weights", ())), own) if part)
    losses = matching_losses(made, side, store) if made is not None else None
    if losses is None and labels["method"] == "relative":
        warn("no matching losses: the encodings are gone; run `ptx search` again")
    return _report(f"{title}, {labels['method']} {pair}", about, side, sources, losses, top)


def _sources(artifact: Artifact, store: Store, device: str, warn: Callable[[str], None]) -> list[Side]:
    """The prompts that a search started from, in the order that they were named in; warns of those that are gone."""
    encodings = _parents(artifact, "encode", store)
    tuned = [a for encoding in encodings if encoding for a in _parents(encoding, "tune", store)]
    tuned += _parents(artifact, "tune", store)
    sides = []
    for found in tuned:
        if found is not None:
            try:
                model = resolve(made_for(found)[0])
                sides.append(_side_of(found, model, device, "run the command that made it again"))
            except PtxError as error:
                warn(error.message)
    if len(sides) < len(artifact.meta["labels"]["sources"]) and artifact.meta["labels"]["method"] != "portable":
        warn("not all of the source's prompts are shown: the cache lacks them, or a model has changed since")
    order = artifact.meta["labels"]["sources"]
    return sorted(sides, key=lambda side: order.index(side.model.name) if side.model.name in order else len(order))


def _side(prompt: Float[Tensor, "m d"], model: Model, device: str) -> Side:
    embeddings = load_embeddings(model, device)
    return Side(embeddings.fit(prompt, "name the model that the prompt was made for as --model"), embeddings)


def _side_of(artifact: Artifact, model: Model, device: str, hint: str) -> Side:
    check_fits(artifact, model, hint)
    return _side(formats.read_prompt(artifact.path / FILE), model, device)


def _report(
    title: str, about: dict[str, Any], side: Side, sources: Sequence[Side], losses: Tensor | None, top: int
) -> Report:
    words = shared_words([s.model.tokenizer for s in (side, *sources)])
    if not words:
        raise PtxError("the models have no word in common", "inspect the source's prompt by its own key")
    mine, theirs = _look(side, words, top), [_look(source, words, top) for source in sources]
    place = {word: i for i, word in enumerate(words)}
    embeddings = side.model.word_embeddings(words)
    rows = []
    for i, (own, *before) in enumerate(zip(mine, *theirs, strict=True)):
        row = {**about, "vector": i + 1, **own}
        if before:
            row["sources"] = before
            nearby = list(dict.fromkeys(entry["word"] for source in before for entry in source["words"]))
            chosen = [[place[word] for word in nearby]]
            (kept,) = cosine_to_words(side.prompt[i : i + 1], embeddings=embeddings, chosen=chosen)
            row["cosine_to_source_words"] = kept
            row["words_kept"] = sum(entry["word"] in nearby for entry in own["words"])
        if losses is not None:
            row["matching_loss"] = losses[i].item()
        rows.append(row)
    return Report(title, (*(s.model.name for s in sources), side.model.name), len(words), rows)


def _look(side: Side, words: Sequence[str], top: int) -> list[dict[str, Any]]:
    """Per vector: its norm, that relative to the mean word embedding's, and the nearest words with their cosines."""
    cosines, places = nearest_words(side.prompt, embeddings=side.model.word_embeddings(words), top=top)
    found = (*norms(side.prompt, embeddings=side.model.matrix), places, cosines)
    return [
        {
            "model": side.model.name,
            "norm": norm,
            "relative_norm": relative,
            "words": [{"word": words[j], "cosine": cosine} for j, cosine in zip(places, cosines, strict=True)],
        }
        for norm, relative, places, cosines in zip(*(figures.tolist() for figures in found), strict=True)
    ]
