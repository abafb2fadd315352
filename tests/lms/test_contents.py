"""What of a model's folder is part of its digest, and what of a configuration is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import make_causal_model, make_model
from families import make
from safetensors.torch import load_file, save_file

from ptx.errors import PtxError
from ptx.lms.contents import BY_TYPE
from ptx.lms.known import zoo
from ptx.lms.lm import load_model
from ptx.lms.models import resolve


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model")


def change(file: Path, **values: Any) -> None:
    content = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**content, **values}))


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def of(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@pytest.mark.parametrize("name", zoo())
def test_digests_of_embedded_models_are_of_four_files(name: str) -> None:
    model = resolve(name)
    where = Path(model.path)
    tokenizer = {file: sha(where / file) for file in ("tokenizer.json", "tokenizer_config.json")}
    network = {file: sha(where / file) for file in ("config.json", "model.safetensors")}
    assert (model.digest, model.tokenizer) == (of({"files": network, "tokenizer": tokenizer}), of(tokenizer))


@pytest.mark.parametrize(
    "file",
    ["source.spm", "bpe.codes", "prophetnet.tokenizer", "dict.txt", "emoji.json", "tokenizer.4.0.0.json", "vocab",
     "entity_vocab.json", "special_tokens_map.json", "qwen.tiktoken"],
)  # fmt: skip
def test_a_file_that_a_tokenizer_may_be_made_of_counts(folder: Path, file: str) -> None:
    found = [resolve(str(folder))]
    for content in ("{}", "{ }"):
        (folder / file).write_text(content)
        found.append(resolve(str(folder)))
    assert len({model.digest for model in found}) == len({model.tokenizer for model in found}) == 3


@pytest.mark.parametrize(
    "file",
    ["README.md", "LICENSE", "USE_POLICY.txt", ".gitignore", "generation_config.json", "card.json",
     "flax_model.msgpack", "pytorch_model.bin", "other.safetensors", "training_args.bin", "optimizer.pt",
     "rng_state_0.pth", "model.py",
     "chat_template.jinja", "trainer_state.json", "all_results.json", "preprocessor_config.json", "logo.png",
     "model.safetensors.index.json", "consolidated.00.pth", "x.gguf", "onnx_data.onnx_data"],
)  # fmt: skip
def test_a_file_that_is_not_read_does_not(folder: Path, file: str) -> None:
    before = resolve(str(folder))
    (folder / file).write_text("{}")
    assert resolve(str(folder)) == before


def test_what_transformers_goes_by_in_the_configuration_counts_for_a_tokenizer(folder: Path) -> None:
    """Where the tokenizer's files name no class, or the type goes before it."""
    found = [resolve(str(folder))]
    change(folder / "config.json", model_type="qwen2")
    found.append(resolve(str(folder)))
    change(folder / "tokenizer_config.json", tokenizer_class=None)
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    del tokenizer["tokenizer_class"]
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    for value in ("BertTokenizer", "GPT2Tokenizer"):
        change(folder / "config.json", tokenizer_class=value)
        found.append(resolve(str(folder)))
    assert len({model.tokenizer for model in found}) == 4


def test_types_that_go_before_a_class_are_known() -> None:
    from transformers.models.auto import tokenization_auto

    mistral = {"mistral", "mistral3", "voxtral", "ministral", "pixtral"}
    assert tokenization_auto.MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS | mistral <= BY_TYPE


CODE = [
    ("config.json", {"auto_map": {"AutoModel": "modeling.Mine"}}, "code of its own (auto_map in"),
    ("config.json", {"text_config": {"auto_map": {"AutoModel": "org/r--m.Mine"}}}, "(text_config.auto_map in"),
    ("config.json", {"custom_pipelines": {"x": {"impl": "mine.Pipe"}}}, "code of its own (custom_pipelines in"),
    ("tokenizer_config.json", {"auto_map": ["t.Mine", None]}, "(auto_map in tokenizer_config.json)"),
    ("config.json", {"attn_implementation": "org/kernel"}, "code of the repository org/kernel (attn_implementation in"),
    ("config.json", {"_attn_implementation": "org/k@v1:f"}, "code of the repository org/k@v1:f (_attn_implementation"),
    ("config.json", {"_attn_implementation_internal": "paged|org/k"}, "(_attn_implementation_internal in config.json)"),
    ("config.json", {"attn_implementation": {"text_config": "org/k"}}, "code of the repository org/k"),
    ("config.json", {"text_config": {"_attn_implementation": "org/k"}}, "(text_config._attn_implementation in"),
    ("config.json", {"experts_implementation": "org/k"}, "(experts_implementation in"),
    ("config.json", {"kernel_config": {"kernel_mapping": {"RMSNorm": "org/k:f"}}}, "the repository org/k:f"),
    ("config.json", {"repo_id": "org/other"}, "the repository org/other (repo_id in"),
]
FILES = [
    ("config.json", {"transformers_weights": "other.safetensors"}, "(transformers_weights in config.json)"),
    ("config.json", {"configuration_files": ["config.4.0.0.json"]}, "(configuration_files in config.json)"),
    ("tokenizer_config.json", {"fast_tokenizer_files": ["tokenizer.4.0.0.json"]}, "(fast_tokenizer_files in"),
    ("tokenizer_config.json", {"init_inputs": ["vocab.txt"]}, "(init_inputs in tokenizer_config.json)"),
    ("tokenizer_config.json", {"gguf_file": "x.gguf"}, "(gguf_file in tokenizer_config.json)"),
    ("tokenizer_config.json", {"merges_file": __file__}, "(merges_file in tokenizer_config.json)"),
    ("tokenizer_config.json", {"vocab": __file__}, "(vocab in tokenizer_config.json)"),
    ("special_tokens_map.json", {"tokenizer_file": __file__}, "(tokenizer_file in special_tokens_map.json)"),
]


@pytest.mark.parametrize(("file", "entries", "said"), [*CODE, *FILES])
def test_keys_that_name_code_kernels_or_files_are_refused(
    folder: Path, file: str, entries: dict[str, Any], said: str
) -> None:
    change(folder / file, **entries)
    for tokenizer_only in (False, True):
        with pytest.raises(PtxError) as caught:
            resolve(str(folder), tokenizer_only=tokenizer_only)
        assert said in caught.value.message
        assert f"remove {said.partition('(')[2].partition(' ')[0]}"[:20] in caught.value.hint


@pytest.mark.parametrize(
    ("file", "entries"),
    [
        ("config.json", {"_name_or_path": "org/name", "conv_kernel": 4, "use_mamba_kernels": True}),
        ("config.json", {"_attn_implementation": "flash_attention_2", "architectures": ["BertForMaskedLM"]}),
        ("tokenizer_config.json", {"name_or_path": "org/name", "tokenizer_file": None, "init_inputs": []}),
        ("tokenizer_config.json", {"special_tokens_map_file": "/home/her/.cache/1a2b", "merges_file": None}),
    ],
)
def test_keys_that_name_nothing_here_are_not(folder: Path, file: str, entries: dict[str, Any]) -> None:
    change(folder / file, **entries)
    assert load_model(resolve(str(folder)), "cpu").kind == "masked"


@pytest.mark.parametrize("asked", ["eager", "flash_attention_2", "sdpa", "flex_attention", "nonsense", None])
def test_what_computes_attention_is_ours_to_choose(tmp_path: Path, asked: str | None) -> None:
    folder = make("llama", tmp_path / "llama")
    usual = load_model(resolve(str(folder)), "cpu").network.config._attn_implementation
    assert usual == "sdpa"
    ways = {"attn_implementation": asked, "_experts_implementation": asked}
    change(folder / "config.json", **ways, output_attentions=asked in ("eager", None))
    config = load_model(resolve(str(folder)), "cpu").network.config
    assert config._attn_implementation == usual
    assert not config.output_attentions


def test_a_masked_lm_set_up_as_a_decoder_is_refused(folder: Path, tmp_path: Path) -> None:
    change(folder / "config.json", is_decoder=True)
    with pytest.raises(PtxError, match=r"is set up as a decoder \(is_decoder in its config\.json\)") as caught:
        load_model(resolve(str(folder)), "cpu")
    assert "set is_decoder to false" in caught.value.hint
    causal = make_causal_model(tmp_path / "causal")
    change(causal / "config.json", is_decoder=True)
    assert load_model(resolve(str(causal)), "cpu").causal


def test_weights_of_another_name_are_not_read(folder: Path) -> None:
    """Encodings and evaluations read the same matrix, whatever lies beside it."""
    expected = load_model(resolve(str(folder)), "cpu").matrix
    other = {name: tensor + 1 for name, tensor in load_file(folder / "model.safetensors").items()}
    for name in ("other.safetensors", "model.fp16.safetensors", "pytorch_model.bin"):
        save_file(other, folder / name, {"format": "pt"})
    change(folder / "tokenizer_config.json", model_max_length=31)  # another digest, so that it is loaded again
    assert torch.equal(load_model(resolve(str(folder)), "cpu").matrix, expected)
