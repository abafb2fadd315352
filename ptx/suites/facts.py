"""Facts, and the reader of one file of them, of any form (see reading.py).

A task is a relation with (subject, object) facts in a train, dev and test split, and a manual template. The columns
are sub_label, obj_label and optionally task, split and template, or what the user says (`Columns`). Folders in LAMA's
layouts: see lama.py.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
from pathlib import Path

from ptx.errors import PtxError
from ptx.suites.lines import Bad, NoRows, Remark, refuse
from ptx.suites.reading import form_of, read_rows, stem_of
from ptx.suites.rows import Row, each
from ptx.suites.task import SPLITS, Fact, Task, check_task_name, share

HINT = (
    "rename the columns of subjects and of answers to sub_label and obj_label, or name them as they are: --columns "
    "subject=NAME,object=NAME"
)
DEFAULT_SPLIT = ((0.6, "train"), (0.8, "dev"), (1.0, "test"))
BY_HASH = ""  # the split of a fact that is given one when all facts of its task are known
# What files and data sets call the splits, the field's first choice first; SST-2's dev file is validation on the hub.
SPLIT_NAMES = {"train": ("train",), "dev": ("dev", "validation", "valid", "val"), "test": ("test",)}
SPLIT_OF = {name: split for split, names in SPLIT_NAMES.items() for name in names}

Placed = tuple[str, str, Fact]  # task, split, fact


@dataclass(frozen=True)
class Columns:
    """What the columns of facts are called."""

    subject: str = "sub_label"
    object: str = "obj_label"
    task: str = "task"
    split: str = "split"
    template: str = "template"

    @property
    def needed(self) -> tuple[str, ...]:
        """Those without which a row is no fact: the first two, and others that the user named."""
        others = (own.name for own in fields(self)[2:] if getattr(self, own.name) != own.default)
        return (self.subject, self.object, *(getattr(self, name) for name in others))

    @property
    def hint(self) -> str:
        return HINT if self == USUAL else f"--columns says that each row has {' and '.join(self.needed)}"


USUAL = Columns()


def read_file(
    path: Path, relations: Mapping[str, Row], bad: Bad = refuse, columns: Columns = USUAL, *, split: bool = False
) -> Iterator[Task]:
    """The tasks of one file; `relations` has templates by task, for rows that bring none. `bad`: see lines.py. With
    `split`, all facts are split by a hash, though rows say that they are of one split.

    Raises PtxError for a file without facts.
    """
    rows = fact_rows(path, bad, columns)
    rows = _of_one_split(rows, columns, path) if split else rows
    return tasks_of(rows, stem_of(path), str(path), relations, bad, columns)


def tasks_of(
    rows: Generator[Row, None, None], default: str, source: str, relations: Mapping[str, Row], bad: Bad = refuse,
    columns: Columns = USUAL,
) -> Iterator[Task]:  # fmt: skip
    """The tasks that rows of facts belong to, `default` where they name none. A row without a split gets one by hash.

    Raises PtxError, naming `source`, if there is no row.
    """
    tasks = by_task(place(rows, default, bad=bad, columns=columns))
    if not tasks:
        bad(NoRows(f"{source}: no facts", "check that the file is complete"))
    for name, found in tasks.items():
        yield make_task(name, found, relations.get(name))


def fact_rows(path: Path, bad: Bad = refuse, columns: Columns = USUAL) -> Generator[Row, None, None]:
    """The rows of a file of facts; those that lack a subject or an object go to `bad`.

    Programs that write tables put a field with quotes into quotes, and double those that it has. In TSV files, where
    quotes are no signs (GLUE's), a field that looks like that is taken for it.
    """
    optional = (columns.task, columns.split, columns.template)
    rows = read_rows(path, columns.needed, hint=columns.hint, optional=optional, bad=bad)
    if form_of(path) != ".tsv":
        yield from rows
        return
    with closing(rows):
        for row in rows:
            values = {name: unquoted(value) for name, value in row.values.items()}
            if values != row.values:
                bad(Remark(str(path), "fields in quotes, with doubled quotes in them, are read as in CSV"))
            yield replace(row, values=values)


def _of_one_split(rows: Generator[Row, None, None], columns: Columns, path: Path) -> Generator[Row, None, None]:
    """Rows without the split that they say. Raises PtxError if they say several."""
    said: set[str] = set()
    with closing(rows):
        for row in rows:
            if value := row.values.get(columns.split):
                said.add(str(value))
            if len(said) > 1:
                hint = "leave out split: in front of it, or remove that column to have all facts split by a hash"
                raise PtxError(f"{path} has a column {columns.split!r} that tells facts apart already", hint)
            yield replace(row, values={**row.values, columns.split: None})


def unquoted(field: str) -> str:
    inner = field[1:-1].replace('""', "")
    quoted = field[:1] == field[-1:] == '"' and '"' not in inner and '""' in field[1:-1]
    return field[1:-1].replace('""', '"') if quoted else field


def place(
    rows: Generator[Row, None, None],
    default: str,
    *,
    split: str | None = None,
    otherwise: str = BY_HASH,
    bad: Bad = refuse,
    columns: Columns = USUAL,
) -> Iterator[Placed]:
    """Task, split and fact of each row: the task is `default`, and the split `otherwise`, where a row does not say.

    In a file of a `split`, a row that says another one goes to `bad`, as does one that is no fact.
    """

    def placed(row: Row) -> Placed:
        name, said = row.optional(columns.task) or default, row.optional(columns.split)
        fact = fact_of(row, columns)
        check_task_name(name, row.where)
        if split is not None:
            if said is not None and SPLIT_OF.get(said, said) != split:
                raise PtxError(f"{row.where}: split {said[:60]!r} in a file of {split}", "move the row, or correct it")
            return name, split, fact
        if said is not None and said not in SPLITS:
            raise PtxError(f"{row.where}: unknown split {said[:60]!r}", f"use {', '.join(SPLITS)}")
        return name, said or otherwise, fact

    return each(rows, placed, bad)


def by_task(placed: Iterable[Placed]) -> dict[str, list[tuple[str, Fact]]]:
    """Split and fact, in their order."""
    tasks: dict[str, list[tuple[str, Fact]]] = {}
    for name, split, fact in placed:
        tasks.setdefault(name, []).append((split, fact))
    return tasks


def make_task(name: str, placed: Iterable[tuple[str, Fact]], relation: Row | None = None) -> Task:
    """A task of facts, with what `relations.jsonl` says about it. A fact that is repeated within a split is kept once,
    as OptiPrompt does.

    The task's template is the first that its facts bring, or else that of the relation; facts that are to be asked
    with another one keep that.
    """
    placed = list(placed)
    title, templates = name, list[str]()
    if relation is not None:
        title, templates = relation.optional("label") or name, relation.any_texts("template")
    usual = templates[0] if templates else None
    template = next((fact.template for _, fact in placed if fact.template), usual)
    every: dict[str, list[Fact]] = {split: [] for split in SPLITS}
    for split, fact in split_up(placed):
        asked = fact.template or usual
        own = None if asked == template else asked
        every[split].append(fact if own == fact.template else replace(fact, template=own))
    once = {split: tuple(dict.fromkeys(facts)) for split, facts in every.items()}
    repeated = {split: len(every[split]) - len(once[split]) for split in SPLITS}
    return Task(name, title, template, once, repeated=repeated, paraphrases=tuple(templates[1:]))


def fact_of(row: Row, columns: Columns = USUAL) -> Fact:
    """A row's fact, with the row's own template if it brings one. Raises PtxError for a subject or object that is no
    text, or empty; the object may be a list of texts that are all right (KAMEL)."""
    subject = row.text(columns.subject).strip()
    if not subject:
        raise PtxError(f"{row.where}: {columns.subject} is empty", "fill it in, or remove the line")
    first, *others = row.texts(columns.object)
    return Fact(subject, first, row.where, row.optional(columns.template), tuple(others))


def split_up(placed: Sequence[tuple[str, Fact]]) -> list[tuple[str, Fact]]:
    """A split for each fact of a task that has none. Where no fact has one, and the hash would leave a split of a few
    subjects empty, a fifth of them, in the hash's order, are dev, a fifth test."""
    found = [(split or split_by_hash(fact), fact) for split, fact in placed]
    subjects = sorted({fact.subject for _, fact in placed}, key=share)
    if any(split for split, _ in placed) or len(subjects) < 3 or {split for split, _ in found} == {*SPLITS}:
        return found
    held_out = max(1, len(subjects) // 5)
    train, dev = {*subjects[: -2 * held_out]}, {*subjects[-2 * held_out : -held_out]}
    return [
        ("train" if fact.subject in train else "dev" if fact.subject in dev else "test", fact) for _, fact in placed
    ]


def split_by_hash(fact: Fact) -> str:
    """60/20/20 by a hash of the subject: stable, and no subject is in two splits."""
    return next(split for bound, split in DEFAULT_SPLIT if share(fact.subject) < bound)
