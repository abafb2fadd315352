"""The paper's claims, one by one: whether they hold in the cells measured, and by which numbers.

Each judge states its criterion and works by the paper's names of models; the same judges read the published numbers.
A claim is told only from a whole grid: where a cell is missing or covers fewer tasks, the answer is None.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ptx.errors import UsageError
from ptx.paper.cells import Standins
from ptx.paper.grids import Cells, Grids, Untold, published_grids
from ptx.paper.judges import CLAIMS, Judge

LIMITS = (
    "The small models were trained on sentences that state the suite's own facts, and know little else.",
    "Levels of accuracy cannot be compared with the paper's, only which method or source does better.",
    "The larger of two sizes here is about twice the smaller, not three times, so effects of size come out weaker.",
    "There are fewer shared words than the paper's 17,230, so the effect of thousands of anchors is out of reach.",
    "Prompts tuned here lie close to words: discretized, they lose little even on their own model, so that "
    "discretization is a far stronger rival than on the real models.",
    "There is no stand-in for GPT-2 large.",
    "Topics replace SST-2 and DBpedia: nothing here says anything about sentiment.",
    "One zoo, one seed a prompt: a difference of a point or two may be chance.",
)


@dataclass(frozen=True)
class Claim:
    """A claim of the paper; whether it holds here (None: cells are missing); the numbers, in percent, on one line.

    `paper` is what the same criterion gives on the published numbers, empty where those are not in a table.
    """

    text: str
    holds: bool | None
    numbers: str
    paper: str = ""

    def record(self) -> dict[str, Any]:
        return {"claim": self.text, "holds": self.holds, "numbers": self.numbers, "paper": self.paper}


def claims(cells_by_recipe: Cells, standins: Standins) -> list[Claim]:
    """Every claim, judged on the cells of each recipe ("table1", "figure4"), in the paper's order."""
    here, paper = Grids(cells_by_recipe, standins), published_grids()
    made = []
    for text, judge in CLAIMS:
        (holds, numbers), (theirs, figures) = _judge(judge, here), _judge(judge, paper)
        made.append(Claim(text, holds, numbers, f"{_word(theirs)}: {figures}" if theirs is not None else ""))
    return made


def render_claims(made: Sequence[Claim], format: str, *, miniature: bool = False) -> str:
    """The claims as `text` or `md`, each with yes, no or "cannot be told"; of a miniature, also what it cannot show.

    Raises UsageError for another format.
    """
    if format == "text":
        lines = []
        for c in made:
            lines += [f"{_word(c.holds):14}  {c.text}", f"{'':16}{c.numbers}"]
            lines += [f"{'':16}in the paper {c.paper}"] if c.paper else []
    elif format == "md":
        lines = ["| claim | here | numbers here | in the paper |", "| --- | --- | --- | --- |"]
        lines += [f"| {c.text} | {_word(c.holds)} | {c.numbers} | {c.paper} |" for c in made]
    else:
        raise UsageError(f"no format named {format!r} for claims", "choose text or md")
    if miniature:
        mark = "- " if format == "md" else "  "
        lines += ["", "What a miniature cannot show:", "", *(f"{mark}{limit}" for limit in LIMITS)]
    return "\n".join(lines) + "\n"


def _word(holds: bool | None) -> str:
    return "cannot be told" if holds is None else "yes" if holds else "no"


def _judge(judge: Judge, grids: Grids) -> tuple[bool | None, str]:
    try:
        return judge(grids)
    except Untold as why:
        return None, str(why)
