"""What a suite consists of: facts, or texts to classify, by split."""

import functools
import hashlib
import itertools
import unicodedata
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ptx.cache import digest
from ptx.errors import PtxError, shown
from ptx.suites.lines import Remark

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Fact:
    """One example. `where` is the "file:line" it was read from, for error messages; it identifies nothing."""

    subject: str  # the [X] of a template: a subject, or the text to classify
    object: str  # the answer, one word: for a text to classify, its label's
    where: str = field(default="", compare=False)
    template: str | None = None  # the manual prompt of this fact alone, where it is not the task's
    others: tuple[str, ...] = ()  # answers that are as right as `object`

    @property
    def answers(self) -> tuple[str, ...]:
        """All that is right; a fact can be asked if any of them is an allowed word."""
        return (self.object, *self.others)

    def known(self, words: Container[str]) -> list[str]:
        """Those of its answers that are among some words; a fact is tuned on the first of them."""
        return [answer for answer in self.answers if answer in words]

    @property
    def record(self) -> list[Any]:
        """What identifies the fact. What it does not have is left out: digests of caches that are in use stay."""
        more = {name: value for name in ("template", "others") if (value := getattr(self, name))}
        return [self.subject, self.object, *([more] if more else [])]


@dataclass(frozen=True)
class Task:
    """One relation or classification. `template` is the manual prompt, None if the user gave none; its `paraphrases`
    are templates whose words a prompt may start from as well."""

    name: str
    label: str  # a title for people
    template: str | None
    splits: Mapping[str, tuple[Fact, ...]]
    labels: tuple[str, ...] = ()  # classification: the label words, to which predictions are restricted
    truncate: bool = False  # texts longer than the model takes are cut instead of refused
    as_written: bool = False  # its texts are whole inputs of another program, before which no space is put
    strict: bool = False  # an object that is no allowed word is an error; changes no result, so no part of the digest
    repeated: Mapping[str, int] = field(default_factory=dict)  # by split: lines left out as repetitions of others
    paraphrases: tuple[str, ...] = ()

    def asked_as(self, template: str) -> str:
        """The template of its inputs: before a text that is asked as written stands no space."""
        return template.replace("[V] [X]", "[V][X]") if self.as_written else template

    def digest(self, *splits: str) -> str:
        """Identifies the records of some splits and what is done with them; the task's name and title do not matter."""
        if splits in self._digests:
            return self._digests[splits]
        records: dict[str, object] = {split: [fact.record for fact in self.splits[split]] for split in splits}
        if self.labels or self.truncate:  # left out otherwise: facts keep the digests of caches that are in use
            records |= {"labels": list(self.labels), "truncate": self.truncate}
        if self.as_written:
            records["as_written"] = True
        self._digests[splits] = digest(records)
        return self._digests[splits]

    @functools.cached_property
    def _digests(self) -> dict[tuple[str, ...], str]:
        """A grid asks for the same ones thousands of times."""
        return {}


@dataclass(frozen=True)
class Suite:
    name: str
    tasks: tuple[Task, ...]
    remarks: tuple[Remark, ...] = ()  # what was assumed or left out when it was read

    def choose(self, names: Sequence[str] | None) -> list[Task]:
        """The named tasks in the order given, all by default. Raises PtxError for an unknown one."""
        by_name = {task.name: task for task in self.tasks}
        for name in names or ():
            if name not in by_name:
                known = ", ".join(list(by_name)[:8])
                raise PtxError(f"unknown task {name!r} in suite {self.name}", f"its {len(by_name)} tasks: {known}, ...")
        return [by_name[name] for name in dict.fromkeys(names)] if names else list(self.tasks)


def check_task_name(name: str, where: str) -> None:
    """Names become parts of paths and of lists: raise PtxError for one that could leave its folder or its line."""
    odd = any(c in "/\\" or unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name)
    if odd or name in ("", ".", "..") or len(name) > 200:
        message = f"{where}: the task name {name[:60]!r} is empty, too long, or holds a slash or control character"
        raise PtxError(message, "choose a short name without these")


def is_template(text: str) -> bool:
    """Whether it has one [X] and one [Y]."""
    return text.count("[X]") == text.count("[Y]") == 1


def check_template(text: str, where: str = "") -> None:
    """Raise PtxError for a text that is no template."""
    if not is_template(text):
        what = f"{where}the template {shown(text)!r} needs one [X] and one [Y]"
        raise PtxError(what, 'write it like "[X] lies in [Y] ." or "[X] All in all , it was [Y] ."')


def share(text: str) -> float:
    """A number in [0, 1) that depends on the text alone: splits made by it are stable and share no text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64


def spread(facts: Iterable[Fact], limit: int) -> list[Fact]:
    """At most `limit` facts, in whatever order: the first by a hash of the text, taken from each label in turn."""
    by_label: dict[str, list[Fact]] = {}
    for fact in sorted(facts, key=lambda fact: share(fact.subject)):
        by_label.setdefault(fact.object, []).append(fact)
    turns = itertools.zip_longest(*(group for _, group in sorted(by_label.items())))
    return list(itertools.islice((fact for turn in turns for fact in turn if fact is not None), limit))
