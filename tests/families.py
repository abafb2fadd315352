"""A tiny random model of each family, by its real class, with a tokenizer of its real kind, made of a few words."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from conftest import COUNTRIES, FILLER, SUBJECTS, make_tokenizer
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers import models as kinds
from transformers import (
    AlbertTokenizer,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    BartTokenizer,
    BertTokenizer,
    DebertaTokenizer,
    DebertaV2Tokenizer,
    GPT2Tokenizer,
    GPTNeoXTokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    RobertaTokenizer,
    T5Tokenizer,
    XGLMTokenizer,
    XLMRobertaTokenizer,
)

TALK = """the of in is a city country language river born works plays speaks lives near from king queen sea mountain
old new great small north south east west war peace music book house street school church island lake forest"""
WORDS = TALK.split()
TEXT = [f"{a} {b} {c} ." for c in COUNTRIES for a, b in zip(WORDS, WORDS[1:] + WORDS[:1], strict=True)]
CHARACTERS = sorted({c for word in [*WORDS, *COUNTRIES, *SUBJECTS, *FILLER] for c in word} | set(".ABCKNRS"))
WHOLE = [*dict.fromkeys([*WORDS, *COUNTRIES])]
"""Words that every tokenizer below has as one token."""


def wordpiece(*, lower: bool = False) -> PreTrainedTokenizerBase:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [word.lower() if lower else word for word in WHOLE]
    tokens = dict.fromkeys([*special, *words, *CHARACTERS, *(f"##{c}" for c in CHARACTERS)])
    return BertTokenizer(vocab={token: i for i, token in enumerate(tokens)}, do_lower_case=lower)


def _bpe(tokenizer: Tokenizer, special: Sequence[str], alphabet: Sequence[str] = ()) -> dict[str, Any]:
    """The vocabulary and merges that training gives."""
    trainer = trainers.BpeTrainer(
        vocab_size=900, special_tokens=list(special), initial_alphabet=list(alphabet), show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return {"vocab": model["vocab"], "merges": [tuple(pair) for pair in model["merges"]]}


def byte_level(kind: Callable[..., Any], special: Sequence[str]) -> PreTrainedTokenizerBase:
    tokenizer = Tokenizer(kinds.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return kind(**_bpe(tokenizer, special, pre_tokenizers.ByteLevel.alphabet()))


ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def opt() -> PreTrainedTokenizerBase:
    """GPT-2's with a token before every text, padding on the left."""
    tokenizer = byte_level(GPT2Tokenizer, ("</s>", "<pad>", "<unk>"))
    special = {"bos_token": "</s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, padding_side="left", **special)
    made.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="</s> $A", special_tokens=[("</s>", made.convert_tokens_to_ids("</s>"))]
    )
    return made


def tiktoken_style() -> PreTrainedTokenizerBase:
    """Llama 3's and Qwen's: byte-level BPE after a split by a pattern, no unknown token, nothing before a text."""
    tokenizer = Tokenizer(kinds.BPE())
    pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+"
    split = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    _bpe(tokenizer, ("<|endoftext|>", "<|im_start|>"), pre_tokenizers.ByteLevel.alphabet())
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>", pad_token="<|endoftext|>")


def byte_fallback() -> PreTrainedTokenizerBase:
    """Llama 2's and Mistral's: BPE over whole sentences, which writes the first space itself, bytes for the unknown."""
    tokenizer = Tokenizer(kinds.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    special = ("<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)))
    trained = _bpe(tokenizer, special)
    tokenizer = Tokenizer(kinds.BPE(**trained, byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    begin = [("<s>", trained["vocab"]["<s>"])]
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=begin)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", padding_side="left"
    )


def unigram(kind: Callable[..., Any], special: Sequence[str], *, lower: bool = False, **more: Any) -> Any:
    words = [word.lower() if lower else word for word in WHOLE]
    pieces = dict.fromkeys([*special, *(f"▁{word}" for word in words), "▁", *CHARACTERS])
    scores = [(piece, 0.0 if i < len(special) else -2.0 - i / 100) for i, piece in enumerate(pieces)]
    return kind(vocab=scores, **more)


SHAPE: dict[str, Any] = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 32}
SHAPE |= {"max_position_embeddings": 64, "initializer_range": 0.4}
SEQ2SEQ: dict[str, Any] = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2}
SEQ2SEQ |= {"decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "init_std": 0.4}
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2, "initializer_factor": 4.0}
NARROW = {"embedding_size": 12}
GATED = {**SHAPE, "num_key_value_heads": 1, "head_dim": 8}
GEMMA = {**GATED, "query_pre_attn_scalar": 8}
XGLM = {"d_model": 16, "ffn_dim": 32, "num_layers": 2, "attention_heads": 2, "init_std": 0.4}
LATENT = {"q_lora_rank": 8, "kv_lora_rank": 8, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8}
BERT_UNIGRAM = ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
DEBERTA = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False}

# name: model type, settings, tokenizer
FAMILIES: dict[str, tuple[str, dict[str, Any], Callable[[], Any]]] = {
    "bert-cased": ("bert", SHAPE, wordpiece),
    "bert-uncased": ("bert", SHAPE, lambda: wordpiece(lower=True)),
    "roberta": ("roberta", SHAPE, lambda: byte_level(RobertaTokenizer, ROBERTA)),
    "albert": ("albert", SHAPE | NARROW, lambda: unigram(AlbertTokenizer, BERT_UNIGRAM, lower=True)),
    "distilbert": ("distilbert", {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}, wordpiece),
    "electra": ("electra", SHAPE | NARROW, wordpiece),
    "deberta": ("deberta", SHAPE | DEBERTA, lambda: byte_level(
        DebertaTokenizer, ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"))),
    "deberta-v2": ("deberta-v2", SHAPE | DEBERTA | {"conv_kernel_size": 3, "conv_act": "gelu"}, lambda: unigram(
        DebertaV2Tokenizer, ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"), unk_id=3)),
    "deberta-v3": ("deberta-v2", SHAPE | DEBERTA | {"legacy": False}, lambda: unigram(
        DebertaV2Tokenizer, ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"), unk_id=3)),
    "modernbert": ("modernbert", SHAPE | {"initializer_cutoff_factor": 2.0}, lambda: make_tokenizer(
        [*WHOLE, *FILLER, *SUBJECTS])),
    "ettin-decoder": ("modernbert-decoder", SHAPE | {"initializer_cutoff_factor": 2.0}, lambda: make_tokenizer(
        [*WHOLE, *FILLER, *SUBJECTS])),
    "xlm-roberta": ("xlm-roberta", SHAPE, lambda: unigram(XLMRobertaTokenizer, ROBERTA)),
    "gpt2": ("gpt2", {"n_embd": 16, "n_layer": 1, "n_head": 2, "initializer_range": 0.4}, lambda: byte_level(
        GPT2Tokenizer, ("<|endoftext|>",))),
    "opt": ("opt", SHAPE | {"ffn_dim": 32, "word_embed_proj_dim": 12}, opt),
    "gpt-neox": ("gpt_neox", SHAPE, lambda: byte_level(GPTNeoXTokenizer, ("<|endoftext|>", "<|padding|>"))),
    "llama": ("llama", GATED | {"tie_word_embeddings": False}, byte_fallback),
    "qwen2": ("qwen2", GATED | {"tie_word_embeddings": True}, tiktoken_style),
    "gemma": ("gemma", GATED, byte_fallback),
    "gemma2": ("gemma2", GEMMA, byte_fallback),
    "gemma3": ("gemma3_text", GEMMA | {"final_logit_softcapping": 30.0}, byte_fallback),
    "gemma4": ("gemma4_text", GATED | {"hidden_size_per_layer_input": 0, "global_head_dim": 8}, byte_fallback),
    "vaultgemma": ("vaultgemma", GEMMA, byte_fallback),
    "minicpm3": ("minicpm3", SHAPE | LATENT | {"scale_emb": 3.0, "initializer_range": 0.2}, byte_fallback),
    "xglm": ("xglm", XGLM | {"scale_embedding": True}, lambda: unigram(
        XGLMTokenizer, ROBERTA[:-1], padding_side="left")),
    "biogpt": ("biogpt", SHAPE | {"scale_embedding": True}, opt),
    "granite": ("granite", GATED | {"embedding_multiplier": 3.0}, tiktoken_style),
    "t5": ("t5", T5 | {"tie_word_embeddings": True}, lambda: unigram(
        T5Tokenizer, ("<pad>", "</s>", "<unk>"), extra_ids=5)),
    "t5-v1.1": ("t5", T5 | {"tie_word_embeddings": False, "feed_forward_proj": "gated-gelu"}, lambda: unigram(
        T5Tokenizer, ("<pad>", "</s>", "<unk>"), extra_ids=5)),
    "bart": ("bart", SEQ2SEQ, lambda: byte_level(BartTokenizer, ROBERTA)),
    "bart-scaled": ("bart", SEQ2SEQ | {"scale_embedding": True}, lambda: byte_level(BartTokenizer, ROBERTA)),
}  # fmt: skip
# What the embedding layer multiplies by. Granite multiplies later, whatever it is given.
FACTORS = {
    **dict.fromkeys(("gemma", "gemma2", "gemma3", "gemma4", "vaultgemma", "xglm", "biogpt", "bart-scaled"), 4.0),
    "minicpm3": 3.0,
}
GPT = ("gpt2", "opt", "gpt-neox", "llama", "qwen2", "granite")
CAUSAL = (*GPT, "ettin-decoder", *(name for name in FACTORS if name != "bart-scaled"))
ENCODER_DECODER = ("t5", "t5-v1.1", "bart", "bart-scaled")
WIDTH = {"albert": 12, "electra": 12, "opt": 12}


def bare() -> PreTrainedTokenizerBase:
    """A tokenizer with all roles that puts nothing around a text."""
    roles = {"bos_token": "<s>", "eos_token": "</s>", "mask_token": "<mask>"}
    return byte_level(lambda **made: GPT2Tokenizer(**made, **roles, unk_token="<unk>", pad_token="<pad>"), ROBERTA)


def make(name: str, folder: Path, tokenizer: PreTrainedTokenizerBase | None = None, **more: Any) -> Path:
    """The family's model in `folder` with its tokenizer or another, and with `more` settings."""
    model_type, settings, tokenizer_of = FAMILIES[name]
    settings = settings | more
    tokenizer = tokenizer or tokenizer_of()
    ids = {f"{role}_token_id": getattr(tokenizer, f"{role}_token_id", None) for role in ("pad", "bos", "eos")}
    ids = {key: value for key, value in ids.items() if value is not None}
    if model_type == "bart":
        ids |= {"decoder_start_token_id": tokenizer.eos_token_id, "forced_eos_token_id": None}
    if model_type == "t5":
        ids |= {"decoder_start_token_id": tokenizer.pad_token_id}
    if model_type.startswith("modernbert"):
        ids |= {"cls_token_id": tokenizer.cls_token_id, "sep_token_id": tokenizer.sep_token_id}
    config = AutoConfig.for_model(model_type, **{"pad_token_id": None} | settings | ids, vocab_size=len(tokenizer) + 3)
    loader = AutoModelForSeq2SeqLM if name in ENCODER_DECODER else AutoModelForMaskedLM
    torch.manual_seed(len(name))
    network = (AutoModelForCausalLM if name in CAUSAL else loader).from_config(config)
    with torch.no_grad():  # biases that start at zero would hide that they are left out
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
