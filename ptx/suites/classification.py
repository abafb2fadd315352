"""Reader of classification suites: texts with labels, as a TOML file describes them (see description.py)."""

from collections.abc import Generator
from contextlib import closing
from pathlib import Path

from ptx.errors import PtxError, shown
from ptx.suites.description import Keys, read_description
from ptx.suites.folders import LEFT_OUT
from ptx.suites.hub import read_dataset
from ptx.suites.lines import Bad, NoRows, Remark, refuse
from ptx.suites.reading import FORMATS, form_of, read_rows
from ptx.suites.rows import Row, spelled
from ptx.suites.task import SPLITS, Fact, Task, check_task_name, share, spread
from ptx.suites.watched import looked_at

PRESETS = {path.stem: path for path in sorted((Path(__file__).parent / "presets").glob("*.toml"))}


def read_classification(description: Path, folder: Path, dataset: str = "", bad: Bad = refuse) -> Task:
    """The task that a TOML file describes, of the data in a folder, or in a dataset `NAME[:CONFIG]` of the hub. A split
    without a file is empty, but for dev, which is held out of train.

    Raises PtxError for a wrong key, a missing file, and a line that cannot be read or lacks a text or label word (those
    go to `bad`, see lines.py).
    """
    keys = read_description(description)
    name = keys.name or description.parent.name
    check_task_name(name, str(description))
    dev_share = 0.0 if keys.files.dev else keys.dev_share or 0.1
    limits = {split: limit for split, limit in vars(keys.limit).items() if limit}
    if keys.dataset and not dataset:
        beside = folder / keys.dataset
        dataset = str(beside) if beside.is_dir() else keys.dataset
    hub = read_dataset(dataset) if dataset else None
    columns = [*keys.texts, keys.label]
    hint = f"the keys text and label of {description} name the columns {' and '.join(columns)}"
    splits: dict[str, list[Fact]] = {split: [] for split in SPLITS}
    read: set[Path] = set()
    for source, file in vars(keys.files).items():
        if not file:
            continue
        if hub:
            where, rows = hub.source, hub.rows(file, columns, hint, bad)
        else:
            path = _file(folder, file, source, description)
            read.add(path)
            where, rows = str(path), read_rows(path, columns, hint=hint, columns=keys.columns, bad=bad)
        for fact in _facts(keys, description, rows, where, bad):
            split = "dev" if source == "train" and share(fact.subject) < dev_share else source
            splits[split].append(fact)
            limit = limits.get(split)
            if limit and len(splits[split]) == 4 * limit:  # what this leaves out, later texts do not bring back in
                splits[split] = spread(splits[split], limit)
    if description.name == "suite.toml" and not hub:  # the whole folder is the suite
        looked_at(folder, "*")
        for path in sorted(set(folder.iterdir()) - read):
            if path.is_file() and form_of(path) in FORMATS and not path.name.startswith("."):
                bad(Remark(str(path), f"{LEFT_OUT}, since {description} does not name it in files"))
    facts = {s: tuple(spread(found, limits[s]) if s in limits else found) for s, found in splits.items()}
    first, *others = keys.templates
    labels = tuple(dict.fromkeys(keys.bare.values()))
    return Task(name, keys.title or name, first, facts, labels=labels, paraphrases=tuple(others))


def distributed_folder(preset: str) -> Path:
    """The folder of a preset's data, by its distributed name in the working directory. Raises PtxError without it."""
    folder = Path(read_description(PRESETS[preset]).folder)
    if not folder.is_dir():
        hint = f"put the data set into the working directory as {folder}/, or say where it is: --suite {preset}:FOLDER"
        raise PtxError(f"the suite {preset} needs its data, and there is no folder {folder} here", hint)
    return folder


def _file(folder: Path, name: str, split: str, description: Path) -> Path:
    choices = [folder / (name + ending) for ending in ([""] if form_of(Path(name)) in FORMATS else FORMATS[:3])]
    for choice in choices:
        looked_at(choice)
    if found := next(filter(Path.is_file, choices), None):
        return found
    hint = f"put it there, or name the file in files.{split} of {_editable(description)}"
    raise PtxError(f"{folder}: no {' or '.join(path.name for path in choices)} for the split {split}", hint)


def _facts(
    keys: Keys, description: Path, rows: Generator[Row, None, None], source: str, bad: Bad
) -> Generator[Fact, None, None]:
    """The facts of a split. Raises PtxError if it has no rows."""
    empty = True
    with closing(rows):
        for row in rows:
            empty = False
            try:
                fact = _fact(keys, description, row)
            except PtxError as error:
                bad(error)
            else:
                yield fact
    if empty:
        bad(NoRows(f"{source}: no texts", "check that the file is complete"))


def _fact(keys: Keys, description: Path, row: Row) -> Fact:
    parts = [part for column in keys.texts for part in row.text(column).split()]
    if not parts:
        raise PtxError(f"{row.where}: the text is empty", f"remove the line or fill in {' and '.join(keys.texts)}")
    words = keys.named if row.named else keys.bare
    value = row.values[keys.label]
    label = str(value).strip() if isinstance(value, str | int | float) else spelled(value)
    if label not in words:
        hint = f"extend words in {_editable(description)}, which knows {', '.join(words)}"
        raise PtxError(f"{row.where}: label {shown(repr(label), 60)} has no label word", hint)
    return Fact(" ".join(parts), words[label], row.where)


def _editable(description: Path) -> str:
    """A description that the user can change: a preset has to be copied first."""
    preset = description in PRESETS.values()
    return f"a copy of {description}, put beside the data as suite.toml" if preset else str(description)
