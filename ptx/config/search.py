"""Settings of `search`, those of its methods among them."""

import math
from dataclasses import dataclass
from typing import Literal

from ptx.config.fields import check_number, check_ranges, option, switch
from ptx.errors import UsageError

Solver = Literal["exact", "adam", "ptfer"]

REFINE = 24  # steps of auto
PAIRS = 4  # of random directions that a step of auto tries for each input, of which one is two forward passes
BATCH = 16  # inputs of a step of distil, or of auto
TRAIN_INPUTS, DRAWN_INPUTS = "train", "words"  # what `--inputs` says where it is no file


@dataclass(frozen=True)
class SearchConfig:
    """Eq. 5 to 7: the target's prompt with the same relative representation."""

    solver: Solver = option(
        "exact",
        "Least squares, Adam as in the paper, or step for step the search of the authors' code, PTfer, which needs "
        "--select dev.",
    )
    steps: int = option(2000, "Steps of Adam.", at_least=0)
    mask: Literal["both", "source"] = option(
        "both", "Where entries outside the top-k count as zero: source and target (the authors' code), or source only."
    )
    ridge: str = option(
        "0",
        "Ridge penalty of relative's exact solver and of linear, in units of the words' mean eigenvalue (of B'B), or "
        "'gcv' to choose it label-free.",
    )
    select: Literal["none", "dev", "agree"] = option(
        "none",
        "'agree' keeps the one of a method's variants whose answers to unlabelled --inputs agree most with the "
        "sources'; 'dev' keeps the step of Adam or PTfer, or the epoch of the projector, that is best on *labelled "
        "target* dev facts, as the authors' code does.",
    )
    weights: str = option("", "Weights of the sources, comma-separated; equal by default.")
    normalize: bool = option(True, "Give the prompt the mean and std of the target's word embeddings (Eq. 6).")
    words: int | None = option(
        None, "Words that make a vector: 4 for neighbours, 1 for hubs, 8 for omp.", at_least=1, before=None
    )
    temperature: float = option(
        0.05,
        "With several words of neighbours or hubs: the smaller, the more does the best of them count.",
        before=0.05,
    )
    centre: bool = option(True, "Turn about the words' mean instead of about nought (procrustes).", before=True)
    length: float = option(
        0.25, "With residual: how much of what tuning added to the text is added in the target.", before=0.25
    )
    map: Literal["relative", "top-k"] = option(
        "relative",
        "With residual: moved by the relative map over all anchors, or over the --top-k highest.",
        before="relative",
    )
    texts: str = option(
        "",
        "With text, residual, auto, distil or ensemble: a file of further texts, one a line, [X] and [Y] or not.",
        before="",
    )
    nth: int = option(
        1,
        "With text: 1 takes the text with which the sources answer best, 2 the next one, and so on.",
        at_least=1,
        before=1,
    )
    inputs: str = option(
        "train",
        "Unlabelled inputs that source and target answer, to choose by agreement and to forecast: the subjects of the "
        "'train' facts (objects are not read), random shared 'words', or a file of subjects, one a line.",
    )
    candidates: str = option(
        "",
        "With auto or distil: the methods to choose among, comma-separated, with settings of the search or none: "
        "residual,text,relative:top_k=64:ridge=1; by default all that need neither labels nor gradients.",
        before="",
    )
    trust: float = option(
        1.0,
        "With auto or distil: the power to which counts what an input changes in the target's answers to its own text, "
        "beside the sources' answers, in what steps go towards (0: not at all, 1: as these).",
        at_least=0,
        before=1.0,
    )
    distil_steps: int = option(
        36, "With distil: gradient steps on the target, of 16 unlabelled inputs each.", at_least=1, before=36
    )
    refine: int | None = option(
        None,
        "With auto: steps from the chosen candidate towards what sources and target answer, by forward passes alone; "
        "24, or 0 with --candidates.",
        at_least=0,
        before=None,
    )
    forecast: bool = switch(
        "--forecast", help="Say which accuracy to expect, from what source and target answer to --inputs."
    )

    def __post_init__(self) -> None:
        check_ranges(self)
        check_number("--ridge", self.ridge, "gcv")
        if self.solver == "exact" and self.steps != 2000:
            raise UsageError("--steps is a setting of Adam", "add --solver adam")
        if not 0 < self.temperature < math.inf:
            raise UsageError(f"--temperature {self.temperature} is no number above 0", "choose one like 0.05")
        if not 0 <= self.length < math.inf:
            raise UsageError(f"--length {self.length} is no share", "give a number like --length 0.5; 0 is the text")
        if self.trust == math.inf:
            raise UsageError("--trust inf is no number", "give a number like --trust 0.5")
        if self.solver == "ptfer":
            self._check_ptfer()

    @property
    def refining(self) -> int:
        """`--refine`, or what stands for it."""
        return self.refine if self.refine is not None else 0 if self.candidates else REFINE

    @property
    def penalty(self) -> float | str:
        """`--ridge` as it is in keys."""
        return self.ridge if self.ridge == "gcv" else float(self.ridge)

    def _check_ptfer(self) -> None:
        """Raise UsageError for what the authors' search cannot do, and unless the choice by labels is asked for."""
        what = "--solver ptfer is the search of the authors' code"
        if self.select != "dev":
            chooses = f"{what}: it chooses among its steps on labelled target dev facts, and is not zero-shot"
            raise UsageError(chooses, "add --select dev, or use --solver adam")
        if self.mask != "both" or self.weights:
            flag = "--weights" if self.weights else "--mask source"
            raise UsageError(f"{what}, which has no {flag}", "leave it out, or use --solver adam")
        if self.steps < 50:
            few = f"{what}, which looks at every 50th step: {self.steps} are too few"
            raise UsageError(few, "give --steps 50 or more")
