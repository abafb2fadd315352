"""Files of manual templates, a row for each relation: LAMA's relations.jsonl and OptiPrompt's, mLAMA's templates.jsonl.

They stand anywhere in a folder of facts or beside it, or in relation_metainfo/ next to it or up to three levels above.
"""

from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ptx.errors import PtxError
from ptx.suites.folders import LEFT_OUT
from ptx.suites.lines import Bad, Remark, refuse
from ptx.suites.reading import FORMATS, form_of, read_rows, stem_of
from ptx.suites.rows import Row, each
from ptx.suites.task import check_template
from ptx.suites.watched import looked_at

RELATIONS = "relations.jsonl"
PREFERRED = (
    "relations",
    "lama_relations",
    "templates",
    "template",
)  # in small letters; OptiPrompt has other people's templates beside LAMA's
METAINFO = "relation_metainfo"

Relations = Mapping[Path, Mapping[str, Row]]  # by the folder of the file, then by relation


def is_templates(file: Path) -> bool:
    stem = _stem(file)
    return form_of(file) in FORMATS and (stem.endswith(PREFERRED[0]) or stem in PREFERRED)


def _stem(file: Path) -> str:
    return stem_of(file).lower()


def beside(file: Path) -> list[Path]:
    """The preferred files of templates in the folder of a file of facts."""
    looked_at(file.parent, "*")
    there = sorted(file.parent.iterdir())
    return [other for other in there if _stem(other) in PREFERRED and is_templates(other) and other.is_file()]


def read_relations(folder: Path, files: Sequence[Path], bad: Bad = refuse) -> Relations:
    """What the file of templates says about each relation: the one among `files`, or near the folder.

    Raises PtxError if there are several, none of them preferred.
    """
    nearby = []
    places = [(folder.parent, RELATIONS), (folder.parent, f"*_{RELATIONS}")]
    for where, pattern in [*places, *((above / METAINFO, f"*{RELATIONS}") for above in (folder, *folder.parents[:3]))]:
        looked_at(where, pattern)
        nearby += sorted(where.glob(pattern))
    inside = list(filter(is_templates, files))
    found = inside or [file for file in nearby if file.is_file()]
    names = {_stem(file) for file in found}
    chosen = next((name for name in PREFERRED if name in names), None)
    if chosen is None and len(names) > 1:
        listed = ", ".join(str(file) for file in found[:4])
        raise PtxError(f"several files of templates: {listed}", f"name the one to use {RELATIONS}")
    relations: dict[Path, dict[str, Row]] = {}
    for file in found:
        if chosen in (None, _stem(file)):
            rows = read_rows(file, ["relation"], optional=("label", "template"), bad=bad)
            _add(relations.setdefault(file.parent, {}), each(rows, _named, bad), file, bad)
        elif inside:
            bad(Remark(str(file), f"{LEFT_OUT}, since templates are taken from {chosen}"))
    return relations


def near(relations: Relations, path: Path) -> Mapping[str, Row]:
    """The relations as they are for a task there: a file in a folder above it goes before others, the nearest first."""
    above = [folder for folder in path.parents if folder in relations]
    others = [folder for folder in reversed(list(relations)) if folder not in above]
    return ChainMap(*(dict(relations[folder]) for folder in (*above, *others)))


def _add(there: dict[str, Row], rows: Iterable[tuple[str, Row]], file: Path, bad: Bad) -> None:
    for name, row in rows:
        if name in there and there[name].values != row.values:
            bad(Remark(str(file), f"{name} stands there more than once: the last is taken"))
        there[name] = row


def _named(row: Row) -> tuple[str, Row]:
    """A relation's name and row, whose other texts are known to be readable."""
    name, _, texts = row.text("relation"), row.optional("label"), row.any_texts("template")
    for text in texts[1:]:
        check_template(text, f"{row.where}: ")
    return name, row
