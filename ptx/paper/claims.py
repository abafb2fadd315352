"""The paper's claims, one by one: whether they hold in the cells measured, and by which numbers.

Each judge states its criterion and works by the paper's names of models; the same judges read the published numbers,
which are means only, so that they come without intervals and verdicts. A claim is told from a whole grid: where a cell
is missing or covers fewer tasks, it cannot be told.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ptx.errors import UsageError
from ptx.media import markdown
from ptx.paper.cells import Standins
from ptx.paper.effects import CONFIDENCE, RESAMPLES, numbers, verdict
from ptx.paper.grids import Cells, Grids, Untold, published_grids
from ptx.paper.judges import CLAIMS, Judge
from ptx.results.layout import WIDTH
from ptx.results.sheet import wrapped

READING = (
    f"[low, high] is a {CONFIDENCE:.0%} interval: {RESAMPLES:,} times, as many relations (in classification, texts) "
    "are drawn anew, the same for both sides, and the number in front of it is computed again.",
    "yes or no: all of the interval is on one side of zero, the claimed one or the other; cannot be told: the interval "
    "includes zero, or cells are missing.",
    "Of the paper's numbers only means are known: they have no interval and no verdict.",
)
ONE_SEED = "One seed for every prompt: how far another one would move a number is not covered by the intervals."
SEEDS = "Seeds are averaged before relations are drawn; what each seed alone gives stands in parentheses."
LIMITS = (
    "The small models were trained on sentences that state the suite's own facts, and know little else.",
    "Every object is one token in every model, and how long these were pretrained was chosen by tuned accuracy.",
    "Levels of accuracy cannot be compared with the paper's, only which method or source does better.",
    "The larger of two sizes here is about twice the smaller, not three times, so effects of size come out weaker.",
    "There are fewer shared words than the paper's 17,230, so the effect of thousands of anchors is out of reach.",
    "Prompts tuned here lie close to words: discretized, they lose little even on their own model, so that "
    "discretization is a far stronger rival than on the real models.",
    "There is no stand-in for GPT-2 large.",
    "Topics replace SST-2 and DBpedia: nothing here says anything about sentiment.",
    "One zoo: the intervals say nothing about other models.",
)


@dataclass(frozen=True)
class Claim:
    """A claim of the paper; whether it holds here (None: cannot be told); the numbers, in percent, on one line.

    `paper` is what the same criterion gives on the published numbers, empty where those are not in a table. `figures`
    has the effect as numbers: value, low, high, units and seeds; nothing where cells are missing.
    """

    text: str
    holds: bool | None
    numbers: str
    paper: str = ""
    figures: dict[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        told = {"claim": self.text, "holds": self.holds, "numbers": self.numbers, "paper": self.paper}
        return told | dict.fromkeys(("value", "low", "high", "units", "seeds")) | self.figures


def claims(cells_by_recipe: Cells, standins: Standins, anchors: int | None = None) -> list[Claim]:
    """Every claim, judged on the cells of each recipe ("table1", "figure4"), in the paper's order.

    `anchors` is how many "all" are in figure4.
    """
    here, paper = Grids(cells_by_recipe, standins, anchors), published_grids()
    return [_judged(text, judge, here, paper) for text, judge in CLAIMS]


def _judged(text: str, judge: Judge, here: Grids, paper: Grids) -> Claim:
    try:
        theirs = numbers(judge(paper), None)
    except Untold:
        theirs = ""
    try:
        effect = judge(here)
    except Untold as why:
        return Claim(text, None, str(why), theirs)
    interval = effect.interval()
    low, high = interval or (None, None)
    figures = {"value": effect.value, "low": low, "high": high, "units": effect.units, "seeds": [*effect.seeds]}
    return Claim(text, verdict(effect, interval), numbers(effect, interval), theirs, figures)


def render_claims(made: Sequence[Claim], format: str, *, miniature: bool = False, width: int = WIDTH) -> str:
    """The claims as `text` of a width or `md`, each with yes, no or "cannot be told", and how to read them; of a
    miniature, also what it cannot show.

    Raises UsageError for another format.
    """
    if format == "text":
        lines = []
        for c in made:
            lines += [_beside(_word(c.holds), c.text, width), _beside("", c.numbers, width)]
            lines += [_beside("", f"in the paper: {c.paper}", width)] if c.paper else []
    elif format == "md":
        lines = ["| claim | here | numbers here | in the paper |", "| --- | --- | --- | --- |"]
        rows = ((c.text, _word(c.holds), c.numbers, c.paper) for c in made)
        lines += [f"| {' | '.join(map(markdown, row))} |" for row in rows]
    else:
        raise UsageError(f"no format named {format!r} for claims", "choose text or md")
    mark = "- " if format == "md" else "  "

    def item(text: str) -> str:
        return mark + text if format == "md" else wrapped(text, width, mark)

    several = any(len(c.figures.get("seeds", ())) > 1 for c in made)
    lines += ["", "How to read this:", "", *map(item, (*READING, SEEDS if several else ONE_SEED))]
    if miniature:
        lines += ["", "What a miniature cannot show:", "", *map(item, LIMITS)]
    return "\n".join(lines) + "\n"


def _beside(verdict: str, text: str, width: int) -> str:
    """A text in lines behind its verdict."""
    first, *more = wrapped(text, width, " " * 16).split("\n")
    return "\n".join([f"{verdict:16}{first[16:]}", *more])


def _word(holds: bool | None) -> str:
    return "cannot be told" if holds is None else "yes" if holds else "no"
