"""Columns of text that fit a width: texts folded where they may be, and columns that do not fit put into a further
block."""

import re
import shutil
from collections.abc import Sequence

WIDTH = 80  # where there is no terminal
LEAST = 8  # letters that a column of text keeps
GAP = 2  # blanks between columns
BREAKS = re.compile(r"[^ +/]*[ +/]+|[^ +/]+")  # pieces of a text: a line may end behind each


def terminal_width() -> int:
    """Of the terminal, or as COLUMNS says; else 80."""
    return shutil.get_terminal_size((WIDTH, 24)).columns


def width_of(text: str) -> int:
    """Of the longest line, as terminals show it."""
    from rich.cells import cell_len

    return max(map(cell_len, text.split("\n")))


def least(text: str) -> int:
    """The width of its longest piece."""
    return max((width_of(piece.rstrip()) for line in text.split("\n") for piece in BREAKS.findall(line)), default=0)


def folded(text: str, width: int) -> str:
    """The text in lines of a width, which end behind a blank, "+" or "/", or, where a piece is longer, anywhere."""
    lines: list[str] = []
    for whole in text.split("\n"):
        line = ""
        for piece in BREAKS.findall(whole) if width_of(whole) > width else [whole]:
            if line and width_of(line + piece.rstrip()) > width:
                lines.append(line.rstrip())
                line = ""
            line += piece
            while width_of(line.rstrip()) > width:
                cut = next(n for n in range(len(line), 0, -1) if n == 1 or width_of(line[:n]) <= width)
                lines.append(line[:cut])
                line = line[cut:]
        lines.append(line.rstrip())
    return "\n".join(lines)


def narrowed(widths: Sequence[int], room: int, lowest: Sequence[int]) -> list[int]:
    """Widths that together fit into a room, if they can: the widest are made narrower, none below its lowest."""
    made = [*widths]
    while sum(made) > room and any(own > low for own, low in zip(made, lowest, strict=True)):
        widest = max(range(len(made)), key=lambda i: (made[i] > lowest[i], made[i]))
        made[widest] -= 1
    return made


def blocks(labels: Sequence[int], columns: Sequence[int], width: int) -> list[list[int]]:
    """Which columns stand beside each other, behind columns of labels that every block has: as many as fit."""
    taken = sum(labels) + GAP * len(labels)
    made: list[list[int]] = []
    left = 0
    for i, own in enumerate(columns):
        if not made or own > left:
            made.append([])
            left = width - taken
        made[-1].append(i)
        left -= own + GAP
    return made or [[]]
