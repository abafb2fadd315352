"""The paper's protocol, and where measured cells differ from it, as `--compare` lists it.

What the paper leaves open is as in the authors' code, by which its numbers were made, and in OptiPrompt's.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ptx.cache import Artifact, Store
from ptx.paper.cells import CLASSIFICATION
from ptx.results.collect import Result, result_of
from ptx.suites import OPTIPROMPT

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "tuning": {
        "tune.prompt_length": 5, "tune.layout": "postfix", "tune.init": "random", "tune.init_scale": "paper",
        "tune.epochs": 10, "tune.batch_size": 16, "tune.lr": 3e-3, "tune.schedule": "linear", "tune.warmup": 0.1,
        "tune.optimizer": "optiprompt", "tune.patience": 0, "tune.dtype": "float32",
    },
    "anchors": {"encode.top_k": 8192},
    "search": {
        "search.solver": "ptfer", "search.mask": "both", "search.steps": 2000, "search.lr": 5e-3,
        "search.select": "dev", "search.normalize": True,
    },
    "scoring": {"eval.split": "test"},
}  # fmt: skip
# Of common_vocab_cased_be_ro_al.txt, OptiPrompt's list of 17,230 words for BERT, RoBERTa and ALBERT.
WORDS = "44380080ff08ca64de6efe566ef82d497ff81416bf3c1a472a99b2f427c043f6"
ALWAYS = (  # what no setting changes in tuning
    "no dropout, facts shuffled, dev facts scored after each epoch and among all tokens (there dropout, facts in their "
    "order, three times an epoch, among the shared words)"
)


def labelled(evals: Iterable[Artifact]) -> bool:
    """Whether labels of the target chose some of the prompts."""
    return any(of.meta["config"].get("search", {}).get("select") == "dev" for of in evals)


def differences(evals: Sequence[Artifact], store: Store) -> list[str]:
    """A line for each part of the protocol that some of these evaluations do not follow: ours, theirs in brackets."""
    results = [result_of(artifact) for artifact in evals]
    told = {part: [_difference(name, theirs, results) for name, theirs in of.items()] for part, of in SETTINGS.items()}
    told["anchors"].append(_words(results, store))
    if any("tune.epochs" in r.settings for r in results):
        told["tuning"].append(ALWAYS)
    if other := sorted({r.labels["suite"] for r in results if not _is_theirs(r.labels["suite"])}):
        told = {"data": [f"{', '.join(other)} (there LAMA's TREx, tuned on AutoPrompt's facts)"], **told}
    lines = {part: ", ".join(filter(None, texts)) for part, texts in told.items()}
    return [f"not as in the paper, {part}: {line}" for part, line in lines.items() if line]


def _is_theirs(suite: str) -> bool:
    return Path(suite).name == OPTIPROMPT or suite.split(":")[0] in CLASSIFICATION


def _difference(name: str, theirs: Any, results: Sequence[Result]) -> str:
    ours = dict.fromkeys(str(r.settings[name]) for r in results if r.settings.get(name, theirs) != theirs)
    return f"{name.split('.')[-1]} {' and '.join(ours)} (there {theirs})" if ours else ""


def _words(results: Sequence[Result], store: Store) -> str:
    """Whether answers are among the words of the published list, each of them."""
    sets = [store.read("anchors", key) for key in {r.settings["words"] for r in results} - {"labels"}]
    counts = sorted({f"{a.meta['metrics']['count']:,}" for a in sets if a and not _is_published(a)})
    return f"words {' and '.join(counts)} (there a list of 17,230, each kept)" if counts else ""


def _is_published(words: Artifact) -> bool:
    return words.meta["inputs"].get("words") == WORDS and bool(words.meta["config"]["anchors"].get("keep_words"))
