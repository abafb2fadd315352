"""Facts, and the reader of one file of them: JSON lines, CSV or TSV.

A task is a relation with (subject, object) facts in a train, dev and test split, and a manual template. The columns
are sub_label, obj_label and optionally task, split and template. Folders in LAMA's layouts: see lama.py.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from ptx.errors import PtxError
from ptx.suites.lines import Bad, refuse
from ptx.suites.rows import Row, each, read_rows
from ptx.suites.task import SPLITS, Fact, Task, check_task_name, share

COLUMNS = ("sub_label", "obj_label")
DEFAULT_SPLIT = ((0.6, "train"), (0.8, "dev"), (1.0, "test"))


def read_file(path: Path, relations: Mapping[str, Row], bad: Bad = refuse) -> Iterator[Task]:
    """The tasks of one file; `relations` has templates by task, for rows that bring none. `bad`: see lines.py.

    Raises PtxError for a file without facts.
    """
    return tasks_of(read_rows(path, COLUMNS, bad=bad), path.stem, str(path), relations, bad)


def tasks_of(
    rows: Generator[Row, None, None], default: str, source: str, relations: Mapping[str, Row], bad: Bad = refuse
) -> Iterator[Task]:
    """The tasks that rows of facts belong to, `default` where they name none. A row without a split gets one by hash.

    Raises PtxError, naming `source`, if there is no row.
    """

    def placed(row: Row) -> tuple[str, str, Fact]:
        name, split, fact = row.optional("task") or default, row.optional("split"), fact_of(row)
        check_task_name(name, row.where)
        if split is not None and split not in SPLITS:
            raise PtxError(f"{row.where}: unknown split {split[:60]!r}", f"use {', '.join(SPLITS)}")
        return name, split or split_by_hash(fact), fact

    tasks: dict[str, dict[str, list[Fact]]] = {}
    templates: dict[str, str] = {}
    for name, split, fact in each(rows, placed, bad):
        tasks.setdefault(name, {split: [] for split in SPLITS})[split].append(fact)
        if fact.template:
            templates.setdefault(name, fact.template)
    if not tasks:
        bad(PtxError(f"{source}: no facts", "check that the file is complete"))
    for name, found in tasks.items():
        yield make_task(name, found, relations.get(name), templates.get(name))


def make_task(
    name: str, splits: Mapping[str, Iterable[Fact]], relation: Row | None = None, template: str | None = None
) -> Task:
    """A task of facts, with what `relations.jsonl` says about it. A fact that is repeated within a split is kept once,
    as OptiPrompt does.

    The task's template is `template`, the first that its facts bring, or else that of the relation; facts that are to
    be asked with another one keep that.
    """
    title, usual = name, None
    if relation is not None:
        title, usual = relation.optional("label") or name, relation.optional("template")
    every = {split: list(splits[split]) for split in SPLITS}
    brought = (fact.template for split in SPLITS for fact in every[split] if fact.template)
    template = template or next(brought, usual)

    def own(fact: Fact) -> Fact:
        asked = fact.template or usual
        asked = None if asked == template else asked
        return fact if asked == fact.template else replace(fact, template=asked)

    once = {split: tuple(dict.fromkeys(map(own, facts))) for split, facts in every.items()}
    repeated = {split: len(every[split]) - len(once[split]) for split in SPLITS}
    return Task(name, title, template, once, repeated=repeated)


def facts_in(file: Path, bad: Bad = refuse) -> Generator[Fact, None, None]:
    """The facts of a file, none if it does not exist."""
    if file.is_file():
        yield from each(read_rows(file, COLUMNS, bad=bad), fact_of, bad)


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
