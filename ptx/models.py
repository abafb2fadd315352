"""Which model a name means, and the digests that identify it. Reads files only; nothing heavy is imported.

A name is an embedded model (`bert-micro`), a paper alias (`bert-base`), a hub id (`org/name`) or a folder.
"""

from __future__ import annotations

import difflib
import functools
import json
import math
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
    "gpt2-small": "openai-community/gpt2",
    "gpt2-medium": "openai-community/gpt2-medium",
    "gpt2-large": "openai-community/gpt2-large",
}
# Which embedded model takes the place of the paper's in a miniature; the zoo has no third size.
STAND_INS: dict[str, str | None] = {
    "bert-base": "bert-micro",
    "bert-large": "bert-mini",
    "roberta-base": "roberta-micro",
    "roberta-large": "roberta-mini",
    "albert-base": "albert-micro",
    "albert-large": "albert-mini",
    "gpt2-small": "gpt2-micro",
    "gpt2-medium": "gpt2-mini",
    "gpt2-large": None,
}
CAUSAL = "gpt2"  # how the names of the causal LMs among these, and in the zoo, begin
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


def check_name(name: str, where: str = "") -> None:
    """Raise PtxError, with `where` in front and the nearest known name as a hint, if a name means nothing."""
    known = [*zoo(), *PAPER]
    if name in known or Path(name).is_dir() or (name.count("/") == 1 and not name.startswith((".", "/", "~"))):
        return
    close = difflib.get_close_matches(name, known, n=1)
    hint = "run `ptx models` for the names, or give a hub id or a model's folder"
    raise PtxError(f"{where}unknown model {name!r}", f"did you mean {close[0]!r}? {hint}" if close else hint)


@functools.lru_cache(maxsize=64)
def _resolve(name: str, tokenizer_only: bool) -> Model:
    check_name(name)
    if (ZOO_FOLDER / name / "config.json").is_file():
        return _from_folder(name, ZOO_FOLDER / name, tokenizer_only)
    if name in PAPER:
        return _from_hub(name, PAPER[name], tokenizer_only)
    if Path(name).is_dir():
        return _from_folder(name, Path(name).absolute(), tokenizer_only)
    return _from_hub(name, name, tokenizer_only)


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

    patterns = [*TOKENIZER_FILES, "config.json", "README.md"]
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


def embedding_width(model: Model) -> int:
    """The width of the word embeddings, which ALBERT keeps apart from the hidden width."""
    config = model.config
    return config.get("embedding_size") or config.get("hidden_size") or config["n_embd"]


def card(name: str) -> dict[str, Any]:
    """The card of an embedded model: its data, recipe, seconds, loss and accuracies."""
    return json.loads((ZOO_FOLDER / name / "card.json").read_text("utf-8"))


def describe(name: str) -> dict[str, Any]:
    """A row of Table 4 from a model's files and card: `name`, `parameters`, `hidden`, `embedding`, `task`, `data`."""
    model = resolve(name)
    config = model.config
    if name in zoo():
        about = card(name)
        data = f"{about['sentences']:,} sentences of the facts suite"
    else:
        data = ", ".join(_data_of(Path(model.path))) or "not in its card"
    causal = any(kind.endswith(("ForCausalLM", "LMHeadModel")) for kind in config.get("architectures") or ())
    return {
        "name": name,
        "parameters": _parameters(Path(model.path)),
        "hidden": config.get("hidden_size") or config["n_embd"],
        "embedding": embedding_width(model),
        "task": "causal LM" if causal else "masked LM",
        "data": data,
    }


def _parameters(folder: Path) -> int | None:
    """How many numbers the safetensors files hold, by their headers; None for older formats."""
    count = 0
    for file in folder.glob("*.safetensors"):
        with file.open("rb") as content:
            header = json.loads(content.read(int.from_bytes(content.read(8), "little")))
        count += sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    return count or None


def _data_of(folder: Path) -> list[str]:
    """The training data that a hub model's card names."""
    if not (folder / "README.md").is_file():
        return []
    from huggingface_hub import ModelCard

    found = ModelCard.load(folder / "README.md").data.datasets or []
    return [found] if isinstance(found, str) else list(found)


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
