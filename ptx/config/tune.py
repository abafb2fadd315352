"""Settings of `tune`, and what its `--init` means."""

from dataclasses import dataclass, fields
from typing import Literal

from ptx.config.fields import check_number, check_ranges, option
from ptx.errors import UsageError

Layout = Literal["postfix", "prefix"]
Schedule = Literal["constant", "linear"]
Optimizer = Literal["adam", "optiprompt"]
Purpose = Literal["home", "transfer"]

DRAWN = ("random", "words")  # what `--init` says where neither a prompt nor a text is given
TEXT = "text:"  # what stands before a text
FACTS_A_TEXT = 64  # train facts by which one of several texts is chosen
A_STEP = 2.0  # forward passes that a gradient step takes the time of: the weights are frozen, and have no gradients
LARGEST_LR = 1e30  # far beyond any use; at 1e38 Adam's own arithmetic overflows


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
    purpose: Purpose = option(
        "home",
        "What the prompts are for: 'transfer' tunes as was found to travel best, which the defaults do, and refuses "
        "a start that was found not to travel: from noise.",
        flag="--for",
    )

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.purpose == "transfer" and self.init in DRAWN:
            what = f"--for transfer starts from a text: between decoders none travels that --init {self.init} began"
            raise UsageError(what, "leave --init out, or write it like --init 'text:is the capital of'")
        if not 0 <= self.warmup <= 1:
            raise UsageError(f"--warmup {self.warmup} is not between 0 and 1", "give a share of all steps like 0.1")
        check_number("--init-scale", self.init_scale, "paper")
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


def names_prompts(init: str) -> bool:
    """Whether `--init` names finished prompts, and neither a text nor what is drawn."""
    return init not in (*DRAWN, "text") and not init.startswith(TEXT)
