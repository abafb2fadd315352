"""The TOML file that describes a classification suite.

name = "reviews"                            # the task's name; the file's folder by default
title = "sentiment of a review"
template = "[X] All in all , it was [Y] ."  # manual; causal LMs need [Y] at the end
text = ["headline", "body"]                 # a column or several, which are joined by a space
label = "stars"                             # the column of the label
words = { 1 = "bad", 5 = "good" }           # label = word, or a list of words, one a label
names = ["NEG", "POS"]                      # for a list: what labels may be called instead of by word or number
first = { bare = 1, named = 0 }             # for a list: the first label's number in files without a header, and in
                                            # files that name their columns; 0 by default
files = { train = "train.csv", test = "test" }  # without an ending: .tsv, .csv, .jsonl, the first that exists
columns = ["stars", "headline", "body"]     # for CSV and TSV files without a header
dev_share = 0.1                             # the part of train held out by a hash of the text; only without a dev file
limit = { train = 2000 }                    # at most so many of a split, by that hash, spread over the labels
dataset = "org/reviews"                     # a data set of the Hugging Face hub, NAME or NAME:CONFIG, instead of files
                                            # in this folder; `files` then names its splits
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptx.errors import PtxError
from ptx.suites.lines import shown, text_lines
from ptx.suites.task import SPLITS

TYPES: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "title": (str,),
    "template": (str,),
    "text": (str, list),
    "label": (str,),
    "words": (dict, list),
    "names": (list,),
    "first": (dict,),
    "files": (dict,),
    "columns": (list,),
    "dev_share": (float,),
    "limit": (dict,),
    "dataset": (str,),
    "folder": (str,),  # presets only: what the folder of the data is called where it is distributed
}
REQUIRED = ("template", "text", "label", "words", "files")
SPELLED = {str: "a string", list: "a list of strings", dict: "a table", float: "a number"}


@dataclass(frozen=True)
class Description:
    """A description as read, every key checked. `bare` and `named` map a label as it is written to its word."""

    path: Path
    name: str
    title: str
    template: str
    text: tuple[str, ...]
    label: str
    words: tuple[str, ...]
    bare: Mapping[str, str]
    named: Mapping[str, str]
    files: Mapping[str, str]
    columns: tuple[str, ...]
    dev_share: float
    limit: Mapping[str, int]
    folder: str
    dataset: str


def read_description(path: Path) -> Description:
    """A suite's TOML file. Raises PtxError naming the file and the key that is wrong."""
    try:
        raw = tomllib.loads("".join(text_lines(path)))
    except RecursionError:
        raise PtxError(f"{path}: nested too deeply", "see https://toml.io for how TOML is written") from None
    except ValueError as error:  # tomllib's, and that of a number of thousands of digits
        raise PtxError(f"{path}: {shown(str(error))}", "see https://toml.io for how TOML is written") from None
    _check_keys(path, "", raw, TYPES)
    for key in REQUIRED:
        if key not in raw:
            raise PtxError(f"{path}: no {key}", f"a suite of texts to classify needs {', '.join(REQUIRED)}")
    for key, value in raw.items():
        _check_type(path, key, value)
    for key, known in (("files", SPLITS), ("limit", SPLITS), ("first", ("bare", "named"))):
        _check_keys(path, f"{key}.", raw.get(key, {}), known)
    name = raw.get("name", path.parent.name)
    text = [raw["text"]] if isinstance(raw["text"], str) else raw["text"]
    bare, named = _labels(path, raw)
    _check_values(path, raw, text)
    return Description(
        path=path,
        name=name,
        title=raw.get("title", name),
        template=raw["template"],
        text=tuple(text),
        label=raw["label"],
        words=tuple(dict.fromkeys(bare.values())),
        bare=bare,
        named=named,
        files=raw["files"],
        columns=tuple(raw.get("columns", ())),
        dev_share=0.0 if "dev" in raw["files"] else raw.get("dev_share", 0.1),
        limit=raw.get("limit", {}),
        folder=raw.get("folder", ""),
        dataset=raw.get("dataset", ""),
    )


def _check_keys(path: Path, prefix: str, found: Collection[str], known: Collection[str]) -> None:
    for key in found:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"its keys are {', '.join(known)}"
            raise PtxError(f"{path}: unknown key {prefix}{shown(key)}", hint)


def _check_type(path: Path, key: str, value: Any) -> None:
    number = isinstance(value, int) and not isinstance(value, bool)
    strings = not isinstance(value, list) or (value and all(isinstance(item, str) for item in value))
    if not (isinstance(value, TYPES[key]) or (float in TYPES[key] and number)) or not strings:
        raise PtxError(
            f"{path}: {key} = {shown(repr(value))}", f"it is {' or '.join(SPELLED[kind] for kind in TYPES[key])}"
        )
    for name, item in value.items() if isinstance(value, dict) else ():
        if key in ("words", "files"):
            fits, hint = isinstance(item, str), "it is a string"
        elif key == "limit":
            fits, hint = type(item) is int and item > 0, "it is a whole number above 0"
        else:
            fits, hint = type(item) is int, "it is a whole number"
        if not fits:
            raise PtxError(f"{path}: {key}.{shown(name)} = {shown(repr(item))}", hint)


def _check_values(path: Path, raw: dict[str, Any], text: list[str]) -> None:
    template = raw["template"]
    if template.count("[X]") != 1 or template.count("[Y]") != 1:
        hint = 'write it like "[X] All in all , it was [Y] ."'
        raise PtxError(f"{path}: the template {template!r} needs one [X] and one [Y]", hint)
    if "train" not in raw["files"]:
        raise PtxError(f"{path}: no files.train", 'name the file of each split, such as files = { train = "train" }')
    if "dev_share" in raw and "dev" in raw["files"]:
        raise PtxError(f"{path}: both dev_share and files.dev", "leave one of them out")
    if not 0 < raw.get("dev_share", 0.1) < 1:
        raise PtxError(f"{path}: dev_share = {raw['dev_share']}", "it is a number between 0 and 1")
    for column in [*text, raw["label"]] if "columns" in raw else ():
        if column not in raw["columns"]:
            raise PtxError(f"{path}: columns lacks {column!r}", "name all columns of the files in their order")


def _labels(path: Path, raw: dict[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Label -> word, for files without a header and for others. Raises PtxError for words that cannot tell labels."""
    words = raw["words"]
    owners: dict[str, Any] = {}
    for label, word in words.items() if isinstance(words, dict) else enumerate(words):
        if len(word.split()) != 1 or word != word.strip():
            raise PtxError(f"{path}: the label word {word!r} is not one word", "choose one word for each label")
        if word in owners:
            raise PtxError(f"{path}: labels {owners[word]} and {label} have one word, {word!r}", "give each its own")
        owners[word] = label
    if len(owners) < 2:
        raise PtxError(f"{path}: words has fewer than two labels", "name every label and its word")
    if isinstance(words, dict):
        if extra := [key for key in ("names", "first") if key in raw]:
            raise PtxError(
                f"{path}: {extra[0]} goes with a list of words", "name the labels in words, or make it a list"
            )
        return words, words
    names = raw.get("names", words)
    if len(set(names)) != len(words):
        raise PtxError(
            f"{path}: {len(set(names))} names for {len(words)} words", "name each label once, in their order"
        )
    first = {"bare": 0, "named": 0} | raw.get("first", {})
    called = dict(zip(words, words, strict=True)) | dict(zip(names, words, strict=True))
    bare, named = ({str(i): word for i, word in enumerate(words, first[kind])} | called for kind in ("bare", "named"))
    return bare, named
