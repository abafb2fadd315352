"""Which words are one token in every model: what `ptx words` says."""

from collections.abc import Sequence
from typing import Any

from ptx.errors import UsageError


def one_token(models: Sequence[str], words: Sequence[str]) -> list[dict[str, Any]]:
    """For each word and model "yes", the tokens that it is, or which other word is the same token; whether it is one in
    all of them. Raises UsageError without a model."""
    from ptx.lms.embeddings import tokenizer_of
    from ptx.lms.models import resolve
    from ptx.transfer.words import spellings

    if not (names := list(dict.fromkeys(models))):
        raise UsageError("--models names no model", "write it like --models bert-micro,roberta-micro")
    asked = list(dict.fromkeys(words))
    found = {name: spellings(tokenizer_of(resolve(name, tokenizer_only=True)), asked) for name in names}
    rows = [{"word": word, **{name: own[word] for name, own in found.items()}} for word in asked]
    return [{**row, "all": "yes" if all(row[name] == "yes" for name in names) else "no"} for row in rows]
