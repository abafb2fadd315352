"""Which model a name means, and the digests that identify it. Reads files only; nothing heavy is imported.

A name is, in this order, an embedded model (`bert-micro`), a paper alias (`bert-base`), an alias of the nearest
settings file (`[tool.ptx.models]`), a folder or a GGUF file, or a hub id (`org/name`, or one of the hub's old names
without an organisation, `t5-small`). `@REVISION` behind an alias or a hub id is a branch, a tag or a commit;
`:FILE.gguf` behind a folder or a hub id is that file in it. A checkpoint can bring no code, and names no other files:
see contents.py. What is read of it is what its digest is of: see `unchanged`.
"""

import contextlib
import difflib
import functools
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptx import files
from ptx.cache import digest
from ptx.config.nearby import aliases
from ptx.errors import PtxError, UsageError
from ptx.lms import contents, foreign, gguf, hub, weights

ZOO_FOLDER = Path(__file__).parents[1] / "zoo" / "models"
# The paper names no checkpoints. Cased BERT, because OptiPrompt and LAMA, whose data and code it uses, take it, and
# because uncased words are shared with few of the other models; ALBERT v2, which its authors found much better than v1
# at these sizes.
PAPER = {
    "bert-base": "google-bert/bert-base-cased",
    "bert-large": "google-bert/bert-large-cased",
    "roberta-base": "FacebookAI/roberta-base",
    "roberta-large": "FacebookAI/roberta-large",
    "albert-base": "albert/albert-base-v2",
    "albert-large": "albert/albert-large-v2",
    "gpt2-small": "openai-community/gpt2",
    "gpt2-medium": "openai-community/gpt2-medium",
    "gpt2-large": "openai-community/gpt2-large",
}
# Which embedded model takes the place of the paper's in a miniature; the zoo has no third size.
STAND_INS: dict[str, str | None] = {
    "bert-base": "bert-micro", "bert-large": "bert-mini",
    "roberta-base": "roberta-micro", "roberta-large": "roberta-mini",
    "albert-base": "albert-micro", "albert-large": "albert-mini",
    "gpt2-small": "gpt2-micro", "gpt2-medium": "gpt2-mini", "gpt2-large": None,
}  # fmt: skip
CAUSAL = "gpt2"  # how the names of the causal LMs among these, and in the zoo, begin
# Where the hub moved the names that have no organisation.
MOVED = {
    "google-bert": "bert-base-cased bert-base-uncased bert-large-cased bert-large-uncased bert-base-multilingual-cased "
    "bert-base-multilingual-uncased bert-base-chinese bert-base-german-cased",
    "FacebookAI": "xlm-roberta-base xlm-roberta-large",
    "albert": "albert-base-v1 albert-large-v1 albert-xlarge-v1 albert-xxlarge-v1 albert-base-v2 albert-large-v2 "
    "albert-xlarge-v2 albert-xxlarge-v2",
    "distilbert": "distilbert-base-cased distilbert-base-uncased distilbert-base-multilingual-cased distilroberta-base "
    "distilgpt2",
    "openai-community": "gpt2 gpt2-xl",
    "google-t5": "t5-small t5-base t5-large t5-3b t5-11b",
    "almanach": "camembert-base",
}
# How transformers is to read a model's folder: nothing is fetched, and code that it brings is not run.
LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
REVISION = re.compile(r"\w[\w.+-]*(/\w[\w.+-]*)*")


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


def zoo() -> list[str]:
    """Names of the embedded models, smallest first."""
    return [*_embedded(ZOO_FOLDER)]


@functools.cache
def _embedded(within: Path) -> tuple[str, ...]:
    """A grid asks for them thousands of times."""
    folders = (path.parent for path in within.glob("*/config.json"))
    return tuple(sorted((folder.name for folder in folders), key=lambda name: (not name.endswith("micro"), name)))


def located(name: str, base: str = "") -> str:
    """A name that means the same anywhere: what an alias of the settings file stands for, the whole path of a folder or
    a GGUF file (relative to `base`, if that is given), and any other as it is.

    Raises UsageError for an alias that is the name of another model.
    """
    own, known = aliases(), (*zoo(), *PAPER)
    if taken := next((alias for alias in own if alias in known or hub_id(alias)), None):
        raise UsageError(
            f"the settings file calls a model {taken}, which is the name of another", "choose another name"
        )
    if name in known or name in own:
        return own.get(name, name)
    folder, file = gguf.parts(name)
    path = os.path.join(base, folder or name)
    if os.path.isdir(path) or (path.endswith(gguf.ENDING) and os.path.isfile(path)):
        return f"{os.path.abspath(path)}:{file}" if file else os.path.abspath(path)
    return name


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
        return read(name, folder, tokenizer_only, states)
    check_name(name)
    try:
        return _resolve(name, tokenizer_only)
    except hub.OutOfReach:
        if not _absent_will_do.get():
            raise
        return Model(name, f"{name}{NOT_HERE}", digest({"absent": name}), digest({"absent": name, "part": "tokenizer"}))


def gguf_file(name: str) -> Path | None:
    """The GGUF file that a name means, if it means one; that of `org/name:FILE.gguf` is fetched.

    Raises PtxError for a folder with several, for a file that is not there, and for the hub's reasons.
    """
    folder, file = gguf.parts(name)
    if file and not is_folder(folder) and not os.path.isfile(name):
        named, revision = pinned(folder)
        return hub.fetch_file(repo, file, revision) if (repo := hub_id(named)) else None
    return local_gguf(name)


def local_gguf(name: str) -> Path | None:
    """The GGUF file of the user's that a name means: by its path, in a folder as `FOLDER:FILE.gguf`, or as the only one
    in a folder without other weights. Raises PtxError likewise."""
    if os.path.isfile(name):
        return Path(name).absolute() if name.endswith(gguf.ENDING) else None
    folder, file = gguf.parts(name)
    if file and is_folder(folder):
        if not (path := Path(folder, file).absolute()).is_file():
            raise PtxError(f"{folder} holds no file {file}", "check the name behind the colon")
        return path
    if is_folder(name) and not foreign.adapter(name, Path(name)) and not weights.weight_files(Path(name)):
        return gguf.only_one(name)
    return None


def check_name(name: str, where: str = "") -> None:
    """Raise PtxError, with `where` in front and the nearest known name as a hint, if a name means nothing."""
    name = located(name)
    if local_gguf(name):
        return
    folder, _ = gguf.parts(name)
    if name.endswith(gguf.ENDING) and not os.path.exists(name):
        if not hub_id(pinned(folder)[0]):
            raise PtxError(f"{where}no file {name}", "check the path; files of a folder are FOLDER:FILE.gguf")
        name = folder
    named, revision = pinned(name)
    if os.path.isfile(name) and not (name in zoo() or ("/" not in name and hub_id(named))):
        raise foreign.file(name, where)
    if name in zoo() or os.path.isdir(name) or (hub_id(named) and (revision or named == name)):
        return
    if named != name and (hub_id(named) or named in zoo() or os.path.isdir(named)):
        what = "has no revisions" if hub_id(named) is None else "is followed by no branch, tag or commit"
        raise PtxError(f"{where}{name}: {named} {what}", f"leave out {name[len(named) :]}")
    if os.path.exists(name) or name.startswith((".", "/", "~")):
        hint = "give the folder that `save_pretrained` wrote, or run `ptx models`"
        if name.startswith("~"):
            hint = f"shells expand ~ only where a word begins: write {os.path.expanduser(name)}"
        raise PtxError(f"{where}no folder {name}", hint)
    if inside := re.search(r"(?:huggingface\.co|hf\.co|^hf:)[/:]?(?://)?([\w.-]+/[\w.-]+)", name):
        raise PtxError(f"{where}{name} is no name of a model", f"give its hub id alone: {inside[1]}")
    close = difflib.get_close_matches(name, [*zoo(), *PAPER, *aliases()], n=1)
    hint = "run `ptx models` for the names, or give a hub id or a model's folder"
    raise PtxError(f"{where}unknown model {name!r}", f"did you mean {close[0]!r}? {hint}" if close else hint)


def pinned(name: str) -> tuple[str, str]:
    """A name without the `@REVISION` behind it, and the revision, empty if there is none that could be one."""
    named, _, revision = name.partition("@")
    return named, revision if REVISION.fullmatch(revision) and ".." not in revision else ""


def hub_id(name: str) -> str | None:
    """The hub id of a name without a revision, if it has one. No id leads out of the hub's cache ("x/..", "a/../b")."""
    if name in PAPER:
        return PAPER[name]
    if HUB_ID.fullmatch(name) and ".." not in name and "--" not in name:
        return name
    return next((f"{organisation}/{name}" for organisation, names in MOVED.items() if name in names.split()), None)


def place(name: str) -> str:
    """One spelling for all names of a folder, a file or a hub's model."""
    name = located(name)
    if file := local_gguf(name):
        return os.path.realpath(file)
    if gguf.parts(name)[1]:
        return name
    named, revision = pinned(name)
    return os.path.realpath(name) if is_folder(name) else f"{hub_id(named) or named}@{revision}"


def is_folder(name: str) -> bool:
    """Whether a name means a folder of the user's: embedded models and aliases come first."""
    return name not in (*zoo(), *PAPER) and os.path.isdir(name)


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


def anchor_models(models: Iterable[str]) -> tuple[list[str], str]:
    """The models whose shared words serve as anchors for a command that names `models`, and a name for that set.

    A set that does not depend on the target keeps encodings reusable: the masked LMs of the zoo or of the paper, and
    their causal LMs if one is named.
    """
    names = list(dict.fromkeys(models))
    for universe, whose in ((zoo(), "the zoo's"), (list(PAPER), "the paper's")):
        if all(name in universe for name in names):
            if any(name.startswith(CAUSAL) for name in names):
                return universe, f"{whose} masked and causal LMs"
            return [name for name in universe if not name.startswith(CAUSAL)], f"{whose} masked LMs"
    return names, "the models of this command"
