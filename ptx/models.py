"""Which model a name means, and the digests that identify it. Reads files only; nothing heavy is imported.

A name is an embedded model (`bert-micro`), a paper alias (`bert-base`), a hub id (`org/name`) or a folder.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptx.cache import digest, file_digest
from ptx.errors import PtxError

ZOO_FOLDER = Path(__file__).parent / "zoo" / "models"
PAPER = {
    "bert-base": "google-bert/bert-base-cased",
    "bert-large": "google-bert/bert-large-cased",
    "roberta-base": "FacebookAI/roberta-base",
    "roberta-large": "FacebookAI/roberta-large",
    "albert-base": "albert/albert-base-v2",
    "albert-large": "albert/albert-large-v2",
}
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
)
WEIGHT_PATTERNS = ("model*.safetensors", "pytorch_model*.bin")


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
    return _resolve(name, tokenizer_only)


@functools.lru_cache(maxsize=64)
def _resolve(name: str, tokenizer_only: bool) -> Model:
    if (ZOO_FOLDER / name / "config.json").is_file():
        return _from_folder(name, ZOO_FOLDER / name, tokenizer_only)
    if name in PAPER:
        return _from_hub(name, PAPER[name], tokenizer_only)
    if Path(name).is_dir():
        return _from_folder(name, Path(name).absolute(), tokenizer_only)
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return _from_hub(name, name, tokenizer_only)
    raise PtxError(f"unknown model {name!r}", "run `ptx models` for the names, or give a hub id or a model's folder")


def _from_folder(name: str, folder: Path, tokenizer_only: bool) -> Model:
    tokenizer = {file: file_digest(folder / file) for file in TOKENIZER_FILES if (folder / file).is_file()}
    if not tokenizer:
        raise PtxError(f"{folder} has no tokenizer files", "save the tokenizer into it with `save_pretrained`")
    weights: list[Path] = []
    if not tokenizer_only:
        # safetensors win over older formats, as in transformers
        weights = next((found for p in WEIGHT_PATTERNS if (found := sorted(folder.glob(p)))), [])
        if not weights or not (folder / "config.json").is_file():
            raise PtxError(f"{folder} has no config.json or weights", "save the model into it with `save_pretrained`")
        weights = [folder / "config.json", *weights]
    files = {file.name: file_digest(file) for file in weights}
    return Model(name, str(folder), digest({"files": files, "tokenizer": tokenizer}), digest(tokenizer))


def _from_hub(name: str, repo: str, tokenizer_only: bool) -> Model:
    """A hub model at the commit its main branch has now, or that was fetched before when the hub is out of reach."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    patterns = [*TOKENIZER_FILES, "config.json"]
    if not tokenizer_only:
        patterns += ["*.safetensors", "*.safetensors.index.json"]
    try:
        folder = Path(snapshot_download(repo, allow_patterns=patterns))
        if not tokenizer_only and not list(folder.glob("*.safetensors")):
            folder = Path(snapshot_download(repo, allow_patterns=[*patterns, "pytorch_model*.bin*"]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise PtxError(
            f"cannot get {repo} from the hub ({type(error).__name__})",
            "check the name and the network, give a local folder, or use an embedded model: run `ptx models`",
        ) from None
    commit = f"{repo}@{folder.name}"  # snapshots/<commit>
    return Model(name, str(folder), digest({"commit": commit}), digest({"commit": commit, "part": "tokenizer"}))


def anchor_models(models: Iterable[str]) -> tuple[list[str], str]:
    """The models whose shared words serve as anchors for a command that names `models`, and a name for that set.

    A set that does not depend on the target keeps encodings reusable: the whole zoo, or the paper's six models.
    """
    names = list(dict.fromkeys(models))
    embedded = zoo()
    if all(name in embedded for name in names):
        return embedded, "the zoo's masked LMs"
    if all(name in PAPER for name in names):
        return list(PAPER), "the paper's six masked LMs"
    return names, "the models of this command"


def embedding_width(model: Model) -> int:
    """The width of the word embeddings, which ALBERT keeps apart from the hidden width."""
    config = model.config
    return config.get("embedding_size") or config.get("hidden_size") or config["n_embd"]


def card(name: str) -> dict[str, Any]:
    """The card of an embedded model: its data, recipe, seconds, loss and accuracies."""
    return json.loads((ZOO_FOLDER / name / "card.json").read_text("utf-8"))


def catalogue() -> list[dict[str, Any]]:
    """What `ptx models` lists: the embedded models with their figures, then the paper's aliases."""
    rows: list[dict[str, Any]] = []
    for name in zoo():
        about = card(name)
        shape = about["shape"]
        rows.append(
            {
                "name": name,
                "where": "embedded",
                "parameters": about["parameters"],
                "hidden": shape["hidden_size"],
                "embedding": shape.get("embedding_size", shape["hidden_size"]),
                "manual": about.get("accuracy", {}).get("manual"),
                "tuned": about.get("accuracy", {}).get("tuned"),
            }
        )
    return rows + [{"name": alias, "where": repo} for alias, repo in PAPER.items()]
