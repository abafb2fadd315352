"""Which model a name means, and the digests that identify it. Reads files only; nothing heavy is imported.

A name is, in this order, an embedded model (`bert-micro`), a paper alias (`bert-base`), a folder or a GGUF file, or a
hub id (`org/name`, or one of the hub's old names without an organisation, `t5-small`). `@REVISION` behind an alias or a
hub id is a branch, a tag or a commit; `:FILE.gguf` behind a folder or a hub id is that file in it. A checkpoint can
bring no code: see `refuse_code`.
"""

import difflib
import functools
import json
import os
import re
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptx.cache import digest, file_digest
from ptx.errors import PtxError
from ptx.lms import foreign, gguf, hub, weights

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
    folders = (path.parent for path in ZOO_FOLDER.glob("*/config.json"))
    return sorted((folder.name for folder in folders), key=lambda name: (not name.endswith("micro"), name))


def resolve(name: str, *, tokenizer_only: bool = False) -> Model:
    """Find a model by name. With `tokenizer_only` a hub model's weights are neither fetched nor part of the digest.

    Raises PtxError for a name that means nothing, or a folder without the files of a model.
    """
    if file := gguf_file(name):
        folder, key = gguf.dequantised(name, file)
        return Model(name, str(folder), key, digest({"gguf": key, "part": "tokenizer"}))
    try:
        return _resolve(name, tokenizer_only, weights.stamp(Path(name)) if is_folder(name) else ())
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
    close = difflib.get_close_matches(name, [*zoo(), *PAPER], n=1)
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
def _resolve(name: str, tokenizer_only: bool, stamp: tuple[Any, ...]) -> Model:
    """`stamp` is what changes with the files of a folder, so that it is read again."""
    check_name(name)
    if name in zoo():
        return _from_folder(name, ZOO_FOLDER / name, tokenizer_only)
    if is_folder(name):
        return _from_folder(name, Path(name).absolute(), tokenizer_only)
    named, revision = pinned(name)
    repo = hub_id(named)
    assert repo is not None
    folder = hub.fetch_config(repo, revision)
    refuse_code(name, folder)
    if not tokenizer_only:
        hub.fetch_weights(repo, folder, revision)
    commit = f"{repo}@{folder.name}"  # snapshots/<commit>
    return Model(name, str(folder), digest({"commit": commit}), digest({"commit": commit, "part": "tokenizer"}))


def _from_folder(name: str, folder: Path, tokenizer_only: bool) -> Model:
    """A model by the digests of its files. Links in the folder are followed: the hub's own cache is made of them."""
    refuse_code(name, folder)
    tokenizer = {file: file_digest(folder / file) for file in hub.TOKENIZER_FILES if (folder / file).is_file()}
    if not tokenizer:
        raise foreign.incomplete(name, foreign.TOKENIZER)
    if "tokenizer_class" not in weights.read_json(folder / "tokenizer_config.json"):
        # transformers then goes by the model's type
        tokenizer["model_type"] = str(weights.read_json(folder / "config.json").get("model_type"))
    files: list[Path] = []
    if not tokenizer_only:
        found = weights.weight_files(folder)
        if not found or not (folder / "config.json").is_file():
            raise foreign.incomplete(name, "config.json or weights")
        files = [folder / "config.json", *found]
    digests = {file.name: file_digest(file) for file in files}
    return Model(name, str(folder), digest({"files": digests, "tokenizer": tokenizer}), digest(tokenizer))


def refuse_code(name: str, folder: Path) -> None:
    """Raise PtxError for a checkpoint that wants its own Python code to run, or that is an adapter of another model."""
    for file in ("config.json", "tokenizer_config.json"):
        if weights.read_json(folder / file).get("auto_map"):
            raise PtxError(
                f"{name} brings code of its own (auto_map in {file}), which ptx never runs",
                "choose a checkpoint that transformers reads by itself; if it has a class for this model type, "
                "remove auto_map in a local copy and give that folder",
            )
    if error := foreign.adapter(name, folder):
        raise error


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
