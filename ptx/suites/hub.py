"""Data sets of the Hugging Face hub, or local folders that its `datasets` library reads. An optional extra.

Nothing is ever executed: loading scripts are refused. Nothing of the hub's state enters a key but the records.
"""

import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptx.errors import PtxError, first_line, shown
from ptx.suites.asked import parted
from ptx.suites.facts import SPLIT_NAMES, SPLIT_OF, USUAL, Columns, tasks_of
from ptx.suites.folders import files_in
from ptx.suites.lines import Bad, refuse
from ptx.suites.rows import Row
from ptx.suites.task import SPLITS, Task
from ptx.suites.watched import looked_at

PREFIX = "hf:"
CARDS = ("README.md", ".huggingface.yaml")  # where a folder may say which files it is made of
# LAMA's data set on the hub names the relation so.
TASK_COLUMNS = ("task", "predicate_id")


@dataclass(frozen=True)
class Dataset:
    """A loaded data set: `splits` are the library's objects by name."""

    source: str
    splits: Mapping[str, Any]

    def rows(self, split: str, columns: Sequence[str], hint: str, bad: Bad = refuse) -> Generator[Row, None, None]:
        """The rows of a split (train, dev, test, or its own name). Raises PtxError if it or a column is missing."""
        name = self.find(split)
        if name is None:
            known = ", ".join(self.splits)
            raise PtxError(f"{self.source}: no split {split!r}", f"its splits are {known}; name one of them in files")
        found = self.splits[name]
        for column in columns:
            if column not in found.column_names:
                known = ", ".join(found.column_names)
                raise PtxError(f"{self.source}: no column {column!r} in {known}", hint)
        for number, values in enumerate(found, start=1):
            where = f"{self.source}:{name}:{number}"
            if (empty := next((column for column in columns if values[column] is None), None)) is not None:
                bad(PtxError(f"{where}: {empty} is null", hint))
            else:
                yield Row(where, values)

    def find(self, split: str) -> str | None:
        """What the data set calls a split, or None."""
        return next(
            (name for name in (split, *SPLIT_NAMES.get(SPLIT_OF.get(split, split), ())) if name in self.splits), None
        )


def asks_hub(suite: str) -> bool:
    """Whether a suite's name means a data set that only the hub has."""
    _, found, text = f":{parted(suite)[0]}".rpartition(f":{PREFIX}")
    return bool(found) and not Path(text.partition(":")[0]).is_dir()


def read_dataset(text: str) -> Dataset:
    """Load `NAME[:CONFIG]`, NAME on the hub or a local folder of CSV, JSON or Parquet files.

    Raises PtxError if the extra is not installed, or the data set cannot be loaded (unknown, offline, a script).
    """
    try:
        import datasets
    except ImportError:
        raise PtxError(f"{PREFIX}{text} needs the datasets library", "run `pip install datasets`") from None
    name, _, config = text.partition(":")
    if not (sys.stderr and sys.stderr.isatty()):  # some services have none
        datasets.disable_progress_bars()
    source, more = Path(name), dict[str, Any]()
    if source.is_dir():  # the library would take a rewritten file of the same time for the one that it knows
        for file in (*files_in(source.absolute(), lambda said: None), *(source.absolute() / name for name in CARDS)):
            looked_at(file)
        _check_stays_inside(source)
        name, more = str(source.absolute()), {"download_mode": "force_redownload"}
    try:
        loaded = datasets.load_dataset(name, config or None, **more)
    except Exception as error:  # the library raises most kinds, and its readers' own
        raise PtxError(
            f"cannot load the data set {text!r}: {first_line(error.__cause__ or error)}",
            "check the name (hf:NAME or hf:NAME:CONFIG), its columns, and the network; or give a local folder of its "
            "CSV, JSON or Parquet files: hf:FOLDER",
        ) from None
    return Dataset(f"{PREFIX}{text}", dict(loaded))


def _check_stays_inside(folder: Path) -> None:
    """Raise PtxError for a folder that is made of files elsewhere, or on the network: it may be a stranger's, and of
    those files nobody sees a change."""
    for card in CARDS:
        for name in _named(folder / card):
            if "://" in name or "::" in name or ".." in Path(name).parts or Path(name).is_absolute():
                what = f"{folder / card} names files that are not in its folder: {shown(name)}"
                raise PtxError(what, "copy them into it, and name them there; or give the file itself")


def _named(card: Path) -> Iterator[str]:
    """What a card says of files, in any of the ways that there are. One that cannot be read is the library's to
    name."""
    import yaml
    from huggingface_hub import DatasetCard

    if not card.is_file():
        return
    try:
        read = DatasetCard.load(card).data.to_dict if card.suffix == ".md" else None
        content = read() if read else yaml.safe_load(card.read_text("utf-8"))
    except Exception:
        return
    configs = content.get("configs") if isinstance(content, dict) else None
    waiting = [of.get(key) for of in configs or () if isinstance(of, dict) for key in ("data_files", "data_dir")]
    for value in waiting:  # grows while it is read
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            waiting.extend(value.values() if isinstance(value, dict) else value)


def read_hub_facts(text: str, bad: Bad = refuse, columns: Columns = USUAL) -> Iterator[Task]:
    """The facts of a data set with the columns sub_label and obj_label, and optionally task (or LAMA's predicate_id),
    split and template. A data set of one split is split by a hash of the subject, as a file is."""
    dataset = read_dataset(text)
    hint = f"facts need {columns.subject} and {columns.object} (or name yours with --columns); describe texts to "
    hint += "classify in a suite.toml with dataset = "
    hint += f'"{text}", or use a preset: sst2:{PREFIX}{text}'
    named = {split: name for split in SPLITS if (name := dataset.find(split))} if len(dataset.splits) > 1 else {}
    if not named and len(dataset.splits) > 1:
        known = ", ".join(dataset.splits)
        raise PtxError(f"{dataset.source}: no split is called train, validation or test, only {known}", hint)

    def rows() -> Generator[Row, None, None]:
        for split, name in named.items() or ((None, next(iter(dataset.splits))),):
            for row in dataset.rows(name, columns.needed, hint, bad):
                names = (columns.task, *TASK_COLUMNS)
                task = next((row.values[c] for c in names if row.values.get(c) is not None), None)
                yield Row(row.where, {**row.values, columns.task: task} | ({columns.split: split} if split else {}))

    yield from tasks_of(rows(), Path(text.partition(":")[0]).name, dataset.source, {}, bad, columns)
