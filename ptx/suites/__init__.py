"""Suites of tasks: `facts` and `topics`, which ship with the package, and the user's own data.

FOLDER          facts in one of LAMA's layouts (lama.py), or with a suite.toml texts to classify (description.py)
FILE            facts as JSON, CSV, TSV or Parquet (facts.py), or a TOML file that describes texts to classify
split:FOLDER    LAMA's own files, a test set, split into train, dev and test facts by a hash of the subject; or a FILE
sst2:FOLDER     a data set whose description ships with ptx; likewise the other presets, and from the hub: sst2:hf:NAME
lmeval:FILE.yaml    a task of the lm-evaluation-harness (lmeval.py)
hf:NAME[:CONFIG]    facts of a data set of the Hugging Face hub, or in a local folder of such files (hub.py)
none            one task without facts, `any`: for a prompt of which nobody says what it is for

Behind each may stand how it is to be read: FILE?columns=subject=country,object=capital&limit=20 (asked.py).
"""

import functools
import os
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path

from ptx.errors import PtxError, shown
from ptx.files import changed, here
from ptx.media import one_line
from ptx.notebooks.rooms import answers
from ptx.suites.asked import as_asked, columns_of, parted
from ptx.suites.classification import PRESETS, distributed_folder, read_classification
from ptx.suites.doubts import sensible
from ptx.suites.facts import Columns, read_file
from ptx.suites.hub import PREFIX, read_hub_facts
from ptx.suites.lama import read_folder
from ptx.suites.lines import Bad, Problems, Remark, refuse, together
from ptx.suites.task import SPLITS, Fact, Suite, Task
from ptx.suites.templates import beside, near, read_relations
from ptx.suites.watched import Seen, certain, differs, looked_at, watching

__all__ = ["EMBEDDED", "NONE", "PRESETS", "SPLITS", "Fact", "Suite", "Task", "load_suite", "read_suite", "together"]

ZOO = Path(__file__).parents[1] / "zoo"
EMBEDDED = {"facts": ZOO / "facts", "topics": ZOO / "topics"}
SPLIT = "split:"
LMEVAL = "lmeval:"
NONE = "none"
SHOWN = 20  # problems of a suite that an error names
OPTIPROMPT = "autoprompt_data"  # in OptiPrompt's archive: train and dev facts, and LAMA's TREx as test facts


def load_suite(name: str) -> Suite:
    """A suite by embedded name, preset or path, remembered for as long as its files stay what they are. Raises PtxError
    for an unknown one, all records that cannot be read, and files that change meanwhile."""
    if name in EMBEDDED:
        return _embedded(name)
    where = (name, here())
    known = REMEMBERED.pop(where, None)
    if known is None or not certain(known[1]) or differs(known[1]):
        with watching() as seen:
            suite = _whole(name)
        if (path := differs(seen)) is not None:
            raise changed(str(path))
        known = suite, seen
    REMEMBERED[where] = known  # behind the others
    for oldest in [*REMEMBERED][:-8]:
        REMEMBERED.pop(oldest, None)
    return known[0]


REMEMBERED: dict[tuple[str, Path], tuple[Suite, Seen]] = {}  # by the working directory too


@functools.cache  # as ptx's own code is
def _embedded(name: str) -> Suite:
    return read_suite(name)


def _whole(name: str) -> Suite:
    """A suite without problems. Raises PtxError that names them, with remarks and problems as notes."""
    problems, notes = Problems(), list[str]()
    try:
        suite = read_suite(name, problems.add)
        notes = [one_line(text) for text in together(suite.remarks)]
    except PtxError as error:
        if not problems.count:
            raise
        problems.add(error)
        notes = list(error.__notes__) if hasattr(error, "__notes__") else []
    if problems.count:
        whole = problems.together(name, SHOWN)
        for note in notes:
            whole.add_note(note)
        raise whole
    return suite


def read_suite(name: str, bad: Callable[[PtxError], None] = refuse) -> Suite:
    """The same, not remembered; records that cannot be read go to `bad`, or else the first of them is the end.

    What the readers remark is in the suite, or in the notes of the error that ended them.
    """
    remarks: list[Remark] = []
    place, reading = parted(name)

    def told(said: PtxError | Remark) -> None:
        if isinstance(said, Remark):
            remarks.append(said)
        else:
            bad(said)

    try:
        tasks = sensible(_tasks(place, told, columns_of(reading.columns)), told)
    except PtxError as error:
        for text in together(remarks):
            error.add_note(one_line(text))
        raise
    if reading.columns and any(task.labels for task in tasks):
        hint = "name them in text and label of its TOML file, and leave --columns out"
        raise PtxError(f"{place} has texts to classify, whose columns are no facts'", hint)
    return Suite(name, tuple(as_asked(task, reading) for task in tasks), tuple(dict.fromkeys(remarks)))


def _tasks(name: str, bad: Bad, columns: Columns) -> Iterable[Task]:
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in name):
        raise PtxError(f"the suite's name {shown(name)} holds control characters or is not UTF-8", "rename it")
    if name == NONE:
        return [Task("any", "any", None, dict.fromkeys(SPLITS, ()))]
    prefix, colon, rest = name.partition(":")
    if prefix in PRESETS and (colon or not os.path.exists(name)):
        if rest.startswith(PREFIX):
            return [read_classification(PRESETS[prefix], Path(), rest.removeprefix(PREFIX), bad)]
        folder = _folder(name, Path(rest) if rest else distributed_folder(prefix), prefix)
        return [read_classification(PRESETS[prefix], folder, bad=bad)]
    if name.startswith(LMEVAL):
        from ptx.suites.lmeval import read_task  # with a reader of YAML, which takes a while

        return [read_task(Path(name.removeprefix(LMEVAL)).absolute(), bad)]
    if name.startswith(PREFIX):
        return read_hub_facts(rest, bad, columns)
    if name.startswith(SPLIT) and os.path.isfile(rest):
        return _file(Path(rest).absolute(), bad, columns, split=True)
    if name.startswith(SPLIT):
        return read_folder(_folder(name, Path(rest), prefix), split=True, bad=bad, columns=columns)
    path = EMBEDDED.get(name, Path(name)).absolute()
    if not os.path.exists(path):
        known = ", ".join([*EMBEDDED, *PRESETS])
        hint = f"use {known}, or the path of a folder or file of facts or texts, or hf:NAME of the hub"
        if Path(name).name == OPTIPROMPT:
            hint = _to_fetch(Path(name).parent)
        raise PtxError(f"unknown suite {shown(name)!r}", hint)
    description = path / "suite.toml" if path.is_dir() else path
    looked_at(description)
    if description.suffix == ".toml" and description.is_file():
        return [read_classification(description, description.parent, bad=bad)]
    if path.is_dir():
        return read_folder(path, bad=bad, columns=columns)
    return _file(path, bad, columns)


def _file(path: Path, bad: Bad, columns: Columns, *, split: bool = False) -> Iterable[Task]:
    return read_file(path, near(read_relations(path.parent, beside(path), bad), path), bad, columns, split=split)


def _to_fetch(folder: Path) -> str:
    """How OptiPrompt's data come into a folder, and the templates beside it if the folder is called as there."""
    lists = f"`ptx data fetch optiprompt-lists --output {folder.parent}`, then " if folder.name == "data" else ""
    return f"run {lists}`ptx data fetch optiprompt --output {folder}`"


def _folder(name: str, path: Path, prefix: str) -> Path:
    if not os.path.isdir(path):  # pathlib's refuses names that are too long
        hint = f"use {prefix}:FOLDER" + (f" or {SPLIT}FILE" if prefix == SPLIT[:-1] else "")
        raise PtxError(f"the suite {name!r} needs a folder, and {path} is none", hint)
    return path.absolute()


answers(__name__, "ptx.api")  # `ptx.suites("facts")` is a command, too
