"""Text from outside on its way to a medium, one function each: names of models, tasks, tensors and files, subjects, and
whatever else a stranger's file holds. Every door and writer passes it through the function of its medium."""

import json
import re
from html import escape as html

__all__ = [
    "cell", "code", "counted", "html", "markdown", "one_line", "paragraph", "percent", "quoted", "terminal", "tex",
    "tidy",
]  # fmt: skip

# What a terminal obeys in place of showing it: control codes, separators of lines, changes of direction; and halves of
# characters, which no file can hold.
OBEYED = re.compile(r"[\0-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
CONTROL = re.compile(rf"(?:{OBEYED.pattern}|[\t\n])+")
FORMULA = re.compile(r"[=+\-@\uff0b\uff0d\uff1d\uff20]")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?%?", re.IGNORECASE)
# An underscore inside a word is none, and brackets are a link only in front of what it leads to.
MARKUP = re.compile(r"[\\`*<|~]|&(?=#|\w+;)|\](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])")
# Backslash and braces in one pass with the rest: what is put in must not be escaped again.
TEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "→": r"$\rightarrow$", "±": r"$\pm$", "†": r"$^\dagger$",
    "−": "$-$",
    "[": "{[}",  # after a line's \\ a bracket would be read as a length
    "*": "{*}",  # and an asterisk as part of the command
    "<": "$<$", ">": "$>$",
}  # fmt: skip


def counted(count: int, noun: str, several: str = "") -> str:
    """ "1 task", "1,200 tasks"."""
    return f"{count:,} {noun if count == 1 else several or noun + 's'}"


def percent(share: float) -> str:
    """A share between 0 and 1, as all that is printed for people has it; files and JSON have the share itself."""
    return f"{100 * share + 0.0:.1f}"


def terminal(text: str) -> str:
    """Lines for a terminal: what it would obey is spelled, as JSON and Python do. Inside JSON nothing else changes."""
    return OBEYED.sub(_spelled, text)


def one_line(text: str) -> str:
    """The same on one line: what a message says cannot look like another one."""
    return terminal(text).replace("\n", r"\n").replace("\t", r"\t")


def _spelled(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def tidy(text: str) -> str:
    """Text in a table: without line breaks, which end a comment or a cell, and whatever a terminal obeys."""
    return CONTROL.sub(" ", text)


def cell(value: object) -> object:
    """A value in a CSV file. A text that spreadsheets would take for a formula has an apostrophe before it; numbers,
    in texts too, stay as they are."""
    if not isinstance(value, str):
        return value
    text = tidy(value)
    return f"'{text}" if FORMULA.match(text.lstrip()) and not NUMBER.fullmatch(text) else text


def markdown(text: str) -> str:
    """Text inside a line or a table of Markdown: no markup, links or HTML."""
    return MARKUP.sub(lambda found: "&lt;" if found[0] == "<" else "\\" + found[0], tidy(text))


def paragraph(text: str) -> str:
    """The same for a whole line. What stands in backticks stays code, as ptx writes commands."""
    parts = re.split("`([^`]*)`", tidy(text).lstrip())
    made = "".join(code(part) if i % 2 else markdown(part) for i, part in enumerate(parts))
    return re.sub(r"^([#>=+-])|^(\d+)(?=[.)])", lambda found: f"\\{found[1]}" if found[1] else f"{found[2]}\\", made)


def code(text: str) -> str:
    """Text as code inside a line of Markdown, whatever backticks it has."""
    text = tidy(text)
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    space = " " if text[:1] in ("`", " ") or text[-1:] in ("`", " ") else ""
    return f"{fence}{space}{text}{space}{fence}"


def quoted(text: str) -> str:
    """Text as a literal of Python, on one line."""
    return terminal(json.dumps(text, ensure_ascii=False))


def tex(text: str) -> str:
    return "".join(TEX.get(letter, letter) for letter in tidy(text))
