"""Reader of classification suites: texts with labels, as a TOML file describes them (see description.py)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

from ptx.errors import PtxError
from ptx.suites.description import Description, read_description
from ptx.suites.hub import Dataset, read_dataset
from ptx.suites.lines import Bad, refuse, shown
from ptx.suites.rows import FORMATS, Row, read_rows, spelled
from ptx.suites.task import SPLITS, Fact, Task, check_task_name, share

PRESETS = {path.stem: path for path in sorted((Path(__file__).parent / "presets").glob("*.toml"))}


def read_classification(description: Path, folder: Path, dataset: str = "", bad: Bad = refuse) -> Task:
    """The task that a TOML file describes, of the data in a folder, or in a dataset `NAME[:CONFIG]` of the hub. A split
    without a file is empty, but for dev, which is held out of train.

    Raises PtxError for a wrong key, a missing file, and a line that cannot be read or lacks a text or label word (those
    go to `bad`, see lines.py).
    """
    described = read_description(description)
    check_task_name(described.name, str(description))
    splits: dict[str, list[Fact]] = {split: [] for split in SPLITS}
    if described.dataset and not dataset:
        beside = folder / described.dataset
        dataset = str(beside) if beside.is_dir() else described.dataset
    hub = read_dataset(dataset) if dataset else None
    for source in described.files:
        for fact in _facts(described, _rows(described, folder, source, hub, bad), bad):
            held_out = source == "train" and share(fact.subject) < described.dev_share
            split = "dev" if held_out else source
            splits[split].append(fact)
            limit = described.limit.get(split)
            if limit and len(splits[split]) == 4 * limit:  # what this leaves out, later texts do not bring back in
                splits[split] = spread(splits[split], limit)
    facts = {s: tuple(spread(f, described.limit[s]) if s in described.limit else f) for s, f in splits.items()}
    return Task(described.name, described.title, described.template, facts, labels=described.words)


def spread(facts: Iterable[Fact], limit: int) -> list[Fact]:
    """At most `limit` facts, the first by a hash of the text, taken from each label in turn.

    Their order in the file does not matter.
    """
    by_label: dict[str, list[Fact]] = {}
    for fact in sorted(facts, key=lambda fact: share(fact.subject)):
        by_label.setdefault(fact.object, []).append(fact)
    turns = itertools.zip_longest(*(group for _, group in sorted(by_label.items())))
    return list(itertools.islice((fact for turn in turns for fact in turn if fact is not None), limit))


def distributed_folder(preset: str) -> Path:
    """The folder of a preset's data, under its distributed name in the working directory. Raises PtxError if it is not
    there.
    """
    folder = Path(read_description(PRESETS[preset]).folder)
    if not folder.is_dir():
        raise PtxError(
            f"the suite {preset} needs its data, and there is no folder {folder} here",
            f"put the data set into the working directory as {folder}/, or say where it is: --suite {preset}:FOLDER",
        )
    return folder


def _rows(described: Description, folder: Path, split: str, hub: Dataset | None, bad: Bad) -> Iterator[Row]:
    """The rows of a split. Raises PtxError if there are none."""
    columns = [*described.text, described.label]
    hint = f"the keys text and label of {described.path} name the columns {' and '.join(columns)}"
    if hub is None:
        path = _file(described, folder, split)
        source, rows = str(path), read_rows(path, columns, hint=hint, columns=described.columns, bad=bad)
    else:
        source, rows = hub.source, hub.rows(described.files[split], columns, hint, bad)
    first = next(rows, None)
    if first is None:
        bad(PtxError(f"{source}: no texts", "check that the file is complete"))
        return
    yield first
    yield from rows


def _facts(described: Description, rows: Iterator[Row], bad: Bad) -> Iterator[Fact]:
    for row in rows:
        try:
            yield _fact(described, row)
        except PtxError as error:
            bad(error)


def _file(described: Description, folder: Path, split: str) -> Path:
    name = described.files[split]
    exact = Path(name).suffix in FORMATS
    choices = [folder / name] if exact else [folder / f"{name}{ending}" for ending in FORMATS]
    for path in choices:
        if path.is_file():
            return path
    raise PtxError(
        f"{folder}: no {' or '.join(path.name for path in choices)} for the split {split}",
        f"put it there, or name the file in files.{split} of {_editable(described)}",
    )


def _fact(described: Description, row: Row) -> Fact:
    parts = [part for column in described.text for part in row.text(column).split()]
    if not parts:
        raise PtxError(f"{row.where}: the text is empty", f"remove the line or fill in {' and '.join(described.text)}")
    words = described.named if row.named else described.bare
    value = row.values[described.label]
    label = str(value).strip() if isinstance(value, str | int | float) else spelled(value)
    if label not in words:
        raise PtxError(
            f"{row.where}: label {shown(repr(label), 60)} has no label word",
            f"extend words in {_editable(described)}, which knows {', '.join(words)}",
        )
    return Fact(" ".join(parts), words[label], row.where)


def _editable(described: Description) -> str:
    """A description that the user can change: a preset has to be copied first."""
    if described.path in PRESETS.values():
        return f"a copy of {described.path}, put beside the data as suite.toml"
    return str(described.path)
