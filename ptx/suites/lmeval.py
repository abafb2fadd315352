"""Tasks of the lm-evaluation-harness: multiple choice among fixed words, as its YAML files describe them.

An input is what the harness shows a model without examples, to the letter, and an answer the choice behind a space: a
prompt before the text has the accuracy that the harness finds for its adapter.
"""

import ast
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

from ptx.errors import PtxError, first_line, shown
from ptx.suites.hub import read_dataset
from ptx.suites.lines import Bad, NoRows, refuse
from ptx.suites.lmeval_keys import HINT, keys_of, refused
from ptx.suites.reading import read_rows
from ptx.suites.rows import Row, each, spelled
from ptx.suites.task import SPLITS, Fact, Task, check_task_name, share
from ptx.suites.watched import looked_at

TEMPLATE = "[X] [Y]"
DEV_SHARE = 0.1  # of train, where the harness has no split that it leaves alone
FILES = ("json", "csv", "parquet")  # kinds of local files, where other names mean a data set


def read_task(path: Path, bad: Bad = refuse) -> Task:
    """The task of a YAML file. The harness scores its test split, or else its validation split: that is `test` here,
    and dev is the other one, or held out of train. Raises PtxError for what cannot be asked so, by its name."""
    if not path.is_file():
        raise PtxError(f"no file {path}", "give the YAML file of a task: --suite lmeval:FILE.yaml")
    keys = keys_of(path)
    name = keys["task"]
    check_task_name(name, str(path))
    choices = _choices(keys, path)
    fact = _reader(keys, choices, path)
    scored = keys.get("test_split") or keys.get("validation_split")
    if not scored:
        raise refused(path, "it has neither test_split nor validation_split", "name the split that is scored")
    named = {"train": keys.get("training_split"), "test": scored}
    if keys.get("test_split") and keys.get("validation_split"):
        named["dev"] = keys["validation_split"]
    open_split = _source(keys, path, bad)
    splits: dict[str, list[Fact]] = {split: [] for split in SPLITS}
    for source, called in named.items():
        count = len(splits[source])
        for found in each(open_split(called), fact, bad) if called else ():
            held_out = source == "train" and "dev" not in named and share(found.subject) < DEV_SHARE
            splits["dev" if held_out else source].append(found)
        if called and len(splits[source]) == count:
            bad(NoRows(f"{path}: no examples in the split {called}", "check that its file is complete"))
    title = str(keys.get("task_alias") or name)
    facts = {split: tuple(found) for split, found in splits.items()}
    return Task(name, title, TEMPLATE, facts, labels=choices, as_written=True)


def _choices(keys: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    """The words among which answers are. Raises PtxError for choices of another kind."""
    found = keys["doc_to_choice"]
    if isinstance(found, str):
        if not found.lstrip().startswith(("{", "[")):
            raise refused(path, f"doc_to_choice: {found} differs from example to example")
        try:
            found = ast.literal_eval(_compiled(found, path, "doc_to_choice")({}))
        except (PtxError, ValueError, SyntaxError, RecursionError, MemoryError):
            raise refused(path, f"doc_to_choice: {found} is no fixed list of words") from None
    if isinstance(found, dict):
        found = list(found.values())
    if not isinstance(found, list | tuple):
        raise refused(path, f"doc_to_choice: {spelled(found)} is no list of words")
    delimiter = keys.get("target_delimiter", " ") or ""
    words = []
    for choice in found:
        if not isinstance(choice, str):
            raise refused(path, f"doc_to_choice: {spelled(choice)} is no text", "put it in quotes")
        whole = f"{delimiter}{choice}"
        if len(choice.split()) != 1:
            raise refused(path, f"doc_to_choice: {choice!r} is not one word")
        if whole != f" {choice.strip()}":
            what = f"target_delimiter: {delimiter!r} puts {whole!r} behind the text, which is not a space and a word"
            raise refused(path, what)
        words.append(choice.strip())
    if len(set(words)) != len(words) or len(words) < 2:
        raise refused(path, f"doc_to_choice: {', '.join(words)} are not two words or more, each once")
    return tuple(words)


def _reader(keys: Mapping[str, Any], choices: tuple[str, ...], path: Path) -> Callable[[Row], Fact]:
    """What makes a fact of an example; it raises PtxError for one that has no text or none of the choices."""
    form = {key: _form(keys.get(key), path, key) for key in ("description", "doc_to_text", "doc_to_target")}

    def fact(row: Row) -> Fact:
        def said(key: str) -> Any:
            try:
                return form[key](row.values)
            except Exception as error:  # Jinja's own, and whatever its expressions raise
                what = f"{row.where}: {key} of {path.name}: {shown(first_line(error))}"
                raise PtxError(what, f"its columns are {shown(', '.join(map(str, row.values)))}") from None

        text, target = said("doc_to_text"), said("doc_to_target")
        if not isinstance(text, str):
            raise PtxError(f"{row.where}: doc_to_text gives {spelled(text)}, which is no text", HINT)
        text = f"{said('description')}{text}"
        if not text.strip() or text != text.rstrip():
            what = "is empty" if not text.strip() else "ends in a blank, behind which the answer has none of its own"
            raise PtxError(f"{row.where}: what doc_to_text gives {what}", "write it like {{sentence | trim}}")
        Row(row.where, {"doc_to_text": text}).text("doc_to_text")  # is one that files and models can hold
        if isinstance(target, str) and target not in choices and target.isdigit():
            target = int(target)
        if isinstance(target, str) and target in choices:
            return Fact(text, target, row.where)
        if isinstance(target, int) and 0 <= target < len(choices):
            return Fact(text, choices[target], row.where)
        known = f"none of {', '.join(choices)}, or of their numbers from 0"
        raise PtxError(f"{row.where}: doc_to_target gives {spelled(target)}, {known}", "remove the example")

    return fact


def _form(said: Any, path: Path, key: str) -> Callable[[Mapping[str, Any]], Any]:
    """A column of the example, a template that is filled in with its columns, or a number as it stands."""
    if isinstance(said, int):
        return lambda values: said
    if not isinstance(said or "", str):
        raise refused(path, f"{key}: {spelled(said)} is neither a column nor a template")
    if not said:
        return lambda values: ""
    template = _compiled(said, path, key)
    return lambda values: values[said] if said in values else template(values)


def _compiled(text: str, path: Path, key: str) -> Callable[[Mapping[str, Any]], str]:
    """A Jinja template as the harness reads it, without what is drawn at random, and in a sandbox."""
    from jinja2 import StrictUndefined, TemplateSyntaxError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
    del environment.globals["lipsum"], environment.filters["random"]
    try:
        template = environment.from_string(text)
    except TemplateSyntaxError as error:
        raise refused(path, f"{key}: {error.message}") from None

    def filled(values: Mapping[str, Any]) -> str:
        found: str = template.render(**{str(name): value for name, value in values.items()})
        return found

    return filled


def _source(keys: Mapping[str, Any], path: Path, bad: Bad) -> Callable[[str], Generator[Row, None, None]]:
    """What reads a split: of local files, which stand where the harness looks or beside the YAML file, or of a data
    set. Raises PtxError."""
    kind, more = keys["dataset_path"], dict(keys.get("dataset_kwargs") or {})
    more.pop("trust_remote_code", None)  # it is not trusted
    files = more.pop("data_files", None)
    if more:
        raise refused(path, f"dataset_kwargs: {', '.join(map(str, more))}: keys that ptx does not know")
    if kind in FILES:
        by_split = {"train": files} if isinstance(files, str | list) else files
        if not isinstance(by_split, dict):
            raise refused(path, f"dataset_kwargs: data_files of the dataset_path {kind} are missing")

        def of_files(split: str) -> Generator[Row, None, None]:
            if split not in by_split:
                raise refused(path, f"no split {split!r} in data_files", f"its splits are {', '.join(by_split)}")
            for name in by_split[split] if isinstance(by_split[split], list) else [by_split[split]]:
                yield from read_rows(_beside(str(name), path), [], hint=HINT, bad=bad)

        return of_files
    if files:
        raise refused(path, f"dataset_kwargs: data_files belong to the dataset_path {', '.join(FILES)}")
    folder = path.parent / kind
    name = str(folder) if folder.is_dir() and not Path(kind).is_dir() else kind
    dataset = read_dataset(f"{name}:{keys['dataset_name']}" if keys.get("dataset_name") else name)

    def of_dataset(split: str) -> Generator[Row, None, None]:
        return dataset.rows(split, [], HINT, bad)

    return of_dataset


def _beside(name: str, path: Path) -> Path:
    choices = [Path(name).absolute(), path.parent / name]
    for choice in choices:
        looked_at(choice)
    if found := next(filter(Path.is_file, choices), None):
        return found
    raise refused(
        path, f"data_files: no file {name} here or beside it", "write paths of local files, without * in them"
    )
