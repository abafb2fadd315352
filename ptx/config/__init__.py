"""Settings of each stage. A field of a stage's config changes its result, so it is part of the artifact's key.

What is left out of keys, and why that is safe: the device, the number of jobs, evaluation batch sizes and how tasks
are grouped change the last digits (docs/trust.md says what is promised); the cache path and file times change nothing.
"""

from dataclasses import dataclass
from typing import Literal

from ptx.config.devices import check_device
from ptx.config.dtypes import dtypes
from ptx.config.fields import check_ranges, option, switch
from ptx.config.search import SearchConfig
from ptx.config.tune import TuneConfig
from ptx.errors import UsageError


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
        check_ranges(self)


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
        check_ranges(self)


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
