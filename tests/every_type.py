"""Every type of language model that transformers knows: which load, and a tiny random network of each."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from ptx.lms.families import LOADERS, Kind

# Types that load, by how they answer.
LOADED: dict[Kind, str] = {
    "masked": """
        albert bert big_bird camembert data2vec-text deberta deberta-v2 distilbert electra ernie esm eurobert
        flaubert gte jina_embeddings_v3 layoutlm longformer luke megatron-bert mobilebert modernbert mpnet
        nomic_bert reformer rembert roberta roberta-prelayernorm roc_bert roformer squeezebert tapas ultrabert
        xlm xlm-roberta xlm-roberta-xl xmod
    """,
    "causal": """
        afmoe apertus arcee aria_text axk1 axk2 bailing_hybrid bamba bart beam bert bert-generation big_bird
        bigbird_pegasus biogpt bitnet blenderbot blenderbot-small bloom camembert codegen cohere cohere2
        cohere2_moe cohere_compass_text ctrl cwm data2vec-text dbrx deepseek_v2 deepseek_v3 deepseek_v32
        diffllama doge dots1 dots3_note_text electra ernie ernie4_5 ernie4_5_moe exaone4 exaone_moe falcon
        falcon_h1 falcon_mamba flex_olmo flint fuyu gemma gemma2 gemma3 gemma3_text gemma4 gemma4_text
        gemma4_unified_text git glm glm4 glm4_moe glm4_moe_lite glm_moe_dsa got_ocr2 gpt-sw3 gpt2 gpt_bigcode
        gpt_neo gpt_neox gpt_neox_japanese gpt_oss gptj granite granite_swa granitemoe granitemoe_swa
        granitemoehybrid granitemoeshared helium hrm_text hunyuan_v1_dense hunyuan_v1_moe hy_v3 hy_v4
        hyperclovax inkling2_text internlm3 iquestcoder jais2 jamba jetmoe kimi_linear kolibri1 laguna lfm2
        lfm2_moe lfm3 llama llama4 llama4_text longcat_flash mamba mamba2 marian mbart megatron-bert mellum
        mimo_v2_flash minicpm3 minimax minimax_m2 minimax_m3_vl_text ministral ministral3 mistral mixtral
        modernbert-decoder moshi moss_transcribe_diarize mpt mvp nanochat nemotron nemotron_h olmo olmo2 olmo3
        olmo_hybrid olmoe openai-gpt opt pegasus persimmon phi phi3 phi4_multimodal phimoe plbart qwen2
        qwen2_moe qwen3 qwen3_5 qwen3_5_moe qwen3_5_moe_text qwen3_5_text qwen3_moe qwen3_next qwen4_exp
        qwen4_exp_text recurrent_gemma reformer rembert roberta roberta-prelayernorm roc_bert roformer rwkv
        seed_oss smollm3 solar_open stablelm starcoder2 trocr vaultgemma whisper xglm xlm-roberta xlm-roberta-xl
        xlstm xmod youtu zamba zamba2 zaya
    """,
    "infill": "bart",
    "span": "mt5 switch_transformers t5 umt5",
}
# Causal ones that do not read on from the keys and values of what stands before the prompt (see lms/kept.py): states of
# another kind, or positions or masks that are not told from outside.
READ_WHOLE = """
    axk2 bailing_hybrid bamba bart bigbird_pegasus blenderbot blenderbot-small camembert data2vec-text deepseek_v32
    dots3_note_text falcon_h1 falcon_mamba git glm_moe_dsa granitemoehybrid hy_v4 inkling2_text jamba kimi_linear
    lfm2 lfm2_moe lfm3 mamba mamba2 marian mbart minimax moss_transcribe_diarize mvp nemotron_h olmo_hybrid
    openai-gpt pegasus plbart qwen3_5 qwen3_5_moe qwen3_5_moe_text qwen3_5_text qwen3_next qwen4_exp qwen4_exp_text
    recurrent_gemma reformer roberta roberta-prelayernorm roformer rwkv trocr whisper xlm-roberta xlm-roberta-xl
    xlstm xmod zamba zamba2 zaya
"""
# Checked and refused, by what ptx says of each.
OTHERWISE = "answers otherwise when it is padded or given embeddings"  # and what it does
REFUSED: dict[tuple[Kind, str], str] = {
    ("masked", "convbert"): OTHERWISE,  # its convolutions read the padding
    ("masked", "esmc"): "cannot be given embeddings",
    ("masked", "fnet"): OTHERWISE,  # its Fourier transform reads the padding
    ("masked", "funnel"): "cannot load",  # its own error for a few tokens
    ("masked", "ibert"): "cannot be given embeddings",  # its embeddings come with a scale
    ("masked", "mbart"): "which has no trained language-model head that fills a blank",
    ("masked", "mra"): "answers without looking at the prompt",  # its attention is a CUDA kernel
    ("masked", "mvp"): "which has no trained language-model head that fills a blank",
    ("masked", "neomme"): "cannot be given embeddings",
    ("masked", "nystromformer"): OTHERWISE,  # its landmarks are means over the padding too
    ("masked", "perceiver"): "has no matrix of word embeddings",
    ("masked", "yoso"): OTHERWISE,  # it draws random hashes
    ("causal", "blt"): "input_ids is required",
    ("causal", "cpmant"): "cannot be given embeddings",
    ("causal", "deepseek_v4"): "cannot be given embeddings",  # it chooses experts by the token
    ("causal", "emu3"): "Unrecognized configuration class",  # transformers does not load what it saved
    ("causal", "gemma3n_text"): OTHERWISE,  # every layer reads the tokens
    ("causal", "inkling_text"): OTHERWISE,  # it normalises what it looks up
    ("causal", "mllama"): "Unrecognized configuration class",
    ("causal", "prophetnet"): "cannot be given embeddings",  # it predicts several tokens at each position
    ("causal", "xlnet"): OTHERWISE,  # it looks ahead
}
# Not built here, and why.
UNTRIED: dict[tuple[Kind, str], str] = {
    ("masked", "bart"): "it answers as an encoder-decoder, see infill",
    ("masked", "modernvbert"): "images; its text model is modernbert",
    ("masked", "ultravbert"): "images; its text model is ultrabert",
    ("causal", "dots3_note"): "images; its text model is dots3_note_text",
    ("causal", "gemma3n"): "images, by the library timm; its text model is gemma3n_text",
    ("causal", "gemma4_assistant"): "it drafts for another model, whose hidden states it reads",
    ("causal", "gemma4_unified"): "images, ten million parameters at the least; its text model is gemma4_unified_text",
    ("causal", "gemma4_unified_assistant"): "it drafts for another model, whose hidden states it reads",
    ("causal", "musicgen"): "it writes music",
    ("causal", "musicgen_melody"): "it writes music",
    ("causal", "xlm"): "as published it fills masks, see masked",
}

# What makes a network tiny: each class takes what it has of it.
SIZES = {
    1: """n_group topk_group n_shared_experts first_k_dense_replace indexer_kv_heads mamba_n_groups num_codebooks
        image_token_id video_token_id audio_token_id""",
    2: """num_hidden_layers n_layer n_layers num_layers num_decoder_layers decoder_layers encoder_layers depth
        num_attention_heads n_head n_heads num_heads decoder_attention_heads encoder_attention_heads attention_heads
        num_key_value_heads linear_num_heads linear_num_key_heads linear_num_value_heads indexer_n_heads
        num_experts_per_tok moe_topk zero_expert_num hc_count indexer_compress_ratio""",
    3: "num_channels",
    4: "num_experts num_local_experts n_routed_experts patch_size num_latents",
    8: """head_dim d_kv global_head_dim q_lora_rank kv_lora_rank qk_nope_head_dim qk_rope_head_dim v_head_dim hc_lowrank
        linear_head_dim linear_key_head_dim linear_value_head_dim indexer_head_dim indexer_budget adapter_rank
        laurel_rank mamba_d_state ssm_state_size state_size hidden_size_per_layer_input vocab_size_per_layer_input
        input_embedding_size output_embedding_size""",
    16: """hidden_size d_model n_embd dim emb_dim embedding_size word_embed_proj_dim d_latents moe_intermediate_size
        shared_expert_intermediate_size moe_shared_expert_intermediate_size expert_ffn_hidden_size out_hidden_size
        image_size vision_output_dim projector_input_dim projector_output_dim chunk_size mamba_chunk_size lru_width
        mamba_d_head""",
    32: "intermediate_size ffn_dim d_ff n_inner hidden_dim decoder_ffn_dim encoder_ffn_dim ffn_hidden_size",
    64: "max_position_embeddings n_positions n_ctx max_seq_len",
}
SHAPE: dict[str, Any] = {name: size for size, names in SIZES.items() for name in names.split()}
SHAPE |= {"initializer_range": 0.3, "init_std": 0.3}
ROPE = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 1.0}
BOTH_ROPES = {"rope_parameters": dict.fromkeys(("full_attention", "sliding_attention"), ROPE)}
MAMBA = {"mamba_n_heads": 2, "mamba_expand": 2}
LINEAR = {"layer_types": ["linear_attention", "full_attention"]}
CONV = {"layer_types": ["conv", "full_attention"]}
ZAMBA = {"layers_block_type": ["linear_attention", "hybrid"] * 2, "num_hidden_layers": 4, "use_mamba_kernels": False}
VISION = {key: SHAPE[key] for key in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")}
TEXT = VISION | {"num_key_value_heads": 2, "max_position_embeddings": 64, "initializer_range": 0.3, "vocab_size": 200}
VISION |= {"image_size": 16, "patch_size": 4}
SAM = VISION | {"output_channels": 16, "mlp_dim": 16, "window_size": 2, "global_attn_indexes": [0]}
WHISPER = {"d_model": 16, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 16}
# What else a type needs.
SETTINGS: dict[str, dict[str, Any]] = {
    "bailing_hybrid": LINEAR,
    "bamba": MAMBA | {"attn_layer_indices": [1]},
    "codegen": {"rotary_dim": 4, "n_embd": 32, "n_head": 4},
    "blt": {"encoder_hash_byte_group_vocab": 8},
    "cohere_compass_text": BOTH_ROPES | {"layer_types": ["sliding_attention", "full_attention"]},
    "dbrx": {
        "attn_config": {"kv_n_heads": 1, "clip_qkv": 8.0, "rope_theta": 10000.0},
        "ffn_config": {"hidden_size": 16, "ffn_hidden_size": 16},
        "rope_parameters": ROPE,
    },
    "esm": {"token_dropout": False, "position_embedding_type": "rotary"},
    "falcon_h1": MAMBA | {"mamba_d_ssm": 32},
    "fuyu": {"text_config": {"model_type": "persimmon"} | TEXT},
    "gemma3": {"vision_config": {"model_type": "siglip_vision_model"} | VISION},
    "gemma3n_text": {"num_kv_shared_layers": 0, "activation_sparsity_pattern": None} | {
        "layer_types": ["sliding_attention", "full_attention"]},
    "gemma4_text": {"hidden_size_per_layer_input": 0},
    "got_ocr2": {"text_config": {"model_type": "qwen2"} | TEXT, "vision_config": SAM},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "gptj": {"rotary_dim": 4},
    "granitemoehybrid": MAMBA | {"layer_types": ["mamba", "attention"]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "use_mamba_kernels": False},
    "kimi_linear": LINEAR,
    "lfm2": CONV,
    "lfm2_moe": CONV,
    "lfm3": CONV,
    "longcat_flash": {"qk_head_dim": 16},
    "longformer": {"attention_window": [4, 4]},
    "luke": {"entity_vocab_size": 5, "entity_emb_size": 8},
    "mamba2": {"num_heads": 4, "n_groups": 1},
    "mimo_v2_flash": BOTH_ROPES | {"head_dim": 16, "num_attention_heads": 4},
    "mobilebert": {"embedding_size": 8},
    "moshi": {"audio_vocab_size": 8},
    "moss_transcribe_diarize": {
        "text_config": {"model_type": "qwen3"} | TEXT, "audio_config": {"model_type": "whisper"} | WHISPER},
    "nemotron_h": {"mamba_num_heads": 4, "mamba_head_dim": 8, "n_groups": 1} | {
        "layers_block_type": ["mamba", "attention"]},
    "neomme": {"embedding_rank": 8, "rope_parameters": dict.fromkeys(
        ("full_attention", "sliding_attention"), ROPE | {"partial_rotary_factor": 0.5})},
    "perceiver": {"num_self_attends_per_block": 1, "num_self_attention_heads": 2, "num_cross_attention_heads": 2},
    "qwen3_5_moe_text": LINEAR,
    "qwen3_5_text": LINEAR,
    "qwen3_next": LINEAR,
    "qwen4_exp_text": LINEAR | {"rope_parameters": ROPE},
    "recurrent_gemma": {"block_types": ["recurrent", "attention"]},
    "reformer": {
        "axial_pos_shape": [8, 8], "axial_pos_embds_dim": [8, 8], "attention_head_size": 8, "feed_forward_size": 32,
        "attn_layers": ["local", "local"], "local_attn_chunk_length": 8,
    },
    "roc_bert": {"shape_vocab_size": 7, "pronunciation_vocab_size": 7},
    "xlstm": {"qk_dim_factor": 1.0, "hidden_size": 64},
    "xmod": {"default_language": "en_XX"},
    "zamba": ZAMBA | {"attention_hidden_size": 32, "attention_head_dim": 16},
    "zamba2": ZAMBA | {"n_mamba_heads": 4},
    "zaya": {"num_experts_per_tok": 1},
}  # fmt: skip


def _settings(config_class: type[PreTrainedConfig], vocabulary: int) -> dict[str, Any]:
    fields = {field.name for field in dataclasses.fields(config_class)}
    found = {key: value for key, value in SHAPE.items() if key in fields}
    for key, part in config_class.sub_configs.items():
        if part is not AutoConfig:  # which says nothing of its own
            found[key] = _settings(part, vocabulary)
    if "vocab_size" in fields:
        found |= {"vocab_size": vocabulary, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    return found | SETTINGS.get(config_class.model_type, {})


def make(kind: Kind, model_type: str, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """The network, in evaluation mode."""
    config_class = CONFIG_MAPPING[model_type]
    settings = _settings(config_class, len(tokenizer))
    if kind == "causal" and any(field.name == "is_decoder" for field in dataclasses.fields(config_class)):
        settings["is_decoder"] = True
    if kind in ("infill", "span"):
        settings["decoder_start_token_id"] = 3
    config = config_class(**settings)
    torch.manual_seed(0)
    network: PreTrainedModel = LOADERS[kind].from_config(config)
    with torch.no_grad():  # biases that start at zero would hide that they are left out
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return network.eval()
