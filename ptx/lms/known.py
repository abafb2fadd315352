"""The models that ptx knows by name: those that ship with it, those of the paper, and what the hub moved."""

import functools
from collections.abc import Iterable
from pathlib import Path

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


def zoo() -> list[str]:
    """Names of the embedded models, smallest first."""
    return [*_embedded(ZOO_FOLDER)]


@functools.cache
def _embedded(within: Path) -> tuple[str, ...]:
    """A grid asks for them thousands of times."""
    folders = (path.parent for path in within.glob("*/config.json"))
    return tuple(sorted((folder.name for folder in folders), key=lambda name: (not name.endswith("micro"), name)))


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
