"""Texts behind a subject after which the answer comes next, from a task's manual template and title. Nothing heavy is
imported.

A template's words alone are often a bad text: "The official language of is", and behind "is located in" a model says
"the" before it says a country. Which of several is good differs by model; labelled facts of one's own model tell it.
"""

import re

from ptx.lms.template import SIGNS

OF_SUBJECT = re.compile(r"(?:The|the|An?|an?) (.+) of \[X\] (.+?) ?\[Y\]")  # "The capital of [X] is [Y] ."
DETAIL = re.compile(r"\s(?:of|or|on|in)\s|[,/(]")  # "language of work or name", "languages spoken, written or signed"


def words_of(template: str) -> str:
    """The words of a manual template that a prompt behind the subject starts from: those from behind the answer on,
    then from the beginning, so that what led to the answer comes last.

    "The capital of [X] is [Y] ." gives "The capital of is", "[X] is a [Y] by profession ." gives "by profession is a".
    """
    before, _, behind = template.replace("[X]", " ").partition("[Y]")
    return " ".join(f"{behind.strip().rstrip(SIGNS)} {before}".split())


def of_kind(template: str, kind: str) -> list[str]:
    """Ways to say a template with what its answers are, such as "city": "was born in the city of", ": its city is",
    "( city :"; of "The capital of [X] is [Y] ." ": its capital is the city of"."""
    bases = _of_subject(template) or [words_of(template)]
    return [*(f"{base} the {kind} of".strip() for base in bases), *_called(kind)]


def _of_subject(template: str) -> list[str]:
    """What its subject has; nothing unless the template says it so."""
    found = OF_SUBJECT.match(template)
    return [f"{whose} {' '.join(found.groups())}" for whose in (": its", ", whose")] if found else []


def _called(noun: str) -> list[str]:
    """What its subject has, by a noun for the answer alone."""
    return [f": its {noun} is", f", whose {noun} is", f"( {noun} :", f", {noun} :"]


def wordings(template: str, title: str = "") -> list[str]:
    """The words of a template (if there is one), then other ways to say it, each once: what its subject has ("The
    capital of [X] is [Y] ." gives ", whose capital is"), and what it is by the task's title, such as "continent"
    ("is located in the continent of", ": its continent is", "( continent :"). A title without what follows its noun
    counts, too.
    """
    words = words_of(template)
    of_subject = _of_subject(template)
    found = [words, *of_subject]
    for noun in dict.fromkeys([title.strip(), DETAIL.split(title)[0].strip()]):
        if noun:
            found += [] if of_subject else [f"{words} the {noun} of"]
            found += _called(noun)
    return list(dict.fromkeys(filter(None, map(str.strip, found))))
