"""Folders of facts, as LAMA, AutoPrompt and OptiPrompt distribute them.

autoprompt_data/P17/{train,dev,test}.jsonl    a folder for each task, with its splits
LAMA-TREx/P17.jsonl                           a file for each task: LAMA's test sets, whole or a part (UHN, easy, hard)
relations.jsonl                               templates (templates.py)

Files have any form that reading.py knows. LAMA's whole data has parts without subjects: a task of which no row has the
columns of a fact is left out, and that is said.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ptx.errors import PtxError
from ptx.suites.facts import BY_HASH, SPLIT_OF, USUAL, Columns, Placed, by_task, fact_rows, make_task, place
from ptx.suites.folders import LEFT_OUT, files_in
from ptx.suites.lines import Bad, Remark, refuse
from ptx.suites.reading import FORMATS, form_of, stem_of
from ptx.suites.rows import NoColumn, Row
from ptx.suites.task import SPLITS, Fact, Task, check_task_name
from ptx.suites.templates import is_templates, near, read_relations

NO_TASKS = "arrange it as LAMA's data, one folder per relation, or describe texts to classify in a suite.toml there"


@dataclass(frozen=True)
class Source:
    """Where a task is: a folder with a file for each split, or a file."""

    path: Path
    splits: Mapping[str, Path]  # empty for a file

    @property
    def name(self) -> str:
        return self.path.name if self.splits else stem_of(self.path)

    @property
    def files(self) -> Sequence[Path]:
        return list(self.splits.values()) or [self.path]


def read_folder(folder: Path, *, split: bool = False, bad: Bad = refuse, columns: Columns = USUAL) -> Iterator[Task]:
    """One task a relation. Files without splits are test facts, or with `split` train, dev and test facts by hash.

    `bad`: see lines.py. Raises PtxError if there is no task, or there are two of one name.
    """
    files = files_in(folder, bad)
    relations = read_relations(folder, files, bad)
    found = _ordered(with_facts(sources(files, bad), bad, columns))
    if not found:
        raise PtxError(f"{folder} holds no <task>/train.jsonl and no <task>.jsonl", NO_TASKS)
    if split and all(source.splits for source in found):
        raise PtxError(f"{folder} has train, dev and test files already", f"leave out split: {folder}")
    for one, two in itertools.pairwise(found):
        if one.name == two.name:
            choices = sorted({source.path.parent for source in found})
            hint = f"choose one of the folders: {', '.join(map(str, choices[:8]))}"
            hint = hint if len(choices) > 1 else "rename or remove one of them"
            raise PtxError(f"task {one.name} is there twice: {one.path} and {two.path}", hint)
    tasks: dict[str, list[tuple[str, Fact]]] = {}
    of: dict[str, Mapping[str, Row]] = {}
    for source in found:
        check_task_name(source.name, str(source.path))
        for name, facts in (by_task(_placed(source, split, bad, columns)) or {source.name: []}).items():
            tasks.setdefault(name, []).extend(facts)
            of.setdefault(name, near(relations, source.path))
    for name, facts in tasks.items():
        yield make_task(name, facts, of[name].get(name))


def sources(files: Iterable[Path], bad: Bad) -> list[Source]:
    """The tasks that files are of, by their names alone. Raises PtxError if a task has two files of one split."""
    folders: dict[Path, dict[str, Path]] = {}
    single = []
    data = [file for file in files if not is_templates(file)]
    for file in data:
        if form_of(file) in FORMATS and (split := SPLIT_OF.get(stem_of(file).lower())):
            there = folders.setdefault(file.parent, {})
            if split in there:
                message = f"two files of the split {split}: {there[split]} and {file}"
                raise PtxError(message, "join them, or remove or rename one of them")
            there[split] = file
    for file in data:
        if form_of(file) not in FORMATS:
            bad(Remark(str(file), f"{LEFT_OUT}, by its ending: facts are read from {', '.join(FORMATS)}"))
        elif file.parent not in folders:
            single.append(Source(file, {}))
        elif file not in folders[file.parent].values():
            bad(Remark(str(file), f"{LEFT_OUT}, since it stands beside files of train, dev or test"))
    return single + [
        Source(folder, {split: there[split] for split in SPLITS if split in there}) for folder, there in folders.items()
    ]


def with_facts(found: Iterable[Source], bad: Bad, columns: Columns) -> Iterator[Source]:
    """Those of which a row has a subject and an object, or that are empty. Raises PtxError if all are left out."""
    problems: list[PtxError] = []
    some = False
    for source in found:
        problem = _why_no_facts(source, columns)
        if problem is None:
            some = True
            yield source
        else:
            what = "no row of it has " if isinstance(problem, NoColumn) else "it holds no rows with "
            why = f"{what}{' and '.join(columns.needed)}; if it has facts, {columns.hint}"
            bad(Remark(str(source.path), f"{LEFT_OUT}, since {why}"))
            problems.append(problem)
    if problems and not some:
        raise problems[0]


def _why_no_facts(source: Source, columns: Columns) -> PtxError | None:
    """None if a row is one of facts, or if it is not known to be none. JSON and text may be anything else."""
    problems: list[PtxError] = []
    vague = all(form_of(file) in (".json", ".txt") for file in source.files)

    def note(said: PtxError | Remark) -> None:
        if isinstance(said, PtxError):
            problems.append(said)
            del problems[1:]

    for file in source.files:
        try:
            with closing(fact_rows(file, note, columns)) as rows:
                if next(rows, None) is not None:
                    return None
        except PtxError as error:
            if not (vague or isinstance(error, NoColumn)):
                raise
            note(error)
    other = any(form_of(file) != ".jsonl" for file in source.files)
    if not problems and other:
        return PtxError(f"{source.path}: no facts", columns.hint)
    return problems[0] if problems and (vague or isinstance(problems[0], NoColumn)) else None


def suites_in(folder: Path) -> Iterator[tuple[Path, int]]:
    """The folders below one that can be named as a suite, by their files' first lines, and their numbers of tasks."""

    def silent(said: PtxError | Remark) -> None:
        pass

    suites: dict[Path, list[Source]] = {}
    for source in sources(files_in(folder, silent), silent):
        suites.setdefault(source.path.parent, []).append(source)
    for parent, tasks in sorted(suites.items()):
        if all(any(map(_begins_with_a_fact, source.files)) for source in tasks):
            yield parent, len(tasks)


def _begins_with_a_fact(file: Path) -> bool:
    said: list[PtxError | Remark] = []
    with closing(fact_rows(file, said.append)) as rows:
        return next((True for _ in rows), False) and not any(isinstance(each, PtxError) for each in said)


def _placed(source: Source, split: bool, bad: Bad, columns: Columns) -> Iterator[Placed]:
    for name, file in source.splits.items():
        yield from place(fact_rows(file, bad, columns), source.name, split=name, bad=bad, columns=columns)
    if not source.splits:
        rows, other = fact_rows(source.path, bad, columns), BY_HASH if split else "test"
        yield from place(rows, source.name, otherwise=other, bad=bad, columns=columns)


def _ordered(found: Iterable[Source]) -> list[Source]:
    """P17 before P101, whatever folder they are in."""
    return sorted(found, key=lambda source: (len(source.name), source.name, source.path))
