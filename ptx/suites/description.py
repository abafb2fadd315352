"""The TOML file that describes a classification suite: `Keys` has its keys, and what they are for.

Editors complete and check them by the JSON Schema that `ptx recipe --schema` prints.
"""

import functools
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from typing import Any

from ptx.config.validation import read_toml, validated
from ptx.errors import PtxError
from ptx.suites.lines import text_lines
from ptx.suites.task import check_template

Texts = tuple[str, ...]
ONLY_THESE = {"extra": "forbid"}


def key(description: str, default: Any = MISSING, **limits: Any) -> Any:
    """A key, with what editors say about it, and pydantic's limits of its value."""
    return field(default=default, metadata={"description": description} | limits)


@dataclass(frozen=True)
class Files:
    """By split."""

    __pydantic_config__ = ONLY_THESE
    train: str = key("what is tuned on")
    dev: str = key("what epochs are chosen on; a part of train by default", "")
    test: str = key("what is scored", "")


@dataclass(frozen=True)
class Limit:
    """By split."""

    __pydantic_config__ = ONLY_THESE
    train: int | None = key("of train, without what is held out as dev", None, gt=0)
    dev: int | None = key("of dev", None, gt=0)
    test: int | None = key("of test", None, gt=0)


@dataclass(frozen=True)
class First:
    """By kind of file."""

    __pydantic_config__ = ONLY_THESE
    bare: int = key("in files without a header", 0)
    named: int = key("in files that name their columns", 0)


@dataclass(frozen=True)
class Keys:
    """A classification suite of ptx."""

    __pydantic_config__ = ONLY_THESE
    template: str | Texts = key(
        'manual prompt, as "[X] All in all , it was [Y] ."; causal LMs need [Y] at the end. Of a list it is the first; '
        "the words of all are texts that a prompt may start from",
        min_length=1,
    )
    text: str | Texts = key("a column or several, which are joined by a space", min_length=1)
    label: str = key("the column of the label")
    words: dict[str, str] | Texts = key("label = word, or a list of words, one a label")
    files: Files = key("of each split; without an ending: .tsv, .csv, .jsonl, the first that exists")
    name: str = key("the task's name; the file's folder by default", "")
    title: str = key("the task's name for people", "")
    names: Texts = key("for a list of words: what labels may be called but by word or number", (), min_length=1)
    first: First | None = key("for a list of words: the first label's number", None)
    columns: Texts = key("of CSV and TSV files without a header, in their order", (), min_length=1)
    dev_share: float | None = key(
        "the part of train held out by a hash of the text, 0.1 by default; only without a dev file", None, gt=0, lt=1
    )
    limit: Limit = key("at most so many of a split, by that hash, spread over the labels", Limit())
    dataset: str = key("a data set of the Hugging Face hub, NAME or NAME:CONFIG, whose splits `files` then names", "")
    folder: str = key("presets only: what the folder of the data is called where it is distributed", "")

    def __post_init__(self) -> None:
        for text in self.templates:
            check_template(text)
        if self.dev_share is not None and self.files.dev:
            raise PtxError("both dev_share and files.dev", "leave one of them out")
        for column in [*self.texts, self.label] if self.columns else ():
            if column not in self.columns:
                raise PtxError(f"columns lacks {column!r}", "name all columns of the files in their order")
        owners: dict[str, str | int] = {}
        for label, word in self.words.items() if isinstance(self.words, dict) else enumerate(self.words):
            if len(word.split()) != 1 or word != word.strip():
                raise PtxError(f"the label word {word!r} is not one word", "choose one word for each label")
            if word in owners:
                raise PtxError(f"labels {owners[word]} and {label} have one word, {word!r}", "give each its own")
            owners[word] = label
        if len(owners) < 2:
            raise PtxError("words has fewer than two labels", "name every label and its word")
        if isinstance(self.words, dict) and (self.names or self.first):
            odd = "names" if self.names else "first"
            raise PtxError(f"{odd} goes with a list of words", "name the labels in words, or make it a list")
        if self.names and len(names := set(self.names)) != len(owners):
            raise PtxError(f"{len(names)} names for {len(owners)} words", "name each label once, in their order")

    @property
    def templates(self) -> Texts:
        return (self.template,) if isinstance(self.template, str) else self.template

    @property
    def texts(self) -> Texts:
        return (self.text,) if isinstance(self.text, str) else self.text

    @functools.cached_property
    def bare(self) -> dict[str, str]:
        """A label as it is written in files without a header -> its word."""
        return self._labels(self.first.bare if self.first else 0)

    @functools.cached_property
    def named(self) -> dict[str, str]:
        """The same in files that name their columns."""
        return self._labels(self.first.named if self.first else 0)

    def _labels(self, first: int) -> dict[str, str]:
        if isinstance(self.words, dict):
            return self.words
        numbered = {str(number): word for number, word in enumerate(self.words, first)}
        called = dict(zip(self.names or self.words, self.words, strict=True))
        return numbered | {word: word for word in self.words} | called


def read_description(path: Path) -> Keys:
    """A suite's TOML file. Raises PtxError naming the file and the key that is wrong."""
    hint = "see https://toml.io for how TOML is written"
    return validated(Keys, read_toml(path, hint, "".join(text_lines(path))), str(path))
