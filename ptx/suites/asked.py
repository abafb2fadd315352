"""How a suite is to be read, as a part of its name: `capitals.csv?columns=subject=country,object=capital&limit=20`.

So whatever knows a suite by its name (labels of artifacts, cards, recipes) reads it the same way again. Keys have what
becomes of its facts and templates, never the name.
"""

import dataclasses
from collections.abc import Sequence
from urllib.parse import unquote

from ptx.config import ReadingConfig
from ptx.config.lists import listed
from ptx.errors import UsageError, shown
from ptx.suites.facts import USUAL, Columns
from ptx.suites.task import Fact, Task, is_template, share, spread

MARK = "?"
PARTS = tuple(part.name for part in dataclasses.fields(ReadingConfig))
SPELLED = str.maketrans({"%": "%25", "&": "%26", MARK: "%3F"})


def named(suite: str, reading: ReadingConfig) -> str:
    """The name of a suite that is read so; what `suite` says itself stays unless it is said anew.

    Raises UsageError for a reading of no suite, and for one that cannot be.
    """
    said = {name: value for name in PARTS if (value := getattr(reading, name))}
    if not said:
        return suite
    if not suite:
        raise UsageError("--columns, --template and --limit say how a suite is read", "add --suite NAME")
    place, before = parted(suite)
    reading = _checked(dataclasses.replace(before, **said))
    values = [(name, value) for name in PARTS if (value := getattr(reading, name))]
    return place + MARK + "&".join(f"{name}={str(value).translate(SPELLED)}" for name, value in values)


def parted(suite: str) -> tuple[str, ReadingConfig]:
    """The name of a suite without the reading, and that. Raises UsageError for one that cannot be."""
    place, mark, said = suite.rpartition(MARK)
    parts = [(name, unquote(value)) for name, _, value in (part.partition("=") for part in said.split("&"))]
    if not mark or not {name for name, _ in parts} <= {*PARTS}:
        return suite, ReadingConfig()
    values: dict[str, str | int] = dict(parts)
    if "limit" in values:
        try:
            values["limit"] = int(values["limit"])
        except ValueError:
            raise UsageError(f"{shown(suite)}: the limit is no whole number", "write it like ?limit=20") from None
    return place, _checked(ReadingConfig(**values))  # type: ignore[arg-type]


def _checked(reading: ReadingConfig) -> ReadingConfig:
    columns_of(reading.columns)
    text = reading.template
    if text and not is_template(text):
        hint = 'write it like --template "[X]\'s capital is [Y]."'
        raise UsageError(f"the template {shown(text)!r} needs one [X] and one [Y]", hint)
    return reading


def columns_of(text: str) -> Columns:
    """What `--columns` says. Raises UsageError."""
    parts = [[side.strip() for side in part.split("=", 1)] for part in listed(text)]
    known = [column.name for column in dataclasses.fields(Columns)]
    if wrong := next((part for part in parts if len(part) < 2 or part[0] not in known or not part[1]), None):
        hint = f"write it like --columns subject=country,object=capital; there are {', '.join(known)}"
        raise UsageError(f"--columns: {shown('='.join(wrong))!r} does not say what a column is called", hint)
    columns = dataclasses.replace(USUAL, **dict(parts))
    names = list(vars(columns).values())
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"--columns: {shown(twice)!r} would be two columns", "give each a column of its own")
    return columns


def as_asked(task: Task, reading: ReadingConfig) -> Task:
    """A task with the template that it is to have, and at most so many facts of each split."""
    splits = dict(task.splits)
    if reading.template:
        task = dataclasses.replace(task, template=reading.template, paraphrases=())
        for split, facts in splits.items():
            if any(fact.template for fact in facts):
                splits[split] = tuple(dict.fromkeys(dataclasses.replace(fact, template=None) for fact in facts))
    if reading.limit is not None:
        splits = {split: tuple(_some(facts, reading.limit, task)) for split, facts in splits.items()}
    return dataclasses.replace(task, splits=splits)


def _some(facts: Sequence[Fact], limit: int, task: Task) -> Sequence[Fact]:
    """At most so many, in whatever order there are: the first by a hash of the subject, of texts from each label in
    turn. They stay in their order."""
    if len(facts) <= limit:
        return facts
    if task.labels:
        return spread(facts, limit)
    chosen = sorted(range(len(facts)), key=lambda i: share(facts[i].subject))[:limit]
    return [facts[i] for i in sorted(chosen)]
