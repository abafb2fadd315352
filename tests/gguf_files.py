"""A tiny model of Llama's class as a GGUF file, written with the package gguf's own writer as llama.cpp's converter
does, and the folder that holds the same numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy
import torch
from families import byte_level
from gguf.quants import dequantize, quantize
from transformers import GPT2Tokenizer, LlamaConfig, LlamaForCausalLM

HEADS, KEY_HEADS, LAYERS = 4, 2, 2
END = "<|endoftext|>"
NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


def write_pair(
    file: Path, folder: Path, kind: str = "Q4_0", *, tied: bool = True, left_out: str = "", **said: Any
) -> None:
    """The file with matrices of a `kind` (F32, F16, Q8_0, Q4_0; norms are F32), and the model that it stands for.

    `left_out` is a tensor that the file lacks, `more` one that it has besides; the rest of `said` stands in its head
    in place of what is true.
    """
    tokenizer = byte_level(GPT2Tokenizer, (END,))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=LAYERS, rms_norm_eps=1e-5,
        num_attention_heads=HEADS, num_key_value_heads=KEY_HEADS, max_position_embeddings=64, initializer_range=0.4,
        tie_word_embeddings=tied, bos_token_id=0, eos_token_id=0,
        rope_parameters={"rope_type": "default", "rope_theta": 500.0},
    )  # fmt: skip
    network = LlamaForCausalLM(config).eval()
    file.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(file, said.pop("architecture", "llama"))
    _head(writer, config, tokenizer, said)
    type_of = gguf.GGMLQuantizationType[kind]
    for name, weight in network.named_parameters():
        own = type_of if weight.ndim == 2 else gguf.GGMLQuantizationType.F32
        stored = quantize(weight.detach().numpy(), own)
        with torch.no_grad():
            weight.copy_(torch.from_numpy(dequantize(stored, own)))
        if _name(name) != left_out:
            writer.add_tensor(_name(name), _permuted(name, stored), raw_dtype=own)
    if "more" in said:
        writer.add_tensor(said["more"], numpy.ones(32, numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _head(writer: Any, config: LlamaConfig, tokenizer: Any, said: dict[str, Any]) -> None:
    writer.add_context_length(64)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(said.get("layers", LAYERS))
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_rope_freq_base(500.0)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if "type" in said:
        writer.add_type(said["type"])
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    writer.add_tokenizer_model(said.get("tokenizer", "gpt2"))
    writer.add_token_list(sorted(model["vocab"], key=model["vocab"].__getitem__)[: said.get("words")])
    writer.add_token_types([3, *[1] * (len(model["vocab"]) - 1)])
    writer.add_token_merges([" ".join(pair) for pair in model["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)


def _name(name: str) -> str:
    name, _, ending = name.rpartition(".")
    if name.startswith("model.layers."):
        _, _, layer, part = name.split(".", 3)
        return f"blk.{layer}.{NAMES[part]}.{ending}"
    return f"{NAMES[name]}.{ending}"


def _permuted(name: str, rows: Any) -> Any:
    """Queries and keys have their rows in another order in llama.cpp: the halves of each head's alternate."""
    heads = HEADS if "q_proj" in name else KEY_HEADS if "k_proj" in name else 0
    if not heads:
        return rows
    return rows.reshape(heads, 2, len(rows) // heads // 2, -1).swapaxes(1, 2).reshape(rows.shape)
