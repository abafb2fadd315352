"""Fetch from the Hugging Face hub what ptx reads of a model, and say what to do when that fails."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptx.errors import PtxError, first_line
from ptx.lms.weights import FORMATS, shards

TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt",
    "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "spm.model", "tokenizer.model",
    "tiktoken.model", "tekken.json",
)  # fmt: skip
CONFIG_FILES = (*TOKENIZER_FILES, "config.json", "adapter_config.json", "README.md", *(index for _, index in FORMATS))
EMBEDDED = "use an embedded model such as bert-micro (`ptx models` lists them)"


def fetch_config(repo: str, revision: str = "") -> Path:
    """The snapshot's folder, named after its commit: that of a branch, tag or commit, or of main, as it is now, or was
    when it was last fetched if the hub is out of reach. It holds the configuration and the tokenizer.

    Raises PtxError for a model that does not exist, is gated, or is neither cached nor within reach.
    """
    folder: Path = _snapshot(repo, CONFIG_FILES, revision)
    return folder


def fetch_weights(repo: str, folder: Path, revision: str = "") -> None:
    """Fetch the weights of the same commit into a snapshot's folder, in one format only. Raises PtxError likewise."""
    for single, index in FORMATS:
        names = [single] if (folder / single).is_file() else shards(folder / index) or [single]
        _snapshot(repo, names, revision, folder.name)
        if all((folder / name).is_file() for name in names):
            return
    hint = f"run {_download(repo, revision)} where there is a network, or {EMBEDDED}"
    if "gguf" in repo.lower():
        hint = f"name one of its GGUF files, as {repo}:FILE.gguf; or {EMBEDDED}"
    named = f"{repo}@{revision}" if revision else repo
    raise PtxError(f"{named} has no weights for PyTorch, or they are not in the local cache", hint)


def fetch_file(repo: str, name: str, revision: str = "") -> Path:
    """One file of a model. Raises PtxError likewise, and if the model has no such file."""
    file: Path = _snapshot(repo, [name], revision) / name
    if not file.is_file():
        hint = f"see https://huggingface.co/{repo}/tree/{revision or 'main'}; run {_download(repo, revision)} for all"
        raise PtxError(f"{repo} has no file {name}, or it is not in the local cache", hint)
    return file


def fetch_prompt(repo: str, names: Sequence[str], revision: str = "") -> Path:
    """The snapshot's folder with those of these files that a prompt's repository has. Raises PtxError likewise."""
    folder: Path = _snapshot(repo, names, revision, instead="give a prompt's file or folder")
    return folder


def cached_snapshot(repo: str, revision: str = "") -> Path | None:
    """The snapshot's folder that the local cache has for a branch, a tag or a commit, by default for main."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo, repo_type="model")
    ref = folder / "refs" / (revision or "main")
    found = folder / "snapshots" / (ref.read_text("utf-8").strip() if ref.is_file() else revision or "main")
    return found if found.is_dir() else None


@dataclass(frozen=True)
class Size:
    """Bytes of a model's weights, and of all its files that are still to be fetched."""

    whole: int
    missing: int


def size_of(repo: str, revision: str = "") -> Size:
    """How large a model is, of which nothing is fetched. Raises PtxError as fetch_config does."""
    for single, _ in FORMATS:
        stem, ending = single.rsplit(".", 1)
        found = _snapshot(repo, [*CONFIG_FILES, single, f"{stem}-*-of-*.{ending}"], revision, dry_run=True)
        if weights := [file for file in found if file.filename.endswith(f".{ending}") and "/" not in file.filename]:
            break
    sizes = [(file.file_size or 0, file.will_download) for file in found]
    return Size(sum(file.file_size or 0 for file in weights), sum(size for size, missing in sizes if missing))


def cached_revisions(repo: str) -> list[str]:
    """The branches and tags of a model whose files the local cache has, and the commits that have no such name."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo, repo_type="model")
    commits = {path.name for path in folder.glob("snapshots/*")}
    files = [file for file in sorted((folder / "refs").rglob("*")) if file.is_file()]
    refs = {file.relative_to(folder / "refs").as_posix(): file.read_text("utf-8").strip() for file in files}
    return [name for name, commit in refs.items() if commit in commits] + sorted(commits - {*refs.values()})


class OutOfReach(PtxError):
    """A model that may well exist, but is not here."""


def _download(repo: str, revision: str) -> str:
    return f"`hf download {repo}{f' --revision {revision}' if revision else ''}`"


def _snapshot(
    repo: str, files: Sequence[str], revision: str, commit: str | None = None,
    *, dry_run: bool = False, instead: str = EMBEDDED,
) -> Any:  # fmt: skip
    """These files of a model, as far as it has them, with progress on a terminal: their folder, or in a dry run what
    the hub says of each. `commit` is that of the revision, `instead` what else the user can do."""
    import huggingface_hub
    from huggingface_hub import errors
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if not (sys.stderr and sys.stderr.isatty()):  # some services have none
        disable_progress_bars()
    huggingface_hub.logging.set_verbosity_error()  # that older formats are not there, say, is no news
    named = f"{repo}@{revision}" if revision else repo
    try:
        snapshot: Any = huggingface_hub.snapshot_download(
            repo, allow_patterns=list(files), revision=commit or revision or None, dry_run=dry_run
        )
        return snapshot if dry_run else Path(snapshot)
    except errors.GatedRepoError:
        hint = f"accept them at https://huggingface.co/{repo}, then run `hf auth login` or set HF_TOKEN; or {instead}"
        raise PtxError(f"{repo} is gated: the hub gives it only to those who have accepted its terms", hint) from None
    except errors.RepositoryNotFoundError:
        hint = f"check the name at https://huggingface.co/models; for a private one run `hf auth login`; or {instead}"
        raise PtxError(f"the hub has no model {repo}, or it is private", hint) from None
    except errors.RevisionNotFoundError:
        hint = f"choose a branch, tag or commit that https://huggingface.co/{repo}/tree/main shows"
        raise PtxError(f"{repo} has no revision {revision or 'main'!r} on the hub", hint) from None
    except errors.LocalEntryNotFoundError:
        hint = f"run {_download(repo, revision)} once where there is a network, give a local folder, or {instead}"
        if there := [name for name in cached_revisions(repo) if name != (revision or "main")]:
            hint = f"the cache has other revisions, {', '.join(there)}: give {repo}@{there[0]}; or {hint}"
        raise OutOfReach(f"{named} is not (completely) in the local cache, and the hub is out of reach", hint) from None
    except Exception as error:  # the HTTP library's own, a full disk, a damaged cache
        raise PtxError(f"cannot get {named} from the hub: {first_line(error)}", f"try again, or {instead}") from None
