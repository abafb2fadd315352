"""Folders of facts, as LAMA, AutoPrompt and OptiPrompt distribute them.

autoprompt_data/P17/{train,dev,test}.jsonl    a folder for each task, with its splits
LAMA-TREx/P17.jsonl                           a file for each task: LAMA's test sets, whole or a part (UHN, easy, hard)
relations.jsonl                               templates: anywhere in the folder or beside it, or in relation_metainfo/
                                              next to it or up to three levels above, as LAMA_relations.jsonl
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from ptx.errors import PtxError
from ptx.suites.facts import facts_in, make_task, split_by_hash
from ptx.suites.lines import Bad, refuse
from ptx.suites.rows import Row, each, read_rows
from ptx.suites.task import SPLITS, Fact, Task, check_task_name

RELATIONS = "relations.jsonl"
PREFERRED = (RELATIONS, f"LAMA_{RELATIONS}")  # OptiPrompt has other people's templates beside LAMA's
METAINFO = "relation_metainfo"


def read_folder(folder: Path, *, split: bool = False, bad: Bad = refuse) -> Iterator[Task]:
    """One task a relation. Files without splits are test facts, or with `split` train, dev and test facts by hash.

    `bad`: see lines.py. Raises PtxError if there is no task, or there are two of one name.
    """
    files = _files_in(folder)
    relations = read_relations(folder, files, bad)
    found = task_folders(files) or task_files(files, folder)
    if not found:
        raise PtxError(f"{folder} holds no <task>/train.jsonl and no <task>.jsonl", _other_folders(folder, files))
    if split and found[0].is_dir():
        raise PtxError(f"{folder} has train, dev and test files already", f"leave out split: {folder}")
    for one, two in itertools.pairwise(found):
        if _name(one) == _name(two):
            choices = sorted({path.parent for path in found})
            hint = f"choose one of the folders: {', '.join(map(str, choices[:8]))}"
            raise PtxError(f"task {_name(one)} is there twice: {one} and {two}", hint)
    for path in found:
        check_task_name(_name(path), str(path))
        yield make_task(_name(path), _splits(path, split, bad), relations.get(_name(path)))


def task_folders(files: Iterable[Path]) -> list[Path]:
    """The folders with a file of a split."""
    return _ordered({file.parent for file in files if file.stem in SPLITS})


def task_files(files: Iterable[Path], folder: Path) -> list[Path]:
    """The files directly in a folder that are a task each."""
    return _ordered({file for file in files if file.parent == folder and not file.name.endswith(RELATIONS)})


def suites_in(folder: Path) -> Iterator[tuple[Path, int]]:
    """The folders below one that can be named as a suite, by their files' first lines, and their numbers of tasks."""
    files = _files_in(folder)
    of_folders = task_folders(files)
    for parent in sorted({*(path.parent for path in of_folders), *(file.parent for file in files)} - {*of_folders}):
        tasks = [path for path in of_folders if path.parent == parent] or task_files(files, parent)
        if tasks and all(any(map(_begins_with_a_fact, _files_of(task))) for task in tasks):
            yield parent, len(tasks)


def _files_of(task: Path) -> list[Path]:
    return [task / f"{split}.jsonl" for split in SPLITS] if task.is_dir() else [task]


def _begins_with_a_fact(file: Path) -> bool:
    first: list[PtxError] = []
    with closing(facts_in(file, first.append)) as found:
        return next((True for _ in found), False) and not first


def read_relations(folder: Path, files: Sequence[Path], bad: Bad = refuse) -> dict[str, Row]:
    """What the file of templates says about each relation: the one among `files`, or near the folder.

    Raises PtxError if there are several, none of them LAMA's.
    """
    nearby = [folder.parent / RELATIONS, *folder.parent.glob(f"*_{RELATIONS}")]
    for above in (folder, *folder.parents[:3]):
        nearby += sorted((above / METAINFO).glob(f"*{RELATIONS}"))
    inside = [file for file in files if file.name.endswith(RELATIONS)]
    found = inside or [file for file in nearby if file.is_file()]
    names = {file.name for file in found}
    chosen = next((name for name in PREFERRED if name in names), None)
    if chosen is None and len(names) > 1:
        listed = ", ".join(str(file) for file in found[:4])
        raise PtxError(f"several files of templates: {listed}", f"name the one to use {RELATIONS}")
    relations: dict[str, Row] = {}
    for file in found:
        if chosen in (None, file.name):
            relations |= dict(each(read_rows(file, ["relation"], bad=bad), _named, bad))
    return relations


def _named(row: Row) -> tuple[str, Row]:
    """A relation's name and row, whose other texts are known to be readable."""
    name, _, _ = row.text("relation"), row.optional("label"), row.optional("template")
    return name, row


def _splits(path: Path, split: bool, bad: Bad) -> Mapping[str, Sequence[Fact]]:
    if path.is_dir():
        return {name: list(facts_in(path / f"{name}.jsonl", bad)) for name in SPLITS}
    splits: dict[str, list[Fact]] = {name: [] for name in SPLITS}
    for fact in facts_in(path, bad):
        splits[split_by_hash(fact) if split else "test"].append(fact)
    return splits


def _other_folders(folder: Path, files: Sequence[Path]) -> str:
    """The hint for a folder without tasks: those in it that have some."""
    choices = sorted({file.parent for file in files if not file.name.endswith(RELATIONS)})
    if choices:
        return f"name one of the folders in it: {', '.join(map(str, choices[:8]))}"
    return "arrange it as LAMA's data, one folder per relation, or describe texts to classify in a suite.toml there"


def _ordered(paths: Iterable[Path]) -> list[Path]:
    """P17 before P101, whatever folder they are in."""
    return sorted(paths, key=lambda path: (len(_name(path)), _name(path), path))


def _name(path: Path) -> str:
    return path.stem if path.suffix == ".jsonl" and not path.is_dir() else path.name


def _files_in(folder: Path) -> list[Path]:
    """Without hidden ones: archives made on a Mac have such a file beside each file."""
    files = sorted(folder.rglob("*.jsonl"))
    return [file for file in files if not any(part.startswith(".") for part in file.relative_to(folder).parts)]
