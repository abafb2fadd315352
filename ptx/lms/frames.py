"""The tokens around every text that a masked LM's inputs carry, for tokenizers that do not add them themselves.

A tokenizer made by hand with tokenizers (`PreTrainedTokenizerFast`) often knows its CLS and SEP and adds neither. As in
OptiPrompt's code, every input gets them all the same: a BERT that reads a text without its frame answers far worse.
"""

import functools
import re
from pathlib import Path

from ptx.errors import PtxError
from ptx.lms.models import Model, unchanged

Frame = tuple[tuple[str, ...], tuple[str, ...]]  # the tokens put before and behind a text
NONE: Frame = ((), ())


@functools.cache  # a Model names its files' digest
def added_frame(model: Model) -> Frame:
    """What ptx puts around every text because the model's inputs carry it and the tokenizer leaves it out.

    Part of the keys of stages that run the model, which is why it is asked before any is loaded: most tokenizers' files
    show at once that they add a frame.
    """
    with unchanged(model):
        return _added(model)


def _added(model: Model) -> Frame:
    file = Path(model.path) / "tokenizer.json"
    if not file.is_file() or _frames(file.read_bytes()):
        return NONE  # without the file, the tokenizer's class adds what belongs there
    from ptx.lms.embeddings import load_tokenizer
    from ptx.lms.families import kind_of, read_config
    from ptx.lms.inputs import frame

    try:
        kind = kind_of(model.name, read_config(model))
    except (PtxError, OSError, ValueError):  # the model's own loader says what is wrong
        return NONE
    tokenizer = load_tokenizer(model.path)
    if kind == "causal" or frame(tokenizer) != ([], []):
        return NONE
    if kind == "span":
        return (), tuple(filter(None, [tokenizer.eos_token]))
    before, behind = tokenizer.cls_token or tokenizer.bos_token, tokenizer.sep_token or tokenizer.eos_token
    return ((str(before),), (str(behind),)) if before and behind and before != behind else NONE


def framed(model: Model) -> dict[str, str]:
    """The frame that is added, as a setting of the stages that run a model; left out where there is none."""
    before, behind = added_frame(model)
    return {"frame": " ".join([*before, "...", *behind])} if before or behind else {}


def remark(model: Model) -> str:
    """What to tell of a model with an added frame."""
    return f"the tokenizer of {model.name} adds no special tokens; its inputs get {framed(model)['frame']}"


def _frames(tokenizer: bytes) -> bool:
    """Whether a tokenizer.json says that special tokens are put around a text."""
    found = re.search(rb'"post_processor"\s*:\s*(.*?)"decoder"\s*:', tokenizer, re.DOTALL)
    return found is None or b"SpecialToken" in found[1] or b'"sep"' in found[1]
