"""How each family of language models fills a blank, and loading one as it was trained: no part missing, none ignored.

| kind | families | the input ends in or holds | the answer is read |
|---|---|---|---|
| masked | BERT, RoBERTa, ALBERT, ELECTRA's generator, DeBERTa, ModernBERT, ... | a mask | at the mask |
| causal | GPT-2, OPT, GPT-NeoX, Llama, Qwen, ... | the last token before the answer | as the next token |
| infill | BART | a mask, in the encoder | in the decoder, which is fed what stands before the mask |
| span | T5 | the sentinel `<extra_id_0>`, in the encoder | in the decoder, after `<extra_id_0>` |
"""

import functools
import re
from collections.abc import Mapping, Sequence
from logging import CRITICAL
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    FineGrainedFP8Config,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_FOR_MASKED_LM_MAPPING_NAMES
from transformers.utils import logging as transformers_logging

from ptx.errors import PtxError, first_line
from ptx.lms.embeddings import SENTINELS
from ptx.lms.models import LOCAL, Model, unchanged
from ptx.lms.stored import Part, parts
from ptx.lms.tables import TABLES, learnt
from ptx.lms.weights import unscaled

Kind = Literal["masked", "causal", "infill", "span"]
LOADERS: dict[Kind, Any] = {
    "masked": AutoModelForMaskedLM, "causal": AutoModelForCausalLM,
    "infill": AutoModelForSeq2SeqLM, "span": AutoModelForSeq2SeqLM,
}  # fmt: skip
# Encoder-decoders that were pretrained to fill blanks, by model type; of others we do not know how they would.
ENCODER_DECODERS: dict[str, Kind] = {
    "bart": "infill", "t5": "span", "mt5": "span", "umt5": "span", "switch_transformers": "span",
}  # fmt: skip
# facebook/bart-base and -large name this class. Their head is the embedding matrix, so nothing of it is missing.
HEADLESS = ("BartModel",)
CHOOSE = "choose a masked or causal LM; `ptx models` lists models"
HEADS = ("ForConditionalGeneration", "WithLMHeadModel")
# Quantized weights of which transformers makes plain numbers, without a package of its own; and what the others take.
UNPACKED: dict[str, Any] = {"fp8": FineGrainedFP8Config}
PACKAGES = {"bitsandbytes": "bitsandbytes", "gptq": "gptqmodel", "awq": "gptqmodel", "hqq": "hqq", "aqlm": "aqlm",
            "quanto": "optimum-quanto", "torchao": "torchao", "compressed-tensors": "compressed-tensors"}  # fmt: skip
# Weights beside those of the language model that change no prediction: poolers and sentence-order heads, ELECTRA's and
# DeBERTa's other pretraining heads; and tables, whose values are looked at (see `learnt`).
HEADS_BESIDE = ("pooler.", "seq_relationship.", "sop_classifier.", "discriminator_predictions.", "mask_predictions.")
HARMLESS = re.compile("|".join([*map(re.escape, HEADS_BESIDE), *(f"({ending})$" for ending in TABLES)]))


def kind_of(name: str, config: PreTrainedConfig) -> Kind:
    """How a checkpoint answers, by the class that it was saved from, or by its type where it does not say.

    Raises PtxError for what is no language model, or one that fills no blanks.
    """
    saved_as: Sequence[str] = config.architectures or ()
    family = config.model_type
    masked = family in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    causal_names = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()
    # XLM has one class for both ways of training; as published it fills masks.
    if any(n in causal_names and n != MODEL_FOR_MASKED_LM_MAPPING_NAMES.get(family) for n in saved_as):
        if not config.is_encoder_decoder:
            return "causal"
    elif config.is_encoder_decoder:
        if family in ENCODER_DECODERS and all(n.endswith(HEADS) or n in HEADLESS for n in saved_as):
            return ENCODER_DECODERS[family]
    elif masked:
        if getattr(config, "is_decoder", False):
            what = f"{name} is set up as a decoder (is_decoder in its config.json), and was saved as a masked LM"
            raise PtxError(what, "set is_decoder to false there, or choose a checkpoint saved as a causal LM")
        return "masked"  # if it lacks the head, weights will be missing
    elif not saved_as and family in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return "causal"
    known = ", ".join(ENCODER_DECODERS)
    what = f"{' or '.join(saved_as) or family}, which has no trained language-model head that fills a blank"
    hint = f"choose a masked LM, a causal LM, or an encoder-decoder ({known}) saved with its head; see `ptx models`"
    raise PtxError(f"{name} is a {what}", hint)


def blank_token(name: str, tokenizer: PreTrainedTokenizerBase, kind: Kind) -> int | None:
    """The token that stands for the answer; None for a causal LM. Raises PtxError if the tokenizer has none."""
    if kind == "causal":
        return None
    if kind == "span":
        vocabulary = tokenizer.get_vocab()
        if found := [vocabulary[token] for token in SENTINELS if token in vocabulary]:
            return found[0]
        raise PtxError(f"the tokenizer of {name} has no sentinel <extra_id_0>", "save T5's own tokenizer beside it")
    if tokenizer.mask_token_id is None:
        raise PtxError(f"the tokenizer of {name} has no mask token", "choose a masked LM, or a causal one")
    return tokenizer.mask_token_id


def read_config(model: Model) -> PreTrainedConfig:
    """The model's configuration, from its folder alone. What computes attention and experts is no matter of it: the
    names that it may have for that can be those of code. Raises PtxError for one that transformers cannot read."""
    transformers_logging.set_verbosity(CRITICAL)  # what it has to say of a stranger's file is in its errors, too
    try:
        config = AutoConfig.from_pretrained(model.path, **LOCAL)
        if not all(isinstance(saved_as, str) for saved_as in config.architectures or ()):
            raise ValueError("architectures are no list of names")
    except Exception as error:  # its classes raise most kinds for values that they do not expect
        what = f"cannot read config.json of {model.name}: {first_line(error)}"
        raise PtxError(what, f"{CHOOSE}, or save it again with `save_pretrained`") from error
    config.output_attentions = False  # it would ask for another way
    config._attn_implementation = config._experts_implementation = None  # as is best on this machine
    return config


def load_network(model: Model, dtype: torch.dtype) -> tuple[PreTrainedModel, Kind]:
    """The network in evaluation mode, without gradients, and how it answers. No pickle is run: see `weights_only`.

    Raises PtxError for a checkpoint that lacks weights, above all those of its head (its numbers would be noise), or
    that has weights which the network would ignore.
    """
    config = read_config(model)
    kind = kind_of(model.name, config)
    if quantized := getattr(config, "quantization_config", None):
        _check_readable(model.name, quantized)
    weights = parts(Path(model.path), dtype)
    network, report = _load(config, kind, dtype, weights)
    if any("lm_predictions." in key for key in report["unexpected_keys"]) and hasattr(config, "legacy"):
        config.legacy = False  # DeBERTa as its authors publish it, with a head named otherwise
        network, report = _load(config, kind, dtype, weights)
    if missing := sorted({*report["missing_keys"], *unscaled(Path(model.path))}):
        inside = [key for key in missing if key.startswith(f"{network.base_model_prefix}.")]
        what = f"lacks {len(missing)} of its weights" if inside else "has no trained language-model head"
        hint = "choose a checkpoint saved with its LM head; `ptx models` lists some"
        if not inside and len(missing) == 1 and config.get_text_config().tie_word_embeddings is False:
            hint += "; if its head is its word embeddings, set tie_word_embeddings to true in its config.json"
        raise PtxError(f"{model.name} {what} ({(inside or missing)[0]} is missing)", hint)
    unexpected = (key for key in report["unexpected_keys"] if not HARMLESS.search(key))
    if ignored := sorted({*unexpected, *learnt(network, weights)}):
        raise PtxError(
            f"{model.name} has {len(ignored)} weights that {type(network).__name__} would ignore ({ignored[0]})",
            "its config.json does not describe its weights, or they are of another task: "
            "choose a checkpoint saved by the language model's class itself",
        )
    network.config.use_cache = False  # of keys and values, for generation
    return network.eval().requires_grad_(False), kind


def check_readable(model: Model) -> None:
    """Raise PtxError for quantized weights that are not read, by the configuration alone."""
    if quantized := model.config.get("quantization_config"):
        _check_readable(model.name, quantized)


def _check_readable(name: str, quantized: Any) -> None:
    """Raise PtxError unless transformers makes plain numbers of these quantized ones on any device, by itself."""
    said = quantized if isinstance(quantized, dict) else {}
    method = str(said.get("quant_method", "unknown"))
    if method in UNPACKED:
        return
    bits = next((bits for bits in (4, 8) if said.get(f"load_in_{bits}bit")), said.get("bits"))
    what = f"{name} is quantized ({method}{f', {bits} bits' if bits else ''}), which ptx does not read"
    runs = f", where the package {PACKAGES[method]} runs," if method in PACKAGES else " where it runs"
    hint = "give the model that it was made from, or a GGUF file of it"
    raise PtxError(what, f"{hint}; or{runs} load it with transformers, call `dequantize()` and `save_pretrained`")


def _load(
    config: PreTrainedConfig, kind: Kind, dtype: torch.dtype, weights: Mapping[str, Part | Tensor]
) -> tuple[PreTrainedModel, dict[str, Any]]:
    method = (getattr(config, "quantization_config", None) or {}).get("quant_method")
    unpacking = {"quantization_config": UNPACKED[method](dequantize=True)} if method else {}
    transformers_logging.set_verbosity(CRITICAL)
    transformers_logging.disable_progress_bar()
    more: dict[str, Any] = {"dtype": dtype, "output_loading_info": True, **unpacking, **LOCAL}
    if method:  # whose loader wants tensors
        weights = {name: part[...] for name, part in weights.items()}
    with torch.device("meta"):
        empty = LOADERS[kind].from_config(config, trust_remote_code=False)
    return type(empty).from_pretrained(None, config=empty.config, state_dict=weights, **more)


def matrix_of(network: PreTrainedModel) -> Tensor:
    """The word-embedding matrix [v, d] of a network, in its own dtype. Raises PtxError if it has none (Perceiver)."""
    weight = getattr(network.get_input_embeddings(), "weight", None)
    if not isinstance(weight, Tensor):
        hint = "choose a model of another family; docs/models.md names those that were tested"
        raise PtxError(f"{type(network).__name__} has no matrix of word embeddings", hint)
    return weight


def width_by_class(model: Model) -> int:
    """The width of the word embeddings in a network of the model's class."""
    return matrix_of(_without_weights(model)).shape[1]


def factor_by_class(model: Model) -> float:
    """By how much the embedding layer multiplies the rows of the matrix that it looks up: sqrt(d) in Gemma, and in
    BART, XGLM or BioGPT if so configured; 1 in most.

    Families that multiply later, whatever they are given (Granite), have no factor here: embeddings stand for tokens.
    """
    words: Any = _without_weights(model).get_input_embeddings()
    # Gemma keeps it as a tensor, of which a network without weights knows no value, and as a number.
    return float(getattr(words, "scalar_embed_scale", getattr(words, "embed_scale", 1.0)))


@functools.lru_cache(maxsize=4)
def _without_weights(model: Model) -> PreTrainedModel:
    """A network of the model's class, whose tensors have shapes only. Raises PtxError if there can be none."""
    try:
        with unchanged(model):
            config = read_config(model)
        with torch.device("meta"):
            return LOADERS[kind_of(model.name, config)].from_config(config, trust_remote_code=False)
    except PtxError:
        raise
    except Exception as error:
        what = f"cannot make a network as config.json of {model.name} describes it: {first_line(error)}"
        raise PtxError(what, CHOOSE) from error
