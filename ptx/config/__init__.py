"""Settings of each stage. A field of a stage's config changes its result, so it is part of the artifact's key.

What is left out of keys, and why that is safe: the device, the number of jobs, evaluation batch sizes and how tasks
are grouped change the last digits (docs/trust.md says what is promised); the cache path and file times change nothing.
"""

import math
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from ptx.config.devices import check_device
from ptx.config.dtypes import dtypes
from ptx.config.lists import listed as listed
from ptx.config.lists import names_in as names_in
from ptx.config.lists import seeds_of as seeds_of
from ptx.errors import UsageError

Layout = Literal["postfix", "prefix"]
Schedule = Literal["constant", "linear"]
Optimizer = Literal["adam", "optiprompt"]
Solver = Literal["exact", "adam", "ptfer"]

BEFORE = "before"
DRAWN = ("random", "words")  # what `--init` says where neither a prompt nor a text is given
TEXT = "text:"  # what stands before a text
TRAIN_INPUTS, DRAWN_INPUTS = "train", "words"  # what `--inputs` says where it is no file
LARGEST_LR = 1e30  # far beyond any use; at 1e38 Adam's own arithmetic overflows


UNSAID: Any = object()  # None is a value like others


def option(default: Any, help: str, *, at_least: int | None = None, before: Any = UNSAID) -> Any:
    """A dataclass field that the command line shows as an option with this help text.

    `before`: it came when there were caches already, whose keys do not have it: what was done then, which keys leave
    out to this day.
    """
    more = {} if at_least is None else {"at_least": at_least}
    more |= {} if before is UNSAID else {BEFORE: before}
    return field(default=default, metadata={"description": help, **more})


def switch(*flags: str, help: str) -> Any:
    """A field that is false unless one of the flags is given."""
    return field(default=False, metadata={"description": help, "flags": [*flags]})


def keyed(config: Any) -> dict[str, Any]:
    """The settings of a stage as they are in keys."""
    quiet = left_out(type(config))
    return {name: value for name, value in vars(config).items() if name not in quiet or quiet[name] != value}


def left_out(config: type) -> dict[str, Any]:
    """The settings of a stage that keys have only where they are others than these."""
    return {own.name: own.metadata[BEFORE] for own in fields(config) if BEFORE in own.metadata}


def names_prompts(init: str) -> bool:
    """Whether `--init` names finished prompts, and neither a text nor what is drawn."""
    return init not in (*DRAWN, "text") and not init.startswith(TEXT)


def _check_ranges(config: Any) -> None:
    """Raise UsageError for a value that is less than its field allows."""
    for own in fields(config):
        value, minimum = getattr(config, own.name), own.metadata.get("at_least")
        if None not in (value, minimum) and not value >= minimum:  # which no nan is
            flag = "--" + own.name.replace("_", "-")
            raise UsageError(f"{flag} {value} is less than {minimum}", f"choose {flag} {minimum} or more")


def _number(flag: str, text: str, word: str) -> None:
    """Raise UsageError unless `text` is a finite number that is not negative, or `word`."""
    try:
        good = text == word or 0 <= float(text) < math.inf
    except ValueError:
        good = False
    if not good:
        raise UsageError(f"{flag} {text!r} is neither a number nor {word!r}", f"write it like {flag} 0.1")


@dataclass(frozen=True)
class TuneConfig:
    """Eq. 2: gradient descent on log P(answer) over m prompt vectors, the model frozen.

    Where the paper and its code have settings of their own, recipes name them; these are what learns on every model
    that was tried, since steps and starts are in units of the model's own embeddings.
    """

    prompt_length: int = option(5, "Number of prompt vectors, m.", at_least=1)
    layout: Layout = option("postfix", "Where the prompt stands: behind the subject or before it.")
    init: str = option(
        "text",
        "Start from the text that is best on train facts of those that the task's manual template and title give "
        "('text'; noise where there is no template) or your own "
        "('text:is the capital of'), from noise ('random'), from the embeddings of random 'words', or from finished "
        "prompts of this model: keys or paths of artifacts, one for each task, comma-separated, or a prompt file for "
        "one task.",
    )
    init_scale: str = option(
        "0.1", "Std of --init random as a multiple of the word embeddings' std; 'paper' is OptiPrompt's fixed 0.02."
    )
    epochs: int = option(10, "Passes over the train split; the best one on the source's dev split is kept.", at_least=1)
    lr: float | None = option(None, "Adam's learning rate as a number, such as 0.01, in place of --lr-scale.")
    lr_scale: float = option(0.1, "Adam's learning rate as a multiple of the word embeddings' std.", before=None)
    batch_size: int = option(16, "Facts per gradient step.", at_least=1)
    schedule: Schedule = option(
        "linear", "The learning rate over all steps: rising from 0 and falling to 0, or constant.", before="constant"
    )
    warmup: float = option(0.1, "With --schedule linear: the share of steps in which the rate rises.", before=0.0)
    optimizer: Optimizer = option(
        "adam", "Adam, or OptiPrompt's: without Adam's bias correction, so that early steps are longer.", before="adam"
    )
    patience: int = option(
        3,
        "Stop after so many epochs in which neither loss nor dev accuracy got better; where the last of --epochs is "
        "the best, go on for as many again, up to three times; 0: exactly --epochs.",
        at_least=0,
        before=0,
    )

    def __post_init__(self) -> None:
        _check_ranges(self)
        if not 0 <= self.warmup <= 1:
            raise UsageError(f"--warmup {self.warmup} is not between 0 and 1", "give a share of all steps like 0.1")
        _number("--init-scale", self.init_scale, "paper")
        for flag, value in (("--lr", self.lr), ("--lr-scale", self.lr_scale)):
            if value is not None and not 0 < value <= LARGEST_LR:
                raise UsageError(
                    f"{flag} {value} is not between 0 and {LARGEST_LR:g}", f"choose a rate like {flag} 0.1"
                )
        chosen = {own.name for own in fields(self) if getattr(self, own.name) != own.default}
        if {"lr", "lr_scale"} <= chosen:
            raise UsageError("--lr and --lr-scale both say the rate", "leave one of them out")
        if "warmup" in chosen and self.warmup and self.schedule == "constant":
            raise UsageError("--warmup is a setting of --schedule linear", "leave it out, or use --schedule linear")
        if self.init.startswith(TEXT) and not self.init.removeprefix(TEXT).strip():
            raise UsageError("--init text: is followed by no text", "write it like --init 'text:is the capital of'")

    def rate(self, std: float) -> float:
        """The learning rate on a model whose word embeddings have a standard deviation of `std`."""
        return self.lr_scale * std if self.lr is None else self.lr

    @property
    def smaller(self) -> str:
        """An option that makes steps ten times smaller."""
        return f"--lr-scale {self.lr_scale / 10:g}" if self.lr is None else f"--lr {self.lr / 10:g}"


@dataclass(frozen=True)
class AnchorsConfig:
    """Which of the words shared by all models serve as anchors."""

    count: int | None = option(None, "Number of anchors; all shared words by default.", at_least=1)
    order: Literal["random", "rank"] = option("random", "With --count: a random choice, or the most frequent words.")
    keep_words: bool = option(
        False,
        "Keep words that some model reads as one token, Paris and paris say, as published lists do.",
        before=False,
    )

    def __post_init__(self) -> None:
        _check_ranges(self)


@dataclass(frozen=True)
class EncodeConfig:
    """Eq. 3: cosine similarities to the anchors, of which the top-k count."""

    top_k: str = option(
        "8192", "Similarities kept per vector, the highest ones: a number, 'all', or a share of the anchors like 48%."
    )

    def __post_init__(self) -> None:
        share = self.top_k.removesuffix("%")
        try:
            good = self.top_k == "all" or (0 < float(share) <= 100 if share != self.top_k else int(share) >= 1)
        except ValueError:
            good = False
        if not good:
            raise UsageError(f"--top-k {self.top_k!r} is no number of anchors", "write --top-k 512, all, or 48%")


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
        0.5, "With residual: how much of what tuning added to the text is added in the target.", before=0.5
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
        "With distil: the power to which counts what an input changes in the target's answers to its own text, beside "
        "the sources' answers (0: not at all, 1: as these).",
        at_least=0,
        before=1.0,
    )
    distil_steps: int = option(
        36, "With distil: gradient steps on the target, of 16 unlabelled inputs each.", at_least=1, before=36
    )
    forecast: bool = switch("--forecast", help="Say which accuracy to expect, from agreement on --inputs.")

    def __post_init__(self) -> None:
        _check_ranges(self)
        _number("--ridge", self.ridge, "gcv")
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


@dataclass(frozen=True)
class EvalConfig:
    """Which facts to score."""

    split: Literal["train", "dev", "test"] = option("test", "The facts to score.")
    on: str = option("", "Score the facts of this suite's tasks of the same names instead, such as LAMA's easy ones.")


@dataclass(frozen=True)
class ReadingConfig:
    """How a suite is read. It is part of the suite's name (suites/asked.py); keys have what it makes of the facts."""

    columns: str = option(
        "",
        "What the columns of your facts are called, as subject=country,object=capital; also task, split and template.",
    )
    template: str = option("", 'The manual template, as "[X]\'s capital is [Y].", in place of any that the suite has.')
    limit: int | None = option(None, "At most so many facts of each split of a task, for a quick look.", at_least=1)

    def __post_init__(self) -> None:
        _check_ranges(self)


@dataclass(frozen=True)
class SuiteConfig(ReadingConfig):
    """Which tasks to work on."""

    suite: str = option(
        "facts",
        "An embedded suite, a folder or file of your own, split:FOLDER or split:FILE (a test set, split by a hash), "
        "sst2:FOLDER and other presets, lmeval:FILE.yaml, or hf:NAME.",
    )
    tasks: str = option("", "Tasks, comma-separated, such as P17,P36; all by default.")
    truncate: bool = option(False, "Cut texts to classify that are longer than the model takes, instead of refusing.")
    strict: bool = option(False, "Refuse facts whose object is not one shared word, instead of dropping them.")


@dataclass(frozen=True)
class CommonConfig:
    """What commands take, each what it uses; none of it but the seed and a dtype other than float32 is in a key."""

    cache_dir: str = option("cache", "Where artifacts are kept: a folder, or s3://...")
    seed: int = option(0, "Seed of everything that is drawn at random.")
    device: str = option("auto", "Where to compute: auto, cpu, cuda, cuda:1, mps.")
    dtype: str = option(
        "float32",
        "What models compute in: float32, bfloat16, float16, or auto, the checkpoint's type; target=TYPE, source=TYPE "
        "or NAME=TYPE for some, comma-separated. Prompts and searches stay in float32 or better.",
    )
    force: bool = switch("--force", help="Rebuild this command's own artifacts, or replace the file that it writes.")
    dry_run: bool = switch("--dry-run", help="Only say what is in the cache, what is to be built, and what that takes.")
    list: bool = switch("--list", help="With --dry-run: name each artifact, however many there are.")
    json: bool = switch("--json", help="Print one JSON object a line.")
    quiet: bool = switch("--quiet", "-q", help="Print artifact paths only.")
    verbose: bool = switch("--verbose", "-v", help="Say more on stderr: what is found, what is built, where, how long.")

    def __post_init__(self) -> None:
        check_device(self.device)
        dtypes(self.dtype)


CONFIGS = {
    "tune": TuneConfig,
    "anchors": AnchorsConfig,
    "encode": EncodeConfig,
    "search": SearchConfig,
    "eval": EvalConfig,
}
