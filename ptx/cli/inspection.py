"""What `ptx inspect` prints for a person: a row per vector, the models side by side."""

import textwrap
from pathlib import Path
from typing import Any

from ptx.cli.output import Output
from ptx.prompts.inspect import Report
from ptx.results.layout import terminal_width
from ptx.results.sheet import wrapped

HARD_SPACE = "\xa0"  # between a word and its cosine: no line ends there
FIGURES = {  # of transferred prompts, where the cache still has what they are compared with: title, and what it means
    "cosine_to_source_words": "to source's: mean cosine, in the target, to the words that are nearest in the source",
    "matching_loss": "loss: 1 - cosine of relative representations, of the prompt as it is used (after Eq. 6)",
}


def show(report: Report, out: Output) -> None:
    """As wide as the terminal, for a few models."""
    line = terminal_width()
    *sources, own = [Path(name).name for name in report.models]
    figures = [name for name in FIGURES if name in report.rows[0]]
    behind = ["norm", "x mean", *(FIGURES[name].partition(":")[0] for name in figures)]
    taken = sum(len(name) + 2 for name in ("#", *behind)) + 4 * bool(sources)
    width = max((line - taken) // len(report.models) - 2, 16)
    rows: list[list[str]] = []
    for row in report.rows:
        sides = [*row.get("sources", []), row]
        norms = ["\n".join(f"{side[name]:.2f}" for side in sides) for name in ("norm", "relative_norm")]
        numbers = [f"{row[name]:.3f}" for name in figures]
        words = [_words(side["words"], width) for side in sides]
        gap = [[""] * (1 + len(sides) + len(behind))] if sources and rows else []
        rows += [*gap, [str(row["vector"]), *words, *norms, *numbers]]
    out.data(report.title)
    among = "each of these models" if sources else own
    head = f"nearest words with their cosines, among the {report.words:,} that are one token in {among}"
    out.data(wrapped(head, line))
    out.data("")
    out.columns(["#", *(f"{name} (source)" for name in sources), own, *behind], rows)
    first = "; sources first" if sources else ""
    out.data("")
    out.data(wrapped(f"x mean: the norm as a multiple of the model's mean word-embedding norm{first}", line))
    for name in figures:
        out.data(wrapped(FIGURES[name], line))


def _words(found: list[dict[str, Any]], width: int) -> str:
    """Words and cosines in lines of a width; a word too long for one is cut."""
    most = width - 6
    words = [word if len(word) <= most else word[: most - 1] + "…" for word in (entry["word"] for entry in found)]
    cells = [f"{word}{HARD_SPACE}{entry['cosine']:.2f}" for word, entry in zip(words, found, strict=True)]
    lines = textwrap.wrap("  ".join(cells), width, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace(HARD_SPACE, " ")
