"""Where prompts begin: a text, or noise and words, by random numbers that depend on the seed and the task alone."""

import random
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ptx.config.tune import FACTS_A_TEXT, TEXT, TuneConfig
from ptx.errors import PtxError
from ptx.lms.embeddings import WordEmbeddings, lead, moments
from ptx.lms.lm import LanguageModel
from ptx.transfer.examples import Examples
from ptx.transfer.scoring import Questions, accuracy, answer, thinned

OPTIPROMPT_STD = 0.02


def generator(seed: int, task: str) -> torch.Generator:
    """Random numbers for one task: they depend on nothing else, so tasks can share batches."""
    return torch.Generator().manual_seed(random.Random(f"{seed} {task}").getrandbits(63))


def initial_prompt(
    matrix: Float[Tensor, "v d"], config: TuneConfig, generator: torch.Generator
) -> Float[Tensor, "m d"]:
    """A prompt to tune: normal noise of a small scale (what tuning never moves is noise, and noise is carried over), or
    words."""
    m, d = config.prompt_length, matrix.shape[1]
    if config.init == "words":
        return matrix[torch.randint(len(matrix), (m,), generator=generator)].float()
    paper = config.init_scale == "paper"
    std = OPTIPROMPT_STD if paper else float(config.init_scale) * moments(matrix, correction=1)[1]
    return std * torch.randn(m, d, generator=generator)


def text_prompt(model: WordEmbeddings, text: str, m: int) -> Float[Tensor, "m d"]:
    """The embeddings of a text's tokens in the middle of a sentence: its last m, or all of them over and over, so that
    the text's end is the prompt's (PEFT repeats from the beginning). Raises PtxError for a text without tokens."""
    return model.matrix[(_tokens(model, text) * m)[-m:]].float()


def whole_text(model: WordEmbeddings, text: str) -> Float[Tensor, "m d"]:
    """The same of all its tokens, each once."""
    return model.matrix[_tokens(model, text)].float()


def readable(texts: Sequence[str], *models: WordEmbeddings) -> list[str]:
    """Those of the texts for all of which every model has tokens, and embeddings of them."""

    def reads(model: WordEmbeddings, text: str) -> bool:
        ids = _ids(model, text)
        return bool(ids) and max(ids) < len(model.matrix) and model.tokenizer.unk_token_id not in ids

    return [text for text in texts if all(reads(model, text) for model in models)]


def best_text(
    model: LanguageModel, texts: Sequence[str], m: int, examples: Examples,
    *, tick: Callable[[float], None] = lambda inputs: None,
) -> str:  # fmt: skip
    """The text from whose m vectors the model answers most train facts (any token may be the answer), the first of
    equals; texts that its tokenizer does not know are left out while others are there."""
    known = readable(texts, model) or texts[:1]
    if len(known) == 1:
        return known[0]
    rows, objects = zip(*examples.train, strict=True)
    asked = thinned(Questions(rows, None, objects), FACTS_A_TEXT)
    answers = answer(model, [(asked, text_prompt(model, text, m)) for text in known], ranked=False, tick=tick)
    scores = {text: accuracy(asked, of) for text, of in zip(known, answers, strict=True)}
    return max(known, key=lambda text: scores[text])


def _ids(model: WordEmbeddings, text: str) -> list[int]:
    ids: list[int] = model.tokenizer(f"{lead(model.tokenizer)}{text}", add_special_tokens=False)["input_ids"]
    return ids


def _tokens(model: WordEmbeddings, text: str) -> list[int]:
    ids = _ids(model, text)
    if not ids:
        raise PtxError(
            f"the tokenizer of {model.name} finds nothing in {text!r}", f"write it like --init '{TEXT}is in'"
        )
    model.check_ids(ids, text)
    return ids


def random_prompt(m: int, d: int, statistics: tuple[float, float], generator: torch.Generator) -> Float[Tensor, "m d"]:
    """A normal with the mean and std of word embeddings."""
    mean, std = statistics
    return torch.randn(m, d, generator=generator) * std + mean


def xavier(m: int, d: int, generator: torch.Generator) -> Float[Tensor, "m d"]:
    """Where the authors' Adam begins its search."""
    return torch.randn(m, d, generator=generator) * (2 / (m + d)) ** 0.5
