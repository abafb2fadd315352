"""A model and the digests that identify it. Reads files only; nothing heavy is imported.

A checkpoint can bring no code, and names no other files: see contents.py. What is read of it is what its digest is of:
see `unchanged`.
"""

import contextlib
import functools
import json
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptx import files
from ptx.cache import digest
from ptx.errors import PtxError
from ptx.lms import contents, foreign, gguf, hub, weights
from ptx.lms.known import ZOO_FOLDER, zoo
from ptx.lms.places import check_name, gguf_file, hub_id, is_folder, located, pinned

# How transformers is to read a model's folder: nothing is fetched, and code that it brings is not run.
LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
NOT_HERE = " is not here"  # in place of a path
_absent_will_do: ContextVar[bool] = ContextVar("absent_will_do", default=False)


@dataclass(frozen=True)
class Model:
    """A resolved model. `digest` covers the configuration, weights and tokenizer; `tokenizer` the tokenizer alone."""

    name: str
    path: str
    digest: str
    tokenizer: str

    @property
    def config(self) -> dict[str, Any]:
        """The model's config.json."""
        return json.loads((Path(self.path) / "config.json").read_text("utf-8"))


def resolve(name: str, *, tokenizer_only: bool = False) -> Model:
    """Find a model by name. With `tokenizer_only` a hub model's weights are neither fetched nor part of the digest.

    Raises PtxError for a name that means nothing, or a folder without the files of a model.
    """
    asked, name = name, located(name)
    if file := gguf_file(name):
        folder, key = gguf.dequantised(asked, file)
        return Model(name, str(folder), key, digest({"gguf": key, "part": "tokenizer"}))
    if name in zoo() or is_folder(name):
        folder = ZOO_FOLDER / name if name in zoo() else Path(name).absolute()
        states = contents.states(folder)
        read = _from_folder if contents.are_settled(states) else _from_folder.__wrapped__
        try:
            return read(name, folder, tokenizer_only, states)
        except (OSError, ValueError, PtxError):
            # Of a file that is gone since, or half another one, anything may be said.
            if contents.states(folder) != states:
                raise files.changed(name) from None
            raise
    check_name(name)
    try:
        return _resolve(name, tokenizer_only)
    except hub.OutOfReach:
        if not _absent_will_do.get():
            raise
        return Model(name, f"{name}{NOT_HERE}", digest({"absent": name}), digest({"absent": name, "part": "tokenizer"}))


def absent_will_do(yes: bool) -> None:
    """Whether a hub's model that cannot be had is one without files, under a digest of its own: enough to plan with."""
    _absent_will_do.set(yes)


def is_here(model: Model) -> bool:
    return not model.path.endswith(NOT_HERE)


def hub_commit(model: Model) -> tuple[str | None, str | None]:
    """The hub id and the commit of a model that lies in the hub's cache, whatever the user called it."""
    folder = Path(model.path)
    if folder.parent.name != "snapshots" or not folder.parents[1].name.startswith("models--"):
        return None, None
    return folder.parents[1].name.removeprefix("models--").replace("--", "/"), folder.name


@functools.lru_cache(maxsize=64)
def _resolve(name: str, tokenizer_only: bool) -> Model:
    """A model of the hub, by its commit: one process reads one commit of a branch."""
    named, revision = pinned(name)
    repo = hub_id(named)
    assert repo is not None
    folder = hub.fetch_config(repo, revision)
    refuse(name, folder)
    if not tokenizer_only:
        hub.fetch_weights(repo, folder, revision)
    weights.check_counts(name, folder, whole=not tokenizer_only)
    return Model(name, str(folder), *of_commit(repo, folder.name))


def of_commit(repo: str, commit: str) -> tuple[str, str]:
    """The digests of a model of the hub and of its tokenizer: a snapshot's folder is named after its commit."""
    named = f"{repo}@{commit}"
    return digest({"commit": named}), digest({"commit": named, "part": "tokenizer"})


@functools.lru_cache(maxsize=256)
def _from_folder(name: str, folder: Path, tokenizer_only: bool, states: contents.States) -> Model:
    """A model by the digests of its files, of which `states` tells any change."""
    read = [folder / file for file in (*hub.TOKENIZER_FILES, contents.CONFIG)]
    foreign.check_pulled(name, [*filter(Path.is_file, read), *weights.weight_files(folder)])
    refuse(name, folder)
    if not any((folder / file).is_file() for file in hub.TOKENIZER_FILES):
        raise foreign.incomplete(name, foreign.TOKENIZER)
    if not tokenizer_only and not (weights.weight_files(folder) and (folder / contents.CONFIG).is_file()):
        raise foreign.incomplete(name, "config.json or weights")
    weights.check_counts(name, folder, whole=not tokenizer_only)
    return Model(name, str(folder), *_of_files(folder, tokenizer_only))


def _of_files(folder: Path, tokenizer_only: bool) -> tuple[str, str]:
    """The same of a folder."""
    network, tokenizer = contents.digests(folder, tokenizer_only=tokenizer_only)
    return digest({"files": network, "tokenizer": tokenizer}), digest(tokenizer)


def refuse(name: str, folder: Path) -> None:
    """Raise PtxError for a checkpoint that wants code to run or names other files, or that is an adapter of another."""
    contents.refuse(name, folder)
    if error := foreign.adapter(name, folder):
        raise error


@contextlib.contextmanager
def unchanged(model: Model) -> Iterator[None]:
    """What is read of a model inside is what its digest is of. Raises PtxError if its files change, or have changed
    since they were hashed."""
    folder = Path(model.path)
    with files.unchanged(model.name, lambda: contents.states(folder)):
        check(model)
        yield
        check(model)  # small files, and those that changed a moment ago, are hashed again


def check(model: Model) -> None:
    """Raise PtxError if a model's files are no longer what its digest is of; of a model that is not here there are
    none."""
    if not is_here(model):
        return
    states = contents.states(Path(model.path))
    same = _same if contents.are_settled(states) else _same.__wrapped__
    if not same(model, states):
        raise files.changed(model.name)


@functools.lru_cache(maxsize=256)
def _same(model: Model, states: contents.States) -> bool:
    folder = Path(model.path)
    if folder.name == model.digest:  # made of a GGUF file
        return gguf.intact(folder)
    repo, commit = hub_commit(model)
    if repo and commit and model.digest == of_commit(repo, commit)[0]:
        return folder.is_dir()  # of a commit there are no digests to compare with
    try:
        return any(model.digest == _of_files(folder, only)[0] for only in (True, False))
    except (OSError, PtxError):  # gone, or being written
        return False
