"""Facts, and the reader of one file of them, of any form (see reading.py).

A task is a relation with (subject, object) facts in a train, dev and test split, and a manual template. The columns
are sub_label, obj_label and optionally task, split and template. Folders in LAMA's layouts: see lama.py.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from ptx.errors import PtxError
from ptx.suites.lines import Bad, Remark, refuse
from ptx.suites.reading import form_of, read_rows, stem_of
from ptx.suites.rows import Row, each
from ptx.suites.task import SPLITS, Fact, Task, check_task_name, share

COLUMNS = ("sub_label", "obj_label")
OPTIONAL = ("task", "split", "template")
HINT = "rename the columns of subjects and of answers to sub_label and obj_label"
DEFAULT_SPLIT = ((0.6, "train"), (0.8, "dev"), (1.0, "test"))
# What files and data sets call the splits, the field's first choice first; SST-2's dev file is validation on the hub.
SPLIT_NAMES = {"train": ("train",), "dev": ("dev", "validation", "valid", "val"), "test": ("test",)}
SPLIT_OF = {name: split for split, names in SPLIT_NAMES.items() for name in names}

Placed = tuple[str, str, Fact]  # task, split, fact


def read_file(path: Path, relations: Mapping[str, Row], bad: Bad = refuse) -> Iterator[Task]:
    """The tasks of one file; `relations` has templates by task, for rows that bring none. `bad`: see lines.py.

    Raises PtxError for a file without facts.
    """
    return tasks_of(fact_rows(path, bad), stem_of(path), str(path), relations, bad)


def tasks_of(
    rows: Generator[Row, None, None], default: str, source: str, relations: Mapping[str, Row], bad: Bad = refuse
) -> Iterator[Task]:
    """The tasks that rows of facts belong to, `default` where they name none. A row without a split gets one by hash.

    Raises PtxError, naming `source`, if there is no row.
    """
    tasks = by_task(place(rows, default, bad=bad))
    if not tasks:
        bad(PtxError(f"{source}: no facts", "check that the file is complete"))
    for name, found in tasks.items():
        yield make_task(name, found, relations.get(name))


def fact_rows(path: Path, bad: Bad = refuse) -> Generator[Row, None, None]:
    """The rows of a file of facts; those that lack a subject or an object go to `bad`.

    Programs that write tables put a field with quotes into quotes, and double those that it has. In TSV files, where
    quotes are no signs (GLUE's), a field that looks like that is taken for it.
    """
    rows = read_rows(path, COLUMNS, hint=HINT, optional=OPTIONAL, bad=bad)
    if form_of(path) != ".tsv":
        yield from rows
        return
    with closing(rows):
        for row in rows:
            values = {name: unquoted(value) for name, value in row.values.items()}
            if values != row.values:
                bad(Remark(str(path), "fields in quotes, with doubled quotes in them, are read as in CSV"))
            yield replace(row, values=values)


def unquoted(field: str) -> str:
    inner = field[1:-1].replace('""', "")
    quoted = field[:1] == field[-1:] == '"' and '"' not in inner and '""' in field[1:-1]
    return field[1:-1].replace('""', '"') if quoted else field


def place(
    rows: Generator[Row, None, None],
    default: str,
    *,
    split: str | None = None,
    otherwise: Callable[[Fact], str] | None = None,
    bad: Bad = refuse,
) -> Iterator[Placed]:
    """Task, split and fact of each row: the task is `default`, and the split `otherwise(fact)`, by hash by default,
    where a row does not say.

    In a file of a `split`, a row that says another one goes to `bad`, as does one that is no fact.
    """

    def placed(row: Row) -> Placed:
        name, said, fact = row.optional("task") or default, row.optional("split"), fact_of(row)
        check_task_name(name, row.where)
        if split is not None:
            if said is not None and SPLIT_OF.get(said, said) != split:
                raise PtxError(f"{row.where}: split {said[:60]!r} in a file of {split}", "move the row, or correct it")
            return name, split, fact
        if said is not None and said not in SPLITS:
            raise PtxError(f"{row.where}: unknown split {said[:60]!r}", f"use {', '.join(SPLITS)}")
        return name, said or (otherwise or split_by_hash)(fact), fact

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
    title, usual = name, None
    if relation is not None:
        title, usual = relation.optional("label") or name, relation.optional("template")
    template = next((fact.template for _, fact in placed if fact.template), usual)
    every: dict[str, list[Fact]] = {split: [] for split in SPLITS}
    for split, fact in placed:
        asked = fact.template or usual
        own = None if asked == template else asked
        every[split].append(fact if own == fact.template else replace(fact, template=own))
    once = {split: tuple(dict.fromkeys(facts)) for split, facts in every.items()}
    repeated = {split: len(every[split]) - len(once[split]) for split in SPLITS}
    return Task(name, title, template, once, repeated=repeated)


def fact_of(row: Row) -> Fact:
    """A row's fact, with the row's own template if it brings one. Raises PtxError for a subject or object that is no
    text, or empty; the object may be a list of texts that are all right (KAMEL)."""
    subject = row.text(COLUMNS[0]).strip()
    if not subject:
        raise PtxError(f"{row.where}: {COLUMNS[0]} is empty", "fill it in, or remove the line")
    first, *others = row.texts(COLUMNS[1])
    return Fact(subject, first, row.where, row.optional("template"), tuple(others))


def split_by_hash(fact: Fact) -> str:
    """60/20/20 by a hash of the subject: stable, and no subject is in two splits."""
    return next(split for bound, split in DEFAULT_SPLIT if share(fact.subject) < bound)
