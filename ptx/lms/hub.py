"""Fetch from the Hugging Face hub what ptx reads of a model, and say what to do when that fails."""

import sys
from collections.abc import Sequence
from pathlib import Path

from ptx.errors import PtxError, first_line
from ptx.lms.weights import FORMATS, shards

TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt",
    "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "spm.model", "tokenizer.model",
    "tiktoken.model", "tekken.json",
)  # fmt: skip
CONFIG_FILES = (*TOKENIZER_FILES, "config.json", "README.md", *(index for _, index in FORMATS))
EMBEDDED = "use an embedded model such as bert-micro (`ptx models` lists them)"


def fetch_config(repo: str) -> Path:
    """The snapshot's folder, named after its commit: the one that main has now, or had when it was last fetched if
    the hub is out of reach. It holds the configuration and the tokenizer.

    Raises PtxError for a model that does not exist, is gated, or is neither cached nor within reach.
    """
    return _snapshot(repo, CONFIG_FILES)


def fetch_weights(repo: str, folder: Path) -> None:
    """Fetch the weights of the same commit into a snapshot's folder, in one format only. Raises PtxError likewise."""
    for single, index in FORMATS:
        names = [single] if (folder / single).is_file() else shards(folder / index) or [single]
        _snapshot(repo, names, folder.name)
        if all((folder / name).is_file() for name in names):
            return
    hint = f"run `hf download {repo}` where there is a network, or {EMBEDDED}"
    raise PtxError(f"{repo} has no weights for PyTorch, or they are not in the local cache", hint)


def _snapshot(repo: str, files: Sequence[str], revision: str | None = None) -> Path:
    """These files of a model, as far as it has them, with progress on a terminal."""
    import huggingface_hub
    from huggingface_hub import errors
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    huggingface_hub.logging.set_verbosity_error()  # that older formats are not there, say, is no news
    try:
        return Path(huggingface_hub.snapshot_download(repo, allow_patterns=list(files), revision=revision))
    except errors.GatedRepoError:
        hint = f"accept them at https://huggingface.co/{repo}, then run `hf auth login` or set HF_TOKEN; or {EMBEDDED}"
        raise PtxError(f"{repo} is gated: the hub gives it only to those who have accepted its terms", hint) from None
    except errors.RepositoryNotFoundError:
        hint = f"check the name at https://huggingface.co/models; for a private one run `hf auth login`; or {EMBEDDED}"
        raise PtxError(f"the hub has no model {repo}, or it is private", hint) from None
    except errors.LocalEntryNotFoundError:
        hint = f"run `hf download {repo}` once where there is a network, give a local folder, or {EMBEDDED}"
        raise PtxError(f"{repo} is not (completely) in the local cache, and the hub is out of reach", hint) from None
    except Exception as error:  # the HTTP library's own, a full disk, a damaged cache
        raise PtxError(f"cannot get {repo} from the hub: {first_line(error)}", f"try again, or {EMBEDDED}") from None
