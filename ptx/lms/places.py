"""Which model a name means, as the place where it lies.

A name is, in this order, an embedded model (`bert-micro`), a paper alias (`bert-base`), an alias of the nearest
settings file (`[tool.ptx.models]`), a folder or a GGUF file, or a hub id (`org/name`, or one of the hub's old names
without an organisation, `t5-small`). `@REVISION` behind an alias or a hub id is a branch, a tag or a commit;
`:FILE.gguf` behind a folder or a hub id is that file in it.
"""

import difflib
import os
import re
from pathlib import Path

from ptx.config.nearby import aliases
from ptx.errors import PtxError, UsageError
from ptx.lms import foreign, gguf, hub, weights
from ptx.lms.known import MOVED, PAPER, zoo

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
REVISION = re.compile(r"\w[\w.+-]*(/\w[\w.+-]*)*")


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
